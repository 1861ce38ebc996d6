import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { ID_WORDS } from '../../lib/event/event-ids.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { lockDirectory } from '../../lib/logs/file/directory-lock.js';
import { FileIds } from '../../lib/logs/file/ids/file-ids.js';
import { recordLine, segmentHead } from '../../lib/logs/file/ids/id-record.js';
import { checkOf } from '../../lib/logs/file/ids/id-secret.js';
import { FILE_BOUNDS } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { list } from '../../tools/log/list.js';
import { print } from '../../tools/log/print.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { verify } from '../../tools/log/verify.js';
import { eventText, startForebay, until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';
import { Collected, runHere } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';

const SECRET = Buffer.from('00112233445566778899aabbccddeeff', 'hex');
const RUN = '0123456789abcdef';
const T0 = Date.UTC(2026, 0, 1);

const segment = (n: number): string => `ids_20260101_000000_${String(n).padStart(9, '0')}.jsonl`;
const path = (n: number): string => `id-window/${segment(n)}`;
const head = segmentHead(checkOf(SECRET));
const batch = (n: number): string => `batch_20260101_000000_${n}.jsonl`;

/** The ids of a batch file: of each source as many as is said. The first word of each counts up from `n`. */
function record(n: number, ofSources: Readonly<Record<string, number>>): Buffer {
  const ids = new FileIds();
  for (const [source, some] of Object.entries(ofSources)) {
    for (let index = 0; index < some; index++)
      ids.addWords(source, Uint32Array.of(n + index, 0xabcdef, 0xffffffff, 7));
  }
  return recordLine({ file: batch(n), atMs: T0 + 1000 * n, ids });
}

/** A log directory with these segments, and the secret of their ids. */
function withSegments(t: Test, ...segments: readonly Buffer[]): string {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'id-window'));
  writeFileSync(join(dir, 'id-window/secret'), `${SECRET.toString('hex')}\n`);
  for (const [index, bytes] of segments.entries()) writeFileSync(join(dir, path(index + 1)), bytes);
  return dir;
}

const tool = (dir: string, ...args: string[]): Promise<Ran> => runHere(LOG_TOOL, [...args, '--log-dir', dir]);

const verified = async (
  dir: string,
  bounds?: FileBounds,
  fs: ToolFileSystem = toolFileSystem,
): Promise<Ran> => {
  const output = new Collected();
  return { code: await verify(fs, dir, output, bounds), out: output.text, err: '' };
};

/** Without the lines on the lock and on batch files. */
const ofIds = (out: string): string[] =>
  out.split('\n').filter((line) => line.includes('id-window') || line.includes('id window'));

void t.test('ls sums up the ids of each source, and says nothing without an id window', async (t) => {
  const a = Buffer.concat([head, record(1, { events: 2, github: 1 }), record(5, { events: 3 })]);
  const b = Buffer.concat([head, record(9, { github: 4 }), Buffer.from('{"fi')]);
  const dir = withSegments(t, a, b);
  const { code, out } = await tool(dir, 'ls');
  t.equal(code, 0);
  t.same(ofIds(out), [
    `id-window/: 5 ids of events, 5 ids of github in 2 segments, ${a.length + b.length} bytes, ` +
      '2026-01-01T00:00:01.000Z to 2026-01-01T00:00:09.000Z, torn end of 4 bytes',
  ]);
  const rows = (await tool(dir, 'ls', '--json')).out
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row) as { kind: string });
  t.same(
    rows.filter(({ kind }) => kind === 'idWindow'),
    [
      {
        kind: 'idWindow',
        segments: 2,
        bytes: a.length + b.length,
        damagedLines: 0,
        tornBytes: 4,
        unreadable: 0,
        ids: { events: 5, github: 5 },
        oldest: '2026-01-01T00:00:01.000Z',
        newest: '2026-01-01T00:00:09.000Z',
      },
    ],
  );
  t.match((await tool(withSegments(t), 'ls')).out, /^id-window\/: no ids in 0 segments, 0 bytes$/m);
  const none = tempDir(t);
  for (const args of [['ls'], ['ls', '--json'], ['verify']])
    t.notMatch((await tool(none, ...args)).out, /id.?window/i, args.join(' '));
});

