import { ForebayError } from '../../lib/base/errors.js';
import { count } from '../../lib/base/words.js';
import { haveSameRights, KEYS_MAX, lineOf } from '../../lib/keys/key-line.js';
import type { KeyLine, Rights } from '../../lib/keys/key-line.js';
import { digestOf, newKey } from '../../lib/keys/secret.js';
import { invalid } from '../../lib/settings/setting-error.js';
import { EXIT } from '../log/exit-code.js';
import type { ExitCode } from '../log/exit-code.js';
import type { Surroundings } from '../log/program.js';
import type { KeysFile } from './keys-file.js';

interface Look extends Pick<Surroundings, 'output' | 'tell'> {
  readonly file: KeysFile;
}

/**
 * Prints a new key, and adds its hash to the file.
 *
 * @param expires in milliseconds since 1970; `null`: never
 * @throws ForebayError `SETTING_INVALID`, `KEYS_FILE_FAILED`
 */
export async function add(
  { file, output }: Look,
  name: string,
  given: Rights,
  expires: number | null,
): Promise<ExitCode> {
  const key = newKey();
  const hash = digestOf(key).toString('hex');
  await file.change(
    true,
    ({ text, keys }) => {
      checkAddable(name, given, keys);
      const { sources, eventsPerSecond, bytesPerSecond } = keys.find((each) => each.name === name) ?? given;
      const rights = { sources, eventsPerSecond, bytesPerSecond };
      const line = lineOf({ name, hash, created: Date.now(), expires, ...rights });
      return `${text}${/[^\n]$/.test(text) ? '\n' : ''}${line}`;
    },
    async () => {
      // before the file is replaced: a key that nobody has seen is in no file
      await output.write(`${key}\n`);
      if (output.closed) throw new Error('nobody reads the key that was to be printed');
    },
  );
  return EXIT.sound;
}

/** Prints a line for each key. */
export async function list({ file, output }: Look): Promise<ExitCode> {
  const { keys } = await file.read();
  const rows = [
    ['NAME', 'SOURCES', 'CREATED', 'EXPIRES', 'EVENTS/S', 'BYTES/S', 'STATE'],
    ...keys.map((key) => [
      key.name,
      key.sources?.join(',') ?? 'all',
      key.created === null ? '-' : shown(key.created),
      key.expires === null ? 'never' : shown(key.expires),
      String(key.eventsPerSecond ?? '-'),
      String(key.bytesPerSecond ?? '-'),
      key.expires !== null && key.expires <= Date.now() ? 'expired' : 'valid',
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  for (const row of rows) {
    const cells = row.map((cell, column) => cell.padEnd(widths[column] ?? 0));
    await output.write(`${cells.join('  ').trimEnd()}\n`);
  }
  return EXIT.sound;
}

/** Removes the keys of a name. @param older not the newest, which is the last */
export async function revoke({ file, output, tell }: Look, name: string, older: boolean): Promise<ExitCode> {
  let revoked = 0;
  await file.change(false, ({ text, keys }) => {
    const own = keys.filter((key) => key.name === name);
    const gone = new Set((older ? own.slice(0, -1) : own).map(({ number }) => number));
    revoked = gone.size;
    const lines = text.split('\n').filter((_, index) => !gone.has(index + 1));
    return revoked === 0 ? null : lines.join('\n');
  });
  if (revoked === 0) {
    await tell(`There is no ${older ? 'older ' : ''}key ${name} in ${file.path}`);
    return EXIT.damaged;
  }
  await output.write(`${count(revoked, 'key')} of ${name} revoked\n`);
  return EXIT.sound;
}

/** @throws ForebayError if a key cannot be added */
function checkAddable(name: string, given: Rights, keys: readonly KeyLine[]): void {
  if (keys.length >= KEYS_MAX) {
    const message = `There are ${keys.length} keys, and at most ${KEYS_MAX} are taken: revoke some`;
    throw new ForebayError('KEYS_FILE_FAILED', { message });
  }
  const own = keys.find((key) => key.name === name);
  const isBare = Object.values(given).every((right) => right === null);
  if (own === undefined || isBare || haveSameRights(own, given)) return;
  throw invalid(
    `${name} has a key with other sources or limits: revoke it first, or choose another name (without these flags the new key has the same)`,
  );
}

function shown(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, 'Z');
}
