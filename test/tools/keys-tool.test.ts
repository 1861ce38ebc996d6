import {
  chmodSync,
  chownSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { KEYS_MAX, parseKeys } from '../../lib/keys/key-line.js';
import { digestOf } from '../../lib/keys/secret.js';
import { runTool } from '../../tools/log/program.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import { KEYS_TOOL } from '../../tools/keys/tool.js';
import { madeKey } from '../helpers/keys-file.js';
import { tempDir } from '../helpers/temp-dir.js';
import { Collected, runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

/** The tool with a file of its own. */
function opened(t: Test) {
  const dir = tempDir(t);
  const path = join(dir, 'keys.jsonl');
  const run = (...argv: string[]): Promise<Ran> =>
    runHere(KEYS_TOOL, argv, { environment: { FOREBAY_KEYS_FILE: path, FOREBAY_PORT: '1' } });
  const text = (): string => readFileSync(path, 'utf8');
  return { dir, path, run, text, keys: () => parseKeys(text()) };
}
const modeOf = (path: string): number => statSync(path).mode & 0o777;

void t.test('add prints the key, alone and once, and keeps only its hash', async (t) => {
  const { dir, path, run, text, keys } = opened(t);
  const beginMs = Date.now();
  const { code, out, err } = await run(
    'add',
    'meter',
    '--expires=90d',
    '--sources=events,partner',
    '--events-per-second=10',
    '--bytes-per-second=64KiB',
  );
  t.equal(code, 0);
  t.equal(err, '');
  t.match(out, /^fby_[\w-]{43}\n$/);
  const key = out.trim();
  t.notOk(text().includes(key.slice(4)));
  const [line] = keys();
  t.match(line, {
    name: 'meter',
    hash: digestOf(key).toString('hex'),
    sources: ['events', 'partner'],
    eventsPerSecond: 10,
    bytesPerSecond: 65_536,
  });
  t.ok((line?.created ?? 0) >= beginMs);
  t.ok(Math.abs((line?.expires ?? 0) - beginMs - 90 * 86_400_000) < 60_000);
  t.equal(modeOf(path), 0o600);
  t.same(readdirSync(dir), ['keys.jsonl']);
  const { out: date } = await run('add', 'other', '--expires', '2099-01-31');
  t.match(keys()[1], { name: 'other', hash: digestOf(date.trim()).toString('hex'), sources: null });
  t.equal(keys()[1]?.expires, Date.UTC(2099, 0, 31));
});

void t.test('list shows who has which keys, and whether they are good', async (t) => {
  const { path, run } = opened(t);
  const made = [
    madeKey('meter', { created: 0, expires: 86_400_000, sources: ['events', 'x'], eventsPerSecond: 9 }),
    madeKey('a', { expires: Date.UTC(2099, 0, 1) }),
  ];
  writeFileSync(path, made.map(({ line }) => line).join('\n'));
  const { code, out } = await run('list');
  t.equal(code, 0);
  t.equal(
    out,
    `NAME   SOURCES   CREATED               EXPIRES               EVENTS/S  BYTES/S  STATE
meter  events,x  1970-01-01T00:00:00Z  1970-01-02T00:00:00Z  9         -        expired
a      all       -                     2099-01-01T00:00:00Z  -         -        valid
`,
  );
});

void t.test('a key is rotated: a second one, then the older ones go', async (t) => {
  const { run, keys } = opened(t);
  await run('add', 'other');
  await run('add', 'meter', '--sources', 'b,a', '--events-per-second', '3');
  const { out: second } = await run('add', 'meter', '--expires', '1h');
  t.match(keys()[2], { name: 'meter', sources: ['b', 'a'], eventsPerSecond: 3 });
  t.equal((await run('add', 'meter', '--sources', 'a,b', '--events-per-second', '3')).code, 0);
  const refused = await run('add', 'meter', '--sources', 'a');
  t.equal(refused.code, 78);
  t.equal(refused.out, '');
  t.match(refused.err, /meter has a key with other sources or limits/);
  await run('revoke', 'meter', '--older');
  const { out: third } = await run('add', 'meter');
  t.match(await run('revoke', 'meter', '--older'), { code: 0, out: '1 key of meter revoked\n' });
  t.same(
    keys().map(({ name }) => name),
    ['other', 'meter'],
  );
  t.equal(keys()[1]?.hash, digestOf(third.trim()).toString('hex'));
  t.not(second, third);
  const none = await run('revoke', 'meter', '--older');
  t.match(none, { code: 1, out: '', err: /There is no older key meter in / });
  t.match(await run('revoke', 'meter'), { code: 0 });
  t.match(await run('revoke', 'meter'), { code: 1, err: /There is no key meter in / });
  t.equal(keys().length, 1);
});

void t.test('what is wrong on the command line is named, and nothing is done', async (t) => {
  const { dir, run } = opened(t);
  for (const [argv, message] of [
    [[], /Say what to do: one of add, list, revoke/],
    [['ad', 'x'], /Unknown command ad/],
    [['add'], /add takes one name, not 0/],
    [['add', 'a', 'b'], /add takes one name, not 2/],
    [['revoke'], /revoke takes one name/],
    [['list', 'a'], /Unexpected argument a: list takes none/],
    [['add', 'Meter'], /The name of a key must be at most 64 characters of a-z, .* not "Meter"/],
    [['add', 'a', '--expires', '5'], /--expires must be a time to come, like 90d/],
    [['add', 'a', '--expires', '2020-01-01'], /--expires must be a time to come/],
    [['add', 'a', '--expires', '2027-02-30'], /--expires must be a time to come/],
    [['add', 'a', '--expires', '99999999d'], /--expires must be a time to come/],
    [['add', 'a', '--sources', 'A'], /--sources must be the name of a source/],
    [['add', 'a', '--sources', ','], /--sources must name a source/],
    [['add', 'a', '--events-per-second', '0'], /--events-per-second must be a whole number/],
    [['add', 'a', '--older'], /--older goes with revoke, not with add/],
    [['revoke', 'a', '--expires', '1d'], /--expires goes with add, not with revoke/],
    [['list', '--sources', 'a'], /--sources goes with add, not with list/],
  ] as const) {
    const { code, out, err } = await run(...argv);
    t.match({ code, out, err }, { code: 78, out: '', err: message }, argv.join(' '));
  }
  t.match(await runHere(KEYS_TOOL, ['list']), {
    code: 78,
    err: /Say which file: --keys-file, or the variable/,
  });
  t.same(readdirSync(dir), []);
});

void t.test('a file that is no keys file, or cannot be used, stays as it is', async (t) => {
  const { dir, path, run, text } = opened(t);
  t.match(await run('list'), { code: 2, err: /keys\.jsonl cannot be read: ENOENT/ });
  t.match(await run('revoke', 'a'), { code: 2, err: /keys\.jsonl cannot be changed: ENOENT/ });
  t.same(readdirSync(dir), [], 'only add creates it');
  const commented = `# ours\n${madeKey('a').line}`;
  writeFileSync(path, commented);
  for (const argv of [['list'], ['add', 'b'], ['revoke', 'a']])
    t.match(await run(...argv), { code: 2, out: '', err: /line 1 is not a JSON object/ });
  t.equal(text(), commented);
  writeFileSync(path, Array.from({ length: KEYS_MAX }, (_, index) => madeKey(`k${index}`).line).join(''));
  t.match(await run('add', 'b'), {
    code: 2,
    out: '',
    err: /There are 10000 keys, and at most 10000 are taken/,
  });
  t.match(await run('list', '--keys-file', dir), { code: 2, err: /cannot be read: EISDIR/ });
  t.same(readdirSync(dir), ['keys.jsonl']);
});

void t.test('the other lines stay byte for byte, and so do rights and a link', async (t) => {
  const { dir, run } = opened(t);
  const target = join(dir, 'real.jsonl');
  symlinkSync('real.jsonl', join(dir, 'keys.jsonl'));
  const odd = `  {"hash": "${'0'.repeat(64)}",  "name":"odd"}`;
  writeFileSync(target, `${madeKey('gone').line}\n${odd}`);
  chmodSync(target, 0o640);
  await run('add', 'meter');
  await run('revoke', 'gone');
  const [blank, first, second = '', end] = readFileSync(target, 'utf8').split('\n');
  t.same([blank, first, end], ['', odd, '']);
  t.match(JSON.parse(second), { name: 'meter' });
  t.equal(modeOf(target), 0o640);
  t.same(readdirSync(dir).toSorted(), ['keys.jsonl', 'real.jsonl']);
});

void t.test('tools that run at the same time lose nothing', async (t) => {
  const { dir, path, run, keys } = opened(t);
  await run('add', 'old');
  const names = Array.from({ length: 6 }, (_, index) => `p${index}`);
  const here = Array.from({ length: 12 }, (_, index) => `h${index}`);
  const runs = await Promise.all([
    ...names.map((name) => runProcess(process.execPath, ['bin/keys.js', 'add', name, '--keys-file', path])),
    ...here.map((name) => run('add', name)),
    run('revoke', 'old'),
  ]);
  for (const { code, err } of runs) t.match({ code, err }, { code: 0, err: '' });
  t.same(
    keys()
      .map(({ name }) => name)
      .toSorted(),
    [...names, ...here].toSorted(),
  );
  const printed = runs.slice(0, -1).map(({ out }) => digestOf(out.trim()).toString('hex'));
  t.same(
    keys()
      .map(({ hash }) => hash)
      .toSorted(),
    printed.toSorted(),
  );
  t.same(readdirSync(dir), ['keys.jsonl']);
});

void t.test('a run that fails or is killed leaves the file as it was', async (t) => {
  const { dir, path, run, text } = opened(t);
  await run('add', 'meter');
  const before = text();
  const failing = (call: 'write' | 'fsync' | 'rename' | 'fchmod') =>
    Object.assign(Object.create(toolFileSystem) as typeof toolFileSystem, {
      [call]: (...args: unknown[]) => {
        const done = args.at(-1) as (error: Error) => void;
        setImmediate(done, new Error(`no ${call}`));
      },
    });
  const environment = { FOREBAY_KEYS_FILE: path };
  for (const call of ['write', 'fsync', 'rename', 'fchmod'] as const) {
    const { code, err } = await runHere(KEYS_TOOL, ['add', 'b'], { environment, fs: failing(call) });
    t.match({ code, err }, { code: 2, err: new RegExp(`cannot be changed: no ${call}`) });
    t.equal(text(), before);
    t.same(readdirSync(dir), ['keys.jsonl'], 'nothing is left');
  }
  const [gone, errors] = [new Collected(), new Collected()];
  gone.writes = 1;
  const code = await runTool(KEYS_TOOL, ['add', 'b'], {
    environment,
    fs: toolFileSystem,
    output: gone,
    errors,
    interrupted: () => new AbortController().signal,
  });
  t.match({ code, err: errors.text }, { code: 2, err: /nobody reads the key/ });
  t.equal(text(), before, 'a key that nobody has seen is not added');

  writeFileSync(`${path}.new`, 'half a li'); // of a run that was killed
  t.equal((await run('add', 'b')).code, 0);
  t.equal(text().startsWith(before), true);
  t.same(readdirSync(dir), ['keys.jsonl']);
});

void t.test('a file of another user keeps its owner', { skip: process.geteuid?.() !== 0 }, async (t) => {
  const { path, run } = opened(t);
  await run('add', 'a');
  for (const [uid, gid] of [
    [1234, 0],
    [0, 5678],
  ] as const) {
    chownSync(path, uid, gid);
    t.equal((await run('add', 'b')).code, 0);
    t.match(statSync(path), { uid, gid });
    t.equal(modeOf(path), 0o600);
  }
});