void t.test('verify finds every flipped bit of a segment, at its line', async (t) => {
  const lines = [head, record(1, { events: 1 }), record(2, { events: 1 })];
  const file = Buffer.concat(lines);
  const dir = withSegments(t, file);
  t.match(await verified(dir), {
    code: 0,
    out: `Read 1 segment of the id window with 2 ids, ${file.length} bytes: all are sound\n`,
  });
  const starts = lines.map((_line, index) => Buffer.concat(lines.slice(0, index)).length);
  const missed: string[] = [];
  for (let bit = 0; bit < 8 * file.length; bit++) {
    const copy = Buffer.from(file);
    copy[bit >> 3] = (copy[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    writeFileSync(join(dir, path(1)), copy);
    const line = starts.findLastIndex((start) => start <= bit >> 3);
    const { code, out } = await verified(dir);
    const place = `${path(1)}: line ${line + 1}, byte ${starts[line]}: `;
    if (code !== 1 || !out.startsWith(place) || !out.includes('1 file is damaged (1 line)'))
      missed.push(`bit ${bit}: ${out}`);
  }
  t.same(missed, []);
});

void t.test('verify names the kinds of damage in a segment', async (t) => {
  const [good, bad] = [record(1, { events: 1 }), record(2, { events: 1 })];
  bad[20] = (bad[20] ?? 0) ^ 1;
  const other = Buffer.from(markedLine('{"file":"x"}'));
  const noJson = Buffer.from(markedLine('no JSON'));
  const file = Buffer.concat([head, bad, Buffer.from('garbage\n'), other, noJson, good, Buffer.from('end')]);
  const dir = withSegments(t, file);
  const found = await tool(dir, 'verify');
  const at = [head, bad, Buffer.from('garbage\n'), other, noJson].map(
    (_each, index, all) => Buffer.concat(all.slice(0, index + 1)).length,
  );
  t.equal(found.code, 1);
  t.same(ofIds(found.out), [
    `${path(1)}: line 2, byte ${at[0]}: the mark does not fit (${bad.length} bytes)`,
    `${path(1)}: line 3, byte ${at[1]}: no mark (8 bytes)`,
    `${path(1)}: line 4, byte ${at[2]}: no record of ids (${other.length} bytes)`,
    `${path(1)}: line 5, byte ${at[3]}: no record of ids (${noJson.length} bytes)`,
    `${path(1)}: line 7, byte ${file.length - 3}: no mark (3 bytes)`,
    `Read 1 segment of the id window with 1 id, ${file.length} bytes: 1 file is damaged (5 lines)`,
  ]);
  t.match((await tool(dir, 'ls')).out, /1 id of events in 1 segment, .*, 5 damaged lines\n/);
});

void t.test('a segment that a crash cut off anywhere is sound, with a warning', async (t) => {
  const file = Buffer.concat([head, record(1, { events: 1 })]);
  const dir = withSegments(t, file, file);
  for (let length = 0; length < file.length; length++) {
    writeFileSync(join(dir, path(1)), file.subarray(0, length));
    const { code, out } = await verified(dir);
    const isWhole = length === 0 || length === head.length;
    if (code !== 0 || out.includes('torn end') === isWhole) t.fail(`${length} bytes: ${out}`);
  }
  writeFileSync(join(dir, path(1)), Buffer.concat([file, Buffer.alloc(30)]));
  t.match(await verified(dir), {
    code: 0,
    out: `${path(1)}: line 3, byte ${file.length}: torn end of 30 bytes: a write that did not end (warning)\n`,
  });
});

void t.test('beside a server the end of the newest segment is being written, whatever it is', async (t) => {
  const file = Buffer.concat([head, record(1, { events: 1 })]);
  const odd = Buffer.concat([file, Buffer.from('half of a')]);
  const dir = withSegments(t, file, odd);
  t.equal((await verified(dir)).code, 1, 'no server runs');
  const lock = await lockDirectory(toolFileSystem, dir);
  t.teardown(() => lock.release());
  await lock.note({ runId: RUN, sink: 'http' });
  t.match(await verified(dir), {
    code: 0,
    out: `${path(2)}: line 3, byte ${file.length}: the end is being written, or was when a write failed (no damage)\n`,
  });
  t.notMatch((await tool(dir, 'ls')).out, /damaged line|torn end/);
  t.match(await tool(dir, 'cat', segment(2)), { code: 0, err: /^$/ });
  writeFileSync(join(dir, path(3)), file);
  t.match(await verified(dir), { code: 1, out: `${path(2)}: line 3, byte ${file.length}: no mark` });
});

void t.test('verify says if the ids are of another secret, or if the secret is lost', async (t) => {
  const file = Buffer.concat([head, record(1, { events: 1 })]);
  const dir = withSegments(t, file, file);
  const secret = join(dir, 'id-window/secret');
  writeFileSync(join(dir, path(2)), Buffer.concat([segmentHead('0123456789abcdef'), record(2, {})]));
  writeFileSync(join(dir, path(3)), record(3, { events: 1 }));
  const bytes = file.length + head.length + record(2, {}).length + record(3, { events: 1 }).length;
  const sum = `Read 3 segments of the id window with 2 ids, ${bytes} bytes: `;
  const found = await verified(dir);
  t.equal(found.code, 1);
  t.same(ofIds(found.out), [
    `${path(2)}: line 1, byte 0: it names another secret than the one in id-window/secret; all ids of the file are forgotten`,
    `${path(3)}: line 1, byte 0: it names no secret; all ids of the file are forgotten`,
    `${sum}2 files are of another secret`,
  ]);
  for (const n of [2, 3]) rmSync(join(dir, path(n)));
  t.equal((await verified(dir)).code, 0);
  const half = `${SECRET.toString('hex').slice(1)}\n`;
  for (const [text, wrong] of [
    [half, 'malformed'],
    [`${SECRET.toString('hex')}\n\n`, 'malformed'],
    ['', 'malformed'],
    [null, 'missing'],
  ] as const) {
    if (text === null) rmSync(secret);
    else writeFileSync(secret, text);
    const lost = await verified(dir);
    t.equal(lost.code, 1, wrong);
    t.equal(ofIds(lost.out)[0], `id-window/secret: ${wrong}; all ids are forgotten`);
    t.match(lost.out, /1 segment of the id window .*: the secret is lost\n/);
  }
  mkdirSync(secret);
  t.match(await verified(dir), { code: 1, out: /^id-window\/secret: not a plain file; all ids/ });
  rmSync(secret, { recursive: true });
  rmSync(join(dir, path(1)));
  t.match(
    await verified(dir),
    { code: 0, out: /^id-window\/secret: missing \(warning\)\n/ },
    'a crash while the first start made the folder',
  );
});

void t.test('cat prints a line for each file of a segment', async (t) => {
  const damaged = record(3, { events: 1 });
  damaged[9] = (damaged[9] ?? 0) ^ 1;
  const file = Buffer.concat([head, record(1, { events: 2, github: 1 }), damaged, record(9, { github: 1 })]);
  const dir = withSegments(t, Buffer.concat([file, Buffer.from('{"file')]));
  const id = (n: number): string => `${String(n).padStart(8, '0')}00abcdefffffffff`;
  const printed = await tool(dir, 'cat', segment(1));
  t.same(
    printed.out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown),
    [
      { file: batch(1), at: '2026-01-01T00:00:01.000Z', ids: { events: [id(1), id(2)], github: [id(1)] } },
      { file: batch(9), at: '2026-01-01T00:00:09.000Z', ids: { github: [id(9)] } },
    ],
  );
  t.notMatch(printed.out, /[ \t]\n/, 'without marks');
  t.equal(printed.code, 1);
  t.same(printed.err.split('\n'), [
    `forebay-log: ${path(1)}: torn end of 6 bytes left out; it is a write that did not end`,
    `forebay-log: ${path(1)}: 1 damaged line left out (--raw prints them)`,
    '',
  ]);
  t.same(await tool(dir, 'cat', path(1)), printed, 'also by its path, as verify names it');
  t.same(await tool(dir, 'cat', segment(1), '--raw'), { code: 0, out: `${file.toString()}{"file`, err: '' });
  t.match(await tool(dir, 'cat', segment(9)), { code: 1, out: '', err: /there is no such file/ });
  t.same(await tool(dir, 'cat'), { code: 0, out: '', err: '' }, 'without names: only events');
  for (const name of ['id-window/secret', 'id-window/../forebay.lock', 'ids_1.jsonl'])
    t.match(await tool(dir, 'cat', name), { code: 78, err: /nor that of a file in id-window\// }, name);
});

void t.test('a large segment is read a part at a time, and one that cannot be read is named', async (t) => {
  const records = Array.from({ length: 40 }, (_each, n) => record(n + 1, { events: 3 }));
  const large = record(41, { events: 500 });
  const file = Buffer.concat([head, ...records, large, record(42, { events: 1 })]);
  const dir = withSegments(t, file, file);
  const bounds = { wholeMax: 1000, piece: 500, lineMax: 2000 };
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  let largest = 0;
  const read = (fd: number, into: Buffer, at: number, length: number, ...rest: unknown[]): void => {
    largest = Math.max(largest, length);
    (toolFileSystem.read as (...args: unknown[]) => void)(fd, into, at, length, ...rest);
  };
  Object.defineProperty(fs, 'read', { value: read });
  const at = file.length - large.length - record(42, { events: 1 }).length;
  const tooLong = `${path(1)}: line 42, byte ${at}: too long (${large.length} bytes)`;
  const found = await verified(dir, bounds, fs);
  t.equal(ofIds(found.out)[0], tooLong);
  t.match(found.out, `with 242 ids, ${2 * file.length} bytes: 2 files are damaged (2 lines)`);
  t.ok(largest <= bounds.lineMax, `${largest} bytes at once`);
  const output = new Collected();
  const tell = (): Promise<void> => Promise.resolve();
  await print({ fs, dir, names: [path(1)], raw: false, output, tell, bounds });
  t.equal(output.text.split('\n').length, 41 + 1);
  const open = toolFileSystem.open as (...args: unknown[]) => void;
  const refused = new Map([
    [join(dir, path(1)), 'EACCES'],
    [join(dir, path(2)), 'ENOENT'],
  ]);
  const refuse = (...args: unknown[]): void => {
    const code = refused.get(String(args[0]));
    if (code === undefined) open(...args);
    else (args.at(-1) as (error: Error) => void)(Object.assign(new Error(`${code}: no`), { code }));
  };
  Object.defineProperty(fs, 'open', { value: refuse });
  const unread = await verified(dir, FILE_BOUNDS, fs);
  t.match(unread, {
    code: 1,
    out: `${path(1)}: unreadable: EACCES: no\nRead 0 batch files`,
  });
  t.match(unread.out, /1 segment of .* 0 bytes: 1 file cannot be read, 1 file went meanwhile\n/);
  const listed = new Collected();
  t.equal(await list(fs, dir, false, listed, ''), 1);
  t.match(listed.text, /no ids in 1 segment, 0 bytes, and 1 of the segments cannot be read\n/);
});

void t.test('what a server keeps is read as it is: marks of ids go, and its window is sound', async (t) => {
  const { forebay, sink, dir } = await startForebay(t, { idWindowMs: 3_600_000 });
  sink.held = true;
  const texts = ['a', 'b', 'c'].map((id) => eventText(id));
  await Promise.all(texts.map(async (text) => forebay.write(text)));
  const segments = (): string[] =>
    readdirSync(join(dir, 'id-window')).filter((each) => each.startsWith('ids_'));
  await until(() => segments().length > 0, 'the ids are in a segment');
  const [file = ''] = readdirSync(dir).filter((each) => each.startsWith('batch_'));
  const raw = readFileSync(join(dir, file), 'utf8');
  t.match(raw, /"timestamp":1\}[ \t]{248,249}\n/, 'the first line has three marks');
  t.same(await tool(dir, 'cat', file, '--raw'), { code: 0, out: raw, err: '' });
  const lines = texts.map((text) => `${text}\n`).join('');
  t.same(await tool(dir, 'cat'), { code: 0, out: lines, err: '' });
  await until(async () => /3 ids of events in/.test((await tool(dir, 'ls')).out), 'all ids are in segments');
  t.match(await tool(dir, 'verify'), {
    code: 0,
    out: /segments? of the id window with 3 ids, .*all are sound/,
  });
  const printed = await tool(dir, 'cat', ...segments());
  t.equal(printed.out.match(/"[\da-f]{24}"/g)?.length, 3, `${ID_WORDS - 1} words an id`);
});
