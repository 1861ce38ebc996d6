import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { lockDirectory } from '../../lib/logs/file/directory-lock.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { markedBytes, markedLine } from '../../lib/logs/file/checksum.js';
import { Reporter } from '../../lib/base/reporter.js';
import type { BatchPart } from '../../lib/seams/event-log.js';
import { list } from '../../tools/log/list.js';
import { tryInspect } from '../../tools/log/batch-file-reading.js';
import { lockText, mayBeWritten, reportLock } from '../../tools/log/lock-report.js';
import { print } from '../../tools/log/print.js';
import { readRequest } from '../../tools/log/program.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { LOG_TOOL } from '../../tools/log/tool.js';
import { verify } from '../../tools/log/verify.js';
import { duration } from '../../tools/log/words.js';
import { VERSION } from '../../lib/base/version.js';
import { NEEDS_FULL } from '../helpers/producer-run.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { Collected, runHere, runProcess } from '../helpers/tool-run.js';
import type { Ran } from '../helpers/tool-run.js';
import { until } from '../helpers/wait-for.js';

const tool = (...args: string[]): Promise<Ran> => runHere(LOG_TOOL, args);

const name = (n: number): string => `batch_20250101_000000_${n}.jsonl`;
const text = (id: string): string => JSON.stringify({ id, type: 't', data: 'é', timestamp: 1 });
const line = (id: string): Buffer => Buffer.from(markedLine(text(id)));
const flipped = (bytes: Buffer, at: number, bit = 0): Buffer => {
  const copy = Buffer.from(bytes);
  copy[at] = (copy[at] ?? 0) ^ (1 << bit);
  return copy;
};
const LENGTH = line('a').length;
const RUN = '0123456789abcdef';

