import { ForebayError } from '../../base/errors.js';
import { placeOf } from '../../seams/source-kind.js';
import type { SourceContext } from '../../seams/source-kind.js';
import type { RequestHead, Source } from '../../seams/source.js';
import { milliseconds, oneOf, optional, text } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { invalid } from '../../settings/setting-error.js';
import { SettingFile } from '../../settings/setting-file.js';
import { isNear } from './timestamp.js';

/** The settings of all sources whose senders sign. */
export const SIGNATURE_SETTINGS = {
  secretFile: {
    flag: 'secret-file',
    initial: null,
    unit: 'FILE',
    help: 'a file with a secret on each line; a request signed with any of them is taken',
    check: optional(text),
  },
  unsigned: {
    flag: 'unsigned',
    initial: 'off',
    unit: 'on|off',
    help: 'on: takes what nobody has signed, from anyone',
    check: oneOf('on', 'off'),
  },
  toleranceMs: {
    flag: 'tolerance',
    initial: '300s',
    unit: 'MS',
    help: 'how far a signed timestamp may be from now, before or after',
    check: milliseconds(1),
  },
} as const satisfies OptionTable;

/** How a sender signs. */
export interface Scheme<Key> {
  /**
   * The key in a line of the secret file.
   *
   * @throws an error whose message continues "line 3 …" and does not show the line
   */
  readonly keyOf: (line: string) => Key;
  /**
   * Whether one of the keys signed this body.
   *
   * @param isNow whether a signed timestamp is near enough
   */
  readonly isSigned: (
    head: RequestHead,
    body: Buffer,
    keys: readonly Key[],
    isNow: (timestamp: string) => boolean,
  ) => boolean;
}

/**
 * Checks the signatures of a source. Its secrets are read again within a second when their file changes.
 *
 * @throws ForebayError `SETTING_INVALID` if the secrets are missing or no secrets
 */
export function verification<Key>(
  name: string,
  { secretFile, unsigned, toleranceMs }: Values<typeof SIGNATURE_SETTINGS>,
  { logger, now = Date.now }: SourceContext,
  scheme: Scheme<Key>,
): Pick<Source, 'verify' | 'close'> {
  const place = placeOf(name);
  if (secretFile === null) {
    if (unsigned === 'on') return {};
    throw invalid(
      `"secret-file" of ${place} is missing: its senders sign ("unsigned" is "on" if they do not)`,
    );
  }
  if (unsigned === 'on') throw invalid(`"secret-file" and "unsigned" of ${place} exclude each other`);
  const secrets = new SettingFile(
    `"secret-file" of ${place}`,
    secretFile,
    (lines) => keysIn(lines, scheme),
    logger,
    { unusable: 'SETTING_INVALID', stale: 'SETTING_STALE' },
  );
  secrets.watch();
  return {
    verify: (head, body) => {
      const isNow = (timestamp: string): boolean => isNear(timestamp, now(), toleranceMs);
      if (!scheme.isSigned(head, body, secrets.value, isNow)) throw new ForebayError('SIGNATURE_WRONG');
    },
    close: () => {
      secrets.close();
    },
  };
}

/** A secret may be any line that is not blank, and nothing of it is cut off. Some editors start a file with a mark. */
function keysIn<Key>(lines: string, { keyOf }: Scheme<Key>): readonly Key[] {
  const keys = lines
    .replace(/^\u{feff}/u, '')
    .split(/\r?\n/)
    .flatMap((line, index) => {
      if (line.trim() === '') return [];
      try {
        return [keyOf(line)];
      } catch (error) {
        throw new Error(`line ${index + 1} ${error instanceof Error ? error.message : ''}`, { cause: error });
      }
    });
  if (keys.length === 0) throw new Error('it has no secret');
  return keys;
}