/** Each kind of damage in a file of its own: what the file holds, its sound events, what a server sets aside, what verify says. */
const KINDS: readonly {
  readonly file: Buffer;
  readonly events: readonly string[];
  readonly damaged: readonly Buffer[];
  readonly said: readonly string[];
}[] = [
  { file: line('a'), events: ['a'], damaged: [], said: [] },
  {
    file: Buffer.concat([line('a'), flipped(line('b'), 9), line('c'), Buffer.from('garbage\n'), line('d')]),
    events: ['a', 'c', 'd'],
    damaged: [flipped(line('b'), 9), Buffer.from('garbage\n')],
    said: [
      `line 2, byte ${LENGTH}: the mark does not fit (${LENGTH} bytes)`,
      `line 4, byte ${3 * LENGTH}: no mark (8 bytes)`,
    ],
  },
  {
    file: Buffer.concat([line('a'), line('b').subarray(0, 17)]),
    events: ['a'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: torn end of 17 bytes that were never acknowledged (warning)`],
  },
  {
    file: Buffer.concat([line('a'), line('b').subarray(0, -1)]),
    events: ['a', 'b'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: the last line break is lost; the event before it is sound`],
  },
  {
    file: flipped(Buffer.concat([line('a'), line('b')]), 2 * LENGTH - 1, 6),
    events: ['a', 'b'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: the last line break is lost; the event before it is sound`],
  },
  {
    file: Buffer.from([0xff, 0xfe, 0, 10, 10, 0x78]),
    events: [],
    damaged: [Buffer.from([0xff, 0xfe, 0, 10]), Buffer.of(10), Buffer.of(0x78)],
    said: [
      'line 1, byte 0: no event (4 bytes)',
      'line 2, byte 4: no event (1 byte)',
      'line 3, byte 5: no event (1 byte)',
    ],
  },
  {
    file: Buffer.concat([Buffer.from('\n'), line('a'), Buffer.from('no brace')]),
    events: ['a'],
    damaged: [Buffer.from('\n'), Buffer.from('no brace')],
    said: ['line 1, byte 0: no mark (1 byte)', `line 3, byte ${LENGTH + 1}: no mark (8 bytes)`],
  },
  {
    file: Buffer.from(`${text('a')}\n{"id":1}\n${text('b')}`), // without marks, as by hand
    events: ['a', 'b'],
    damaged: [Buffer.from('{"id":1}\n')],
    said: [
      `line 2, byte ${Buffer.byteLength(text('a')) + 1}: no event (9 bytes)`,
      `line 3, byte ${Buffer.byteLength(text('a')) + 10}: the last line break is lost; the event before it is sound`,
    ],
  },
  {
    file: Buffer.alloc(20), // a page that was never written
    events: [],
    damaged: [],
    said: ['line 1, byte 0: torn end of 20 bytes that were never acknowledged (warning)'],
  },
];

function damagedDir(t: Test): string {
  const dir = tempDir(t);
  for (const [index, { file }] of KINDS.entries()) writeFileSync(join(dir, name(index + 1)), file);
  return dir;
}

const everySound = KINDS.flatMap(({ events }) => events.map((id) => `${text(id)}\n`)).join('');

/** All files with their bytes and their times, as one text. */
const snapshot = (dir: string): string =>
  readdirSync(dir, { recursive: true, encoding: 'utf8' })
    .toSorted()
    .map((each) => {
      const path = join(dir, each);
      const { mtimeMs, mode } = statSync(path);
      return `${each} ${mode} ${mtimeMs} ${statSync(path).isFile() ? readFileSync(path, 'hex') : ''}`;
    })
    .join('\n');

const verified = async (
  dir: string,
  fs: ToolFileSystem = toolFileSystem,
  bounds?: FileBounds,
): Promise<Ran> => {
  const output = new Collected();
  return { code: await verify(fs, dir, output, bounds), out: output.text, err: '' };
};
void t.test('verify names each kind of damage with its line and byte', async (t) => {
  const dir = damagedDir(t);
  const { code, out } = await tool('verify', '--log-dir', dir);
  t.equal(code, 1);
  const expected = KINDS.flatMap(({ said }, index) => said.map((each) => `${name(index + 1)}: ${each}`));
  t.same(out.split('\n').slice(0, expected.length), expected);
  let bytes = 0;
  for (const { file } of KINDS) bytes += file.length;
  t.match(
    out.split('\n').slice(expected.length).join('\n'),
    `Read 9 batch files with 12 sound events, ${bytes} bytes: ` +
      '6 files are damaged (8 lines, 3 lost line breaks), 2 torn ends\nThere is no forebay.lock',
  );
});

void t.test('verify tells of damage that was set aside before', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'quarantine'));
  writeFileSync(join(dir, 'quarantine', name(1)), 'x');
  t.match(await verified(dir), {
    code: 0,
    out: /all are sound\n1 file in quarantine\/: damage that was set aside\nThere is no/,
  });
});

void t.test('a torn end alone is a warning, an empty directory is sound', async (t) => {
  const dir = tempDir(t);
  t.match(await tool('ls', '--log-dir', dir), { code: 0, out: /^No batch files in .*\nThere is no/ });
  t.match(await verified(dir), { code: 0, out: /^Read 0 batch files with 0 .*all are sound/ });
  t.same(readdirSync(dir), [], 'no lock file is made there');
  writeFileSync(join(dir, name(1)), KINDS[2]?.file ?? '');
  t.match(await verified(dir), {
    code: 0,
    out: /warning.*\nRead 1 batch file .*: all are sound, 1 torn end\n/,
  });
});

void t.test('verify finds every flipped bit, at its line', async (t) => {
  const dir = tempDir(t);
  const expected: string[] = [];
  for (const file of [Buffer.concat([line('a'), line('b')]), line('a')]) {
    for (let bit = 0; bit < 8 * file.length; bit++) {
      const at = bit >> 3;
      const batch = name(expected.length + 1);
      writeFileSync(join(dir, batch), flipped(file, at, bit & 7));
      expected.push(`${batch}: ${at < LENGTH ? 'line 1, byte 0: ' : `line 2, byte ${LENGTH}: `}`);
    }
  }
  const { code, out } = await verified(dir);
  const lines = out.split('\n');
  t.equal(code, 1);
  t.match(out, `: ${expected.length} files are damaged (`);
  for (const start of expected) if (!lines.some((each) => each.startsWith(start))) t.fail(start);
});

void t.test('ls lists batches in order of delivery, and all else', async (t) => {
  const dir = damagedDir(t);
  writeFileSync(join(dir, name(10)), line('z'));
  mkdirSync(join(dir, 'quarantine'));
  writeFileSync(join(dir, 'quarantine', name(1)), 'bad\n');
  writeFileSync(join(dir, 'no\u001btes'), '');
  writeFileSync(join(dir, 'forebay.copy-0123456789abcdef'), '');
  mkdirSync(join(dir, name(11)));
  symlinkSync(join(dir, name(1)), join(dir, name(12)));
  const { code, out } = await tool('ls', '--log-dir', dir);
  t.equal(code, 0);
  const rows = out.split('\n');
  t.match(rows[0], /^NAME +BYTES +EVENTS +AGE$/);
  t.match(rows[1], new RegExp(`^${name(1)} +${LENGTH} +1 +\\d+d \\d+h$`));
  t.match(rows[2], /_2\.jsonl +\d+ +3 +\d+d \d+h +2 damaged lines$/);
  t.match(rows[3], /torn end of 17 bytes$/);
  t.match(rows[4], /last line break lost$/);
  t.match(rows[10], new RegExp(`^${name(10)} `), 'N counts as a number');
  t.match(rows.slice(11).join('\n'), /^10 batch files, \d+ bytes, 13 events\n/);
  t.match(out, `quarantine/${name(1)}: 4 bytes of damaged lines\n`);
  t.match(out, `${name(11)}: not a plain file, left alone\n`);
  t.match(out, `${name(12)}: not a plain file, left alone\n`);
  t.match(out, 'no\\u001btes: not a batch file, left alone\n');
  t.notMatch(out, /forebay\.copy/, 'a copy that a killed run has left is no foreign file');
  const json = await tool('ls', '--json', '--log-dir', dir);
  const objects = json.out
    .trim()
    .split('\n')
    .map((each) => JSON.parse(each) as Record<string, unknown>);
  t.match(objects[1], { kind: 'batch', name: name(2), events: 3, damagedLines: 2, tornBytes: 0 });
  t.match(objects.at(-1), { kind: 'totals', batches: 10, events: 13, unreadable: 0 });
  t.match(objects.at(-2), { kind: 'lock', state: 'missing' });
  t.equal(objects.filter(({ kind }) => kind === 'notPlain').length, 2);
});

void t.test('cat prints the sound events without marks, oldest first', async (t) => {
  const dir = damagedDir(t);
  const { code, out, err } = await tool('cat', '--log-dir', dir);
  t.equal(out, everySound);
  t.equal(code, 1, 'something is left out');
  t.match(err, `forebay-log: ${name(2)}: 2 damaged lines left out (--raw prints them)\n`);
  t.match(err, `forebay-log: ${name(3)}: torn end of 17 bytes left out; it was never acknowledged\n`);
  t.same(await tool('cat', '--log-dir', dir, name(4), name(1)), {
    code: 0,
    out: `${text('a')}\n${text('b')}\n${text('a')}\n`,
    err: '',
  });
  const raw = await tool('cat', name(7), '--raw', '--log-dir', dir);
  t.same(raw, { code: 0, out: KINDS[6]?.file.toString(), err: '' });
  t.match(await tool('cat', name(99), '--log-dir', dir), {
    code: 1,
    out: '',
    err: /_99.*there is no such file/,
  });
  mkdirSync(join(dir, 'quarantine'));
  writeFileSync(join(dir, 'quarantine', name(2)), Buffer.concat([Buffer.from('bad\n'), line('q')]));
  const aside = await tool('cat', `quarantine/${name(2)}`, '--log-dir', dir);
  t.match(aside, { code: 1, out: `${text('q')}\n`, err: /1 damaged line left out/ });
  t.match(await tool('cat', `quarantine/${name(2)}`, '--raw', '--log-dir', dir), { code: 0, out: /^bad\n/ });
});

void t.test('one batch of several in a file is named by its lines', async (t) => {
  const dir = tempDir(t);
  const log = await AppendLog.open({ dir, fsync: 'never', reporter: new Reporter(), fileEvents: 100 });
  const parts = ['ab', 'cde', 'f'].map((ids) => partOf(ids.split('').map((id) => text(id))));
  await log.append(parts, () => undefined);
  await log.close();
  const [file = ''] = readdirSync(dir).filter((each) => each.endsWith('.jsonl'));
  t.match((await tool('ls', '--log-dir', dir)).out, /\.jsonl +\d+ +6 +\d+s +3 batches\n/);
  const printed = async (range: string): Promise<string> =>
    (await tool('cat', `${file}${range}`, '--log-dir', dir)).out;
  t.equal(await printed('#3-5'), ['c', 'd', 'e'].map((id) => `${text(id)}\n`).join(''));
  t.equal(await printed('#6-9'), `${text('f')}\n`);
  t.equal(await printed(''), ['a', 'b', 'c', 'd', 'e', 'f'].map((id) => `${text(id)}\n`).join(''));
  t.match(await tool('cat', 'other#1-2', '--log-dir', dir), { code: 78 });
});

/** A batch of these events. */
function partOf(lines: readonly string[]): BatchPart {
  const block = EventBlock.of(...lines);
  const request = { block, withdrawn: false, acknowledge: () => undefined };
  const bytes = markedBytes(block.length, block.startOf(block.length));
  return { ranges: [{ request, from: 0, to: block.length }], events: block.length, bytes, end: 'size' };
}

void t.test('a reader that goes is a quiet end, a full disk is not', async (t) => {
  const dir = tempDir(t);
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => line('a')));
  for (let n = 1; n <= 3; n++) writeFileSync(join(dir, name(n)), many);
  const cat = `${process.execPath} bin/log.js cat --log-dir ${dir}`;
  const piped = await runProcess('bash', ['-c', `${cat} | head -n 1; echo $\{PIPESTATUS[0]}`]);
  t.match(piped, { code: 0, out: `${text('a')}\n0\n`, err: '' });
  await t.test('a full disk', NEEDS_FULL, async (t) => {
    t.match(await runProcess('bash', ['-c', `${cat} > /dev/full`]), {
      code: 2,
      err: /^forebay-log: ENOSPC.*\n$/,
    });
  });
  const slow = await runProcess('bash', ['-c', `${cat} | (sleep 0.3; wc -l)`]);
  t.equal(slow.out.trim(), '60000', 'and a slow one gets everything');
});

void t.test('an unreadable file is named and counted, and the others go on', async (t) => {
  const dir = damagedDir(t);
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const open = toolFileSystem.open as (...args: unknown[]) => void;
  const gone = new Map([[name(1), 'ENOENT']]);
  const refuse = (...args: unknown[]): void => {
    const found = [...gone].find(([each]) => args[0] === join(dir, each)) ?? [];
    const code = args[0] === join(dir, name(2)) ? 'EACCES' : found[1];
    if (code === undefined) open(...args);
    else (args.at(-1) as (error: Error) => void)(Object.assign(new Error(`${code}: no`), { code }));
  };
  Object.defineProperty(fs, 'open', { value: refuse });
  const found = await verified(dir, fs);
  t.match(found, { code: 1, out: `${name(2)}: unreadable: EACCES: no\n` });
  t.match(found.out, /Read 8 batch files .*, 1 file cannot be read, 2 torn ends, 1 file went meanwhile\n/);
  const listed = new Collected();
  t.equal(await list(fs, dir, false, listed, ''), 1);
  t.match(listed.text, /_2\.jsonl +\? +\? .*unreadable: EACCES: no\n/);
  t.match(listed.text, '8 batch files');
  t.match(listed.text, '1 of the files cannot be read');
  const printed = new Collected();
  const told: string[] = [];
  const tell = async (each: string): Promise<void> => void told.push(each);
  t.equal(await print({ fs, dir, names: [], raw: true, output: printed, tell }), 1);
  t.same(told, [`${name(2)}: unreadable: EACCES: no`], 'one that went meanwhile is no error');
  const sound = tempDir(t);
  writeFileSync(join(sound, name(2)), line('a'));
  gone.set(join('..', basename(sound), name(2)), 'EIO');
  t.match(await verified(sound, fs), { code: 1, out: /1 file cannot be read\n/ }, 'and no other damage');
});

void t.test('ls, verify and cat change nothing and never try the lock', async (t) => {
  const dir = damagedDir(t);
  const lock = await lockDirectory(toolFileSystem, dir);
  await lock.note({ runId: RUN, sink: 'http' });
  await lock.release();
  const before = snapshot(dir);
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const refuse = (): never => t.fail('a lock was tried') as never;
  for (const method of ['tryLock', 'write', 'mkdir', 'unlink', 'rename', 'ftruncate'] as const) {
    Object.defineProperty(fs, method, { value: refuse });
  }
  const output = new Collected();
  await list(fs, dir, false, output, '');
  await verify(fs, dir, output);
  await print({ fs, dir, names: [], raw: false, output, tell: () => Promise.resolve() });
  t.equal(snapshot(dir), before);
  t.match(output.text, `No server runs on it (last locked by process ${process.pid}, started 20`);
});

void t.test('whether a server runs is known, or said not to be', async (t) => {
  const dir = tempDir(t);
  t.match(await reportLock(dir), { state: 'missing', owner: null });
  const lock = await lockDirectory(toolFileSystem, dir);
  t.match(await reportLock(dir), { state: /held|unknown/, owner: null }, 'before its note');
  await lock.note({ runId: RUN, sink: 'http' });
  const held = await reportLock(dir);
  t.match(held, { state: /held|unknown/, owner: `process ${process.pid}, started `, runId: RUN });
  t.notMatch(lockText(held), /[Nn]o server/);
  const [own, earlier] = [RUN, 'fedcba9876543210'].map((runId) => markedLine(text('a'), runId).slice(0, -1));
  for (const [file, content, code] of [
    [name(1), own, 0],
    [name(2), earlier, 1],
    [name(3), line('a').subarray(0, -1), 1],
    [name(4), '{"id":"a","ty', 0],
  ] as const) {
    writeFileSync(join(dir, file), content ?? '');
    const reading = await tryInspect(toolFileSystem, dir, file);
    const written = 'content' in reading && mayBeWritten(held, reading.content);
    t.equal(written, code === 0, `${file} is being written, or of an earlier run`);
    const said = code === 0 ? /line 1, byte 0: the end is being written/ : /line break is lost/;
    t.match(await verified(dir), { code, out: said }, file);
    rmSync(join(dir, file));
  }
  await lock.release();
  t.match(await reportLock(dir), { state: /free|unknown/ });
  const unknown = { state: 'unknown', runId: null, why: 'so' } as const;
  t.match(lockText({ ...unknown, owner: `process ${process.pid}, x` }), 'Not known');
  t.match(lockText({ ...unknown, owner: `process ${process.pid}, x` }), 'that process lives');
  t.match(lockText({ ...unknown, owner: 'process 999999999, x' }), 'cannot be seen from here');
});

void t.test('wrong words are named with exit 78, wrong directories with exit 2', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  const cases: [string[], RegExp][] = [
    [[], /Say what to do: one of ls, verify, cat, replay \(--help/],
    [['list'], /Unknown command list: it must be one of ls, verify, cat, replay \(--help/],
    [['ls', '--jsn'], /Unknown flag --jsn/],
    [['ls', '--raw'], /--raw goes with cat, not with ls/],
    [['cat', '--dry-run'], /--dry-run goes with replay, not with cat/],
    [
      ['repair'],
      /^forebay-log: repair was removed: a start of the server sets damage aside in quarantine\/ and delivers/,
    ],
    [['--json', 'repair'], /repair was removed: /],
    [['repair', '--dry-run', '--log-dir', dir], /repair was removed: /],
    [['cat', 'repair'], /repair is not the name of a batch file/],
    [['verify', 'x'], /Unexpected argument x: verify takes none/],
    [['cat', '../secret'], /\.\.\/secret is not the name of a batch file, nor quarantine\/NAME/],
    [['cat', 'quarantine/..'], /quarantine\/\.\. is not the name/],
    [['ls', '--log-dir'], /--log-dir needs a value/],
    [['ls', '--', '--json'], /Unexpected argument --json: ls takes none/],
    [['ls', '--json=on'], /--json must be true or false, not "on"/],
  ];
  const unusable: [string[], RegExp][] = [
    [
      ['ls', '--log-dir', join(dir, 'none')],
      /The log directory .*none cannot be used: there is none of this name/,
    ],
    [['cat', '--log-dir', join(dir, 'file')], /The log directory .*file cannot be used: ENOTDIR/],
  ];
  for (const [args, message] of [...cases, ...unusable]) {
    const { code, out, err } = await tool(...args);
    const expected = unusable.some(([each]) => each === args) ? 2 : 78;
    t.match({ code, out }, { code: expected, out: /^$/ }, args.join(' '));
    t.match(err, message);
    t.match(err, /^forebay-log: .*\n$/);
  }
  t.match(await tool('-v'), { code: 0, out: `${VERSION}\n` });
  t.match(await tool('-h'), { code: 0, out: /forebay-log verify/ });
  const environment = { FOREBAY_LOG_DIR: dir, FOREBAY_PORT: '1' };
  t.match(await runHere(LOG_TOOL, ['ls'], { environment }), { code: 0, out: `No batch files in ${dir}` });
  t.match(readRequest(LOG_TOOL, ['ls'], {}), { command: 'ls', settings: { logDir: './append-log' } });
  t.same([0, 59, 61, 3600, 90_061].map(duration), ['0s', '59s', '1m 1s', '1h 0m', '1d 1h']);
});

void t.test('the program is the tool: its arguments, variables, output and exit code', async (t) => {
  const dir = damagedDir(t);
  const program = (...args: string[]): Promise<Ran> =>
    runProcess(process.execPath, ['bin/log.js', ...args], { FOREBAY_LOG_DIR: dir });
  t.match(await program('--help'), { code: 0, out: /node bin\/log\.js verify[^]*--raw/, err: /^$/ });
  for (const command of ['verify', 'cat']) {
    const { code, out, err } = await program(command);
    t.same({ code, out, err }, await tool(command, '--log-dir', dir));
  }
  t.match(await program('repair'), { code: 78, out: /^$/, err: /^forebay-log: repair was removed: .*\n$/ });
});

void t.test('beside a server under load nothing is called damage', async (t) => {
  const dir = tempDir(t);
  const flags = ['--log-dir', dir, '--sink-failure-rate', '0.9', '--sink-latency', '1', '--batch-size', '7'];
  const server = await ServerProcess.start(...flags, '--sink-concurrency', '4', '--id-window', '1h');
  t.teardown(() => server.stop('SIGKILL'));
  const accepted: string[] = [];
  const end = new AbortController();
  const load = Array.from({ length: 16 }, async (_each, worker) => {
    for (let n = 0; !end.signal.aborted; n++) {
      const id = `${worker}-${n}`;
      const { statusCode, body } = await request(server.url, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ id, type: 't', data: 'x'.repeat(500) }),
      });
      await body.dump();
      if (statusCode === 202) accepted.push(id);
      await sleep(10);
    }
  });
  for (let round = 1; round <= 3; round++) {
    await until(() => accepted.length > 50 * round, 'events come in');
    const [cat, found, listed] = await Promise.all([
      tool('cat', '--log-dir', dir),
      tool('verify', '--log-dir', dir),
      tool('ls', '--json', '--log-dir', dir),
    ]);
    t.same([cat.code, cat.err], [0, '']);
    t.ok(
      cat.out
        .split('\n')
        .slice(0, -1)
        .every((each) => (JSON.parse(each) as { id: string }).id.includes('-')),
    );
    t.match(found, { code: 0, out: /: all are sound[^]*of the id window .*: all are sound/ });
    t.match(
      found.out,
      /^(A server runs on it|Not known whether a server runs on it): .*process \d+, started /m,
    );
    t.match(listed.code, 0);
  }
  end.abort();
  await Promise.all(load);
  t.equal(await server.stop('SIGKILL'), null);
  const { out } = await tool('ls', '--log-dir', dir);
  t.match(out, /^(No server runs on it \(last locked by process \d+|Not known)/m);
  t.equal((await tool('verify', '--log-dir', dir)).code, 0);
});

void t.test(
  'a start sets aside what verify calls damage, byte for byte, and delivers the rest',
  async (t) => {
    const dir = damagedDir(t);
    writeFileSync(join(dir, `${name(3)}.repair`), line('never')); // an earlier version has left it
    const sinkFile = join(tempDir(t), 'sink.jsonl');
    const server = await ServerProcess.start('--log-dir', dir, '--sink', 'file', '--sink-file', sinkFile);
    await until(() => readdirSync(dir).every((each) => !isBatchName(each)), 'every file is delivered');
    t.match(server.lines.join('\n'), `Not a batch file, left alone: ${join(dir, name(3))}.repair`);
    t.equal(await server.stop('SIGTERM'), 0);
    t.equal(readFileSync(sinkFile, 'utf8'), everySound);
    for (const [index, { damaged }] of KINDS.entries()) {
      const aside = join(dir, 'quarantine', name(index + 1));
      t.same(
        existsSync(aside) ? readFileSync(aside) : Buffer.alloc(0),
        Buffer.concat(damaged),
        name(index + 1),
      );
    }
    t.match(await verified(dir), { code: 0, out: /^Read 0 batch files .*\n4 files in quarantine\// });
  },
);

void t.test(
  'a pipe as lock file stops neither a start nor the tool for ever',
  { skip: process.platform === 'win32' },
  async (t) => {
    const dir = tempDir(t);
    execFileSync('mkfifo', [join(dir, 'forebay.lock')]);
    await t.rejects(lockDirectory(toolFileSystem, dir), /forebay\.lock is no plain file/);
    t.match(await reportLock(dir), { owner: null });
  },
);

void t.test('the directories of workers are looked at as well', async (t) => {
  const dir = tempDir(t);
  for (const worker of [1, 2, 10]) {
    mkdirSync(join(dir, `worker-${worker}`));
    writeFileSync(join(dir, `worker-${worker}`, name(worker)), line(`of${worker}`));
  }
  writeFileSync(join(dir, name(1)), line('own'));
  writeFileSync(join(dir, 'worker-3'), 'no directory');
  const listed = await tool('ls', '--log-dir', dir);
  t.equal(listed.code, 0);
  const places = [...listed.out.matchAll(/^(.*\/worker-\d+):$/gm)].map(([, place]) => place);
  t.same(
    places,
    [1, 2, 10].map((worker) => join(dir, `worker-${worker}`)),
  );
  t.equal(listed.out.match(/1 batch file,/g)?.length, 4);
  t.equal(listed.out.match(/worker-\d+: not a batch file/g)?.length, 1, 'a file of that name is foreign');
  const json = await tool('ls', '--json', '--log-dir', dir);
  const rows = json.out
    .trim()
    .split('\n')
    .map((row) => JSON.parse(row) as { kind: string; name?: string });
  t.same(
    rows.filter(({ kind }) => kind === 'directory').map((row) => row.name),
    ['worker-1', 'worker-2', 'worker-10'],
  );
  const all = await tool('cat', '--log-dir', dir);
  t.same(
    [...all.out.matchAll(/"id":"(\w+)"/g)].map(([, id]) => id),
    ['own', 'of1', 'of2', 'of10'],
  );
  t.equal((await tool('cat', name(1), '--log-dir', dir)).out.match(/"id"/g)?.length, 1);
  writeFileSync(join(dir, 'worker-2', name(2)), 'garbage\n');
  t.equal((await tool('verify', '--log-dir', dir)).code, 1, 'damage anywhere is damage');
  t.match(await tool('cat', 'worker-1/x', '--log-dir', dir), { code: 78, err: /--log-dir DIR\/worker-1/ });
});
