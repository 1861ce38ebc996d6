import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
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
import { readBatchLines } from '../../lib/logs/file/batch-lines.js';
import { lockDirectory } from '../../lib/logs/file/directory-lock.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { readCommandLine } from '../../tools/log/command-line.js';
import { list } from '../../tools/log/list.js';
import { tryInspect } from '../../tools/log/batch-file-reading.js';
import { lockText, mayBeWritten, reportLock } from '../../tools/log/lock-report.js';
import { print } from '../../tools/log/print.js';
import { repair } from '../../tools/log/repair.js';
import { toolFileSystem } from '../../tools/log/tool-file-system.js';
import type { ToolFileSystem } from '../../tools/log/tool-file-system.js';
import { verify } from '../../tools/log/verify.js';
import { duration } from '../../tools/log/words.js';
import { VERSION } from '../../lib/base/version.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

interface Ran {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** What a command printed. */
class Collected {
  closed = false;
  text = '';
  write(chunk: string | Buffer): Promise<void> {
    this.text += chunk.toString();
    return Promise.resolve();
  }
}

const run = (command: string, args: readonly string[], environment = {}): Promise<Ran> => {
  const child = spawn(command, args, { env: { ...process.env, ...environment } });
  let out = '';
  let err = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (out += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (err += text));
  return once(child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
};
const tool = (...args: string[]): Promise<Ran> => run(process.execPath, ['bin/log.js', ...args]);

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

/** Each kind of damage in a file of its own: what the file holds, its sound events, what verify and repair make of it. */
const KINDS: readonly {
  readonly file: Buffer;
  readonly events: readonly string[];
  readonly damaged: readonly Buffer[];
  readonly said: readonly string[];
  /** The sound lines, as the file holds them after a repair; `null`: the file is deleted. */
  readonly after: Buffer | null;
}[] = [
  { file: line('a'), events: ['a'], damaged: [], said: [], after: line('a') },
  {
    file: Buffer.concat([line('a'), flipped(line('b'), 9), line('c'), Buffer.from('garbage\n'), line('d')]),
    events: ['a', 'c', 'd'],
    damaged: [flipped(line('b'), 9), Buffer.from('garbage\n')],
    said: [
      `line 2, byte ${LENGTH}: the mark does not fit (${LENGTH} bytes)`,
      `line 4, byte ${3 * LENGTH}: no mark (8 bytes)`,
    ],
    after: Buffer.concat([line('a'), line('c'), line('d')]),
  },
  {
    file: Buffer.concat([line('a'), line('b').subarray(0, 17)]),
    events: ['a'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: torn end of 17 bytes that were never acknowledged (warning)`],
    after: line('a'),
  },
  {
    file: Buffer.concat([line('a'), line('b').subarray(0, -1)]),
    events: ['a', 'b'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: the last line break is lost; the event before it is sound`],
    after: Buffer.concat([line('a'), line('b')]),
  },
  {
    file: flipped(Buffer.concat([line('a'), line('b')]), 2 * LENGTH - 1, 6),
    events: ['a', 'b'],
    damaged: [],
    said: [`line 2, byte ${LENGTH}: the last line break is lost; the event before it is sound`],
    after: Buffer.concat([line('a'), line('b')]),
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
    after: null,
  },
  {
    file: Buffer.concat([Buffer.from('\n'), line('a'), Buffer.from('no brace')]),
    events: ['a'],
    damaged: [Buffer.from('\n'), Buffer.from('no brace')],
    said: ['line 1, byte 0: no mark (1 byte)', `line 3, byte ${LENGTH + 1}: no mark (8 bytes)`],
    after: line('a'),
  },
  {
    file: Buffer.from(`${text('a')}\n{"id":1}\n${text('b')}`), // without marks, as by hand
    events: ['a', 'b'],
    damaged: [Buffer.from('{"id":1}\n')],
    said: [
      `line 2, byte ${Buffer.byteLength(text('a')) + 1}: no event (9 bytes)`,
      `line 3, byte ${Buffer.byteLength(text('a')) + 10}: the last line break is lost; the event before it is sound`,
    ],
    after: Buffer.from(`${text('a')}\n${text('b')}\n`),
  },
  {
    file: Buffer.alloc(20), // a page that was never written
    events: [],
    damaged: [],
    said: ['line 1, byte 0: torn end of 20 bytes that were never acknowledged (warning)'],
    after: null,
  },
];

function damagedDir(t: Test): string {
  const dir = tempDir(t);
  for (const [index, { file }] of KINDS.entries()) writeFileSync(join(dir, name(index + 1)), file);
  return dir;
}

const everySound = KINDS.flatMap(({ events }) => events.map((id) => `${text(id)}\n`)).join('');

/** What a server would deliver from the directory. */
const delivered = (dir: string): string =>
  readdirSync(dir)
    .filter(isBatchName)
    .map((each) => readBatchLines(readFileSync(join(dir, each)), false).bytes.toString())
    .join('');
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
const repaired = async (
  dir: string,
  fs: ToolFileSystem = toolFileSystem,
  dryRun = false,
  bounds?: FileBounds,
): Promise<Ran> => {
  const output = new Collected();
  const parts = bounds === undefined ? {} : { bounds };
  return { code: await repair({ fs, dir, dryRun, output, ...parts }), out: output.text, err: '' };
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
  t.match(await repaired(dir), { code: 0, out: /nothing to repair/ });
  t.same(readdirSync(dir), [], 'nor is a lock file made there');
  writeFileSync(join(dir, name(1)), KINDS[2]?.file ?? '');
  t.match(await verified(dir), {
    code: 0,
    out: /warning.*\nRead 1 batch file .*: all are sound, 1 torn end\n/,
  });
});

void t.test('verify finds every flipped bit, at its line', async (t) => {
  const dir = tempDir(t);
  const whole = Buffer.concat([line('a'), line('b')]);
  for (const file of [whole, line('a')]) {
    for (let bit = 0; bit < 8 * file.length; bit++) {
      const at = bit >> 3;
      writeFileSync(join(dir, name(1)), flipped(file, at, bit & 7));
      const { code, out } = await verified(dir);
      const first = at < LENGTH ? 'line 1, byte 0: ' : `line 2, byte ${LENGTH}: `;
      if (code !== 1 || !out.startsWith(`${name(1)}: ${first}`)) t.fail(`bit ${bit}: exit ${code}, ${out}`);
    }
  }
});

void t.test('ls lists batches in order of delivery, and all else', async (t) => {
  const dir = damagedDir(t);
  writeFileSync(join(dir, name(10)), line('z'));
  mkdirSync(join(dir, 'quarantine'));
  writeFileSync(join(dir, 'quarantine', name(1)), 'bad\n');
  writeFileSync(join(dir, 'no\u001btes'), '');
  writeFileSync(join(dir, `${name(1)}.repair`), 'left');
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
  t.match(out, `${name(1)}.repair: left by a repair that did not end; the next one removes it\n`);
  t.match(out, 'no\\u001btes: not a batch file, left alone\n');
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

void t.test('a reader that goes is a quiet end, a full disk is not', async (t) => {
  const dir = tempDir(t);
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => line('a')));
  for (let n = 1; n <= 3; n++) writeFileSync(join(dir, name(n)), many);
  const cat = `${process.execPath} bin/log.js cat --log-dir ${dir}`;
  const piped = await run('bash', ['-c', `${cat} | head -n 1; echo $\{PIPESTATUS[0]}`]);
  t.same(piped, { code: 0, out: `${text('a')}\n0\n`, err: '' });
  if (existsSync('/dev/full')) {
    t.match(await run('bash', ['-c', `${cat} > /dev/full`]), { code: 2, err: /^forebay-log: ENOSPC.*\n$/ });
  }
  const slow = await run('bash', ['-c', `${cat} | (sleep 0.3; wc -l)`]);
  t.equal(slow.out.trim(), '60000', 'and a slow one gets everything');
});

void t.test('repair sets damage aside and keeps every sound byte; again, it has nothing to do', async (t) => {
  const dir = damagedDir(t);
  const before = snapshot(dir);
  const dry = await tool('repair', '--dry-run', '--log-dir', dir);
  t.equal(dry.code, 0);
  t.equal(snapshot(dir), before, 'a dry run changes nothing');
  const { code, out } = await tool('repair', '--log-dir', dir);
  t.equal(code, 0);
  t.match(out, `${name(2)}: 2 damaged lines set aside in quarantine/${name(2)} (lines 2, 4)\n`);
  t.match(out, `${name(2)}: rewritten with its 3 sound events, ${3 * LENGTH} bytes\n`);
  t.match(out, `${name(3)}: torn end of 17 bytes cut off; it was never acknowledged (line 2)\n`);
  t.match(out, `${name(4)}: lost last line break mended (line 2)\n`);
  t.match(out, `${name(6)}: deleted: it holds no sound line\n`);
  t.match(out, '8 of 9 batch files repaired (8 lines set aside); all are sound now\n');
  const undone = dry.out.replaceAll(': to do: ', ': ').replace('would be repaired', 'repaired');
  t.equal(
    undone.replace('nothing was changed', 'all are sound now'),
    out.replace(/quarantine\/\S+/g, 'quarantine/'),
    'and a dry run says the same',
  );
  for (const [index, { after, damaged }] of KINDS.entries()) {
    const path = join(dir, name(index + 1));
    t.same(existsSync(path) ? readFileSync(path) : null, after, name(index + 1));
    const aside = join(dir, 'quarantine', name(index + 1));
    t.same(existsSync(aside) ? readFileSync(aside) : Buffer.alloc(0), Buffer.concat(damaged));
  }
  t.equal(delivered(dir), everySound);
  t.match(await verified(dir), { code: 0, out: /all are sound\n/ });
  const names = (): string => snapshot(dir).replace(/^(?:forebay\.lock|operations\.jsonl) .*/gm, '');
  const after = names();
  t.match(await repaired(dir), { code: 0, out: /^0 of 7 batch files repaired; all are sound now\n$/ });
  t.equal(names(), after);
});

void t.test('the only line of a file gets its line break back', async (t) => {
  const dir = tempDir(t);
  for (let bit = 0; bit < 8; bit++) {
    writeFileSync(join(dir, name(1)), flipped(line('a'), LENGTH - 1, bit));
    t.equal((await repaired(dir)).code, 0);
    t.same(readFileSync(join(dir, name(1))), line('a'), `bit ${bit}`);
  }
});

void t.test('what is in the quarantine is never replaced by something else or less', async (t) => {
  const dir = tempDir(t);
  const aside = join(dir, 'quarantine');
  mkdirSync(aside);
  const cases: [there: string, used: string][] = [
    ['other\n', `${name(1)}.2`],
    ['bad one\nba', name(1)],
    ['bad one\nbad two\nbad three\n', `${name(1)}.2`],
  ];
  for (const [there, used] of cases) {
    rmSync(join(aside, `${name(1)}.2`), { force: true });
    writeFileSync(join(aside, name(1)), there);
    writeFileSync(join(dir, name(1)), 'bad one\nbad two\n');
    t.match(await repaired(dir), {
      code: 0,
      out: `2 damaged lines set aside in quarantine/${used} (lines 1, 2)`,
    });
    t.equal(readFileSync(join(aside, used), 'utf8'), 'bad one\nbad two\n');
    if (used !== name(1)) t.equal(readFileSync(join(aside, name(1)), 'utf8'), there);
  }
});

const METHODS = [
  'open',
  'close',
  'read',
  'write',
  'fsync',
  'fstat',
  'lstat',
  'mkdir',
  'opendir',
  'unlink',
  'rename',
] as const;
type Arguments = [...unknown[], (error: Error | null, value?: unknown) => void];

/** A file system whose k-th call fails, or, as in a crash, the k-th and all after it. `calls` tells what was asked. */
function failingAt(
  k: number,
  crash: boolean,
): { fs: ToolFileSystem; calls: string[]; failed: () => boolean } {
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const paths = new Map<unknown, string>();
  const calls: string[] = [];
  for (const method of METHODS) {
    const real = toolFileSystem[method] as (...args: unknown[]) => void;
    const replaced = (...args: Arguments): void => {
      const done = args.at(-1) as (error: Error | null, value?: unknown) => void;
      const fails = crash ? calls.length >= k : calls.length === k;
      calls.push(`${method} ${paths.get(args[0]) ?? String(args[0])}`);
      const failure = Object.assign(new Error(`EIO: call ${k} (${method})`), { code: 'EIO' });
      if (!fails) {
        real(...args.slice(0, -1), (error: Error | null, value: unknown) => {
          if (method === 'open' && error === null) paths.set(value, String(args[0]));
          done(error, value);
        });
      } else if (method === 'close') {
        real(args[0], () => done(failure)); // the process's end would close it, too
      } else if (method === 'write') {
        const [fd, bytes, offset, length, position] = args as unknown as [
          number,
          Buffer,
          number,
          number,
          number,
        ];
        real(fd, bytes, offset, Math.floor(length / 2), position, () => done(failure));
      } else {
        setImmediate(done, failure);
      }
    };
    Object.defineProperty(fs, method, { value: replaced });
  }
  return { fs, calls, failed: () => calls.length > k };
}

void t.test(
  'a repair that fails or is killed at any call loses nothing, and the next one ends it',
  async (t) => {
    for (const crash of [true, false]) {
      let k = 0;
      for (let failed = true; failed; k++) {
        const dir = damagedDir(t);
        writeFileSync(join(dir, `${name(2)}.repair`), 'left by a crash');
        const disk = failingAt(k, crash);
        const first = await repaired(dir, disk.fs).catch((error: unknown) => ({
          code: 2,
          out: String(error),
        }));
        failed = disk.failed();
        const where = `${crash ? 'crash at' : 'failure of'} call ${k}: ${disk.calls[k]}`;
        if (delivered(dir) !== everySound) t.fail(`${where}: ${delivered(dir)}`);
        for (const [index, { damaged }] of KINDS.entries()) {
          const files = [join(dir, name(index + 1)), ...asides(dir, name(index + 1))].filter(existsSync);
          const there = Buffer.concat(files.map((path) => readFileSync(path)));
          if (!damaged.every((bytes) => there.includes(bytes))) t.fail(`${where}: lost damaged bytes`);
        }
        if (!failed) t.equal(first.code, 0);
        const second = await repaired(dir);
        if (second.code !== 0) t.fail(`${where}: then ${second.out}`);
        if ((await verified(dir)).code !== 0 || delivered(dir) !== everySound) t.fail(`${where}: not sound`);
        for (const [index, { after, damaged }] of KINDS.entries()) {
          const path = join(dir, name(index + 1));
          const content = existsSync(path) ? readFileSync(path) : null;
          if (content?.toString('hex') !== after?.toString('hex')) t.fail(`${where}: ${name(index + 1)}`);
          const aside = Buffer.concat(asides(dir, name(index + 1)).map((each) => readFileSync(each)));
          if (!aside.includes(Buffer.concat(damaged))) t.fail(`${where}: quarantine of ${name(index + 1)}`);
        }
        const left = readdirSync(dir).filter((each) => each.endsWith('.repair'));
        if (left.length > 0) t.fail(`${where}: left ${left.join()}`);
      }
      t.ok(k > 100, `${k} calls, each failed once`);
    }
  },
);

function asides(dir: string, batch: string): string[] {
  const aside = join(dir, 'quarantine');
  if (!existsSync(aside)) return [];
  return readdirSync(aside)
    .filter((each) => each.startsWith(batch))
    .map((each) => join(aside, each));
}

void t.test('a repair flushes what replaces something before it replaces it', async (t) => {
  const dir = damagedDir(t);
  const { fs, calls } = failingAt(Infinity, false);
  await repaired(dir, fs);
  const lastBefore = (call: string, end: number): number => calls.lastIndexOf(call, end);
  for (const [index, { damaged, after, said }] of KINDS.entries()) {
    if (said.length === 0) continue;
    const path = join(dir, name(index + 1));
    const changed = calls.indexOf(after === null ? `unlink ${path}` : `rename ${path}.repair`);
    t.ok(changed > 0, path);
    t.ok(calls.indexOf(`fsync ${dir}`, changed) > changed, 'the change is flushed');
    if (after !== null) {
      const flushed = lastBefore(`fsync ${path}.repair`, changed);
      t.ok(flushed > lastBefore(`write ${path}.repair`, changed), 'the new file is flushed');
    }
    if (damaged.length === 0) continue;
    const aside = join(dir, 'quarantine', name(index + 1));
    const flushed = lastBefore(`fsync ${aside}`, changed);
    t.ok(flushed > lastBefore(`write ${aside}`, changed), 'the quarantined lines are');
    const named = lastBefore(`fsync ${join(dir, 'quarantine')}`, changed);
    t.ok(named > flushed, 'their name is');
    const first = calls.indexOf(`write ${aside}`);
    const created = calls.indexOf(`mkdir ${join(dir, 'quarantine')}`);
    t.ok(created >= 0 && first > created, 'the folder is created first');
    t.ok(lastBefore(`fsync ${dir}`, first) > created, 'and its name flushed');
  }
});

void t.test('an unreadable file is named and counted, and the others go on', async (t) => {
  const dir = damagedDir(t);
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  const open = toolFileSystem.open as (...args: unknown[]) => void;
  const gone = new Map([[name(1), 'ENOENT']]);
  const refuse = (...args: Arguments): void => {
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
  const mended = await repaired(dir, fs);
  t.match(mended, { code: 1, out: `${name(2)}: could not be repaired: unreadable: EACCES: no\n` });
  t.match(mended.out, '7 of 8 batch files repaired (6 lines set aside); 1 could not be\n');
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
  await t.rejects(repaired(writeOne(dir), toolFileSystem, true), { code: 'LOG_DIR_LOCKED' });
  await t.rejects(repaired(dir), { code: 'LOG_DIR_LOCKED', message: `process ${process.pid}, started ` });
  await lock.release();
  t.match(await reportLock(dir), { state: /free|unknown/ });
  const unknown = { state: 'unknown', runId: null, why: 'so' } as const;
  t.match(lockText({ ...unknown, owner: `process ${process.pid}, x` }), 'Not known');
  t.match(lockText({ ...unknown, owner: `process ${process.pid}, x` }), 'that process lives');
  t.match(lockText({ ...unknown, owner: 'process 999999999, x' }), 'cannot be seen from here');
});

function writeOne(dir: string): string {
  writeFileSync(join(dir, name(1)), line('a'));
  return dir;
}

void t.test('a repair leaves in the lock file which sink the directory was written for', async (t) => {
  const dir = writeOne(tempDir(t));
  const lock = await lockDirectory(toolFileSystem, dir);
  await lock.note({ runId: RUN, sink: 'http' });
  await lock.release();
  await repaired(dir);
  const next = await lockDirectory(toolFileSystem, dir);
  t.match(next.before, { runId: RUN, sink: 'http', owner: `process ${process.pid}, started ` });
  await next.release();
});

void t.test(
  'repair refuses to work as another user than the server',
  { skip: process.geteuid?.() !== 0 },
  async (t) => {
    const dir = writeOne(tempDir(t));
    const { chownSync } = await import('node:fs');
    chownSync(dir, 12_345, 12_345);
    await t.rejects(repaired(dir), { code: 'LOG_DIR_UNUSABLE', message: 'runs as, 12345' });
    t.same(readdirSync(dir), [name(1)]);
  },
);

void t.test('wrong words are named with exit 78, wrong directories with exit 2', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  const cases: [string[], RegExp][] = [
    [[], /Say what to do: one of ls, verify, cat, repair/],
    [['list'], /Unknown command list: it must be one of ls, verify, cat, repair/],
    [['ls', '--jsn'], /Unknown flag --jsn/],
    [['ls', '--raw'], /--raw goes with cat, not with ls/],
    [['cat', '--dry-run'], /--dry-run goes with repair, not with cat/],
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
    [['repair', '--log-dir', join(dir, 'none')], /The log directory .*none cannot be used: there is none/],
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
  t.match(await tool('-h'), { code: 0, out: /node bin\/log\.js repair/ });
  t.match(await tool('--help'), { code: 0, out: /node bin\/log\.js repair[^]*--dry-run/ });
  const fromVariable = { FOREBAY_LOG_DIR: dir, FOREBAY_PORT: '1' };
  t.match(await run(process.execPath, ['bin/log.js', 'ls'], fromVariable), {
    code: 0,
    out: `No batch files in ${dir}`,
  });
  t.equal(readCommandLine(['ls'], {}).settings.logDir, './append-log');
  t.same([0, 59, 61, 3600, 90_061].map(duration), ['0s', '59s', '1m 1s', '1h 0m', '1d 1h']);
});

void t.test('beside a server under load nothing is called damage, and repair is refused', async (t) => {
  const dir = tempDir(t);
  const flags = ['--log-dir', dir, '--sink-failure-rate', '0.9', '--sink-latency', '1', '--batch-size', '7'];
  const server = await ServerProcess.start(...flags, '--sink-concurrency', '4');
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
  for (let round = 0; round < 3; round++) {
    const [cat, found, listed, refused] = await Promise.all([
      tool('cat', '--log-dir', dir),
      tool('verify', '--log-dir', dir),
      tool('ls', '--json', '--log-dir', dir),
      tool('repair', '--log-dir', dir),
    ]);
    t.same([cat.code, cat.err], [0, '']);
    t.ok(
      cat.out
        .split('\n')
        .slice(0, -1)
        .every((each) => (JSON.parse(each) as { id: string }).id.includes('-')),
    );
    t.match(found, { code: 0, out: /: all are sound/ });
    t.match(
      found.out,
      /^(A server runs on it|Not known whether a server runs on it): .*process \d+, started /m,
    );
    t.match(listed.code, 0);
    t.match(refused, {
      code: 2,
      out: '',
      err: /Another server uses the log directory .*: process \d+, started /,
    });
  }
  end.abort();
  await Promise.all(load);
  t.equal(await server.stop('SIGKILL'), null);
  const { out } = await tool('ls', '--log-dir', dir);
  t.match(out, /^(No server runs on it \(last locked by process \d+|Not known)/m);
  t.equal((await tool('verify', '--log-dir', dir)).code, 0);
  t.match(await tool('repair', '--log-dir', dir), {
    code: 0,
    out: /^0 of \d+ batch files repaired|torn end/,
  });
  t.ok(accepted.length > 50);
});

void t.test('a server takes a repaired directory, and leaves a half repaired one alone', async (t) => {
  const dir = damagedDir(t);
  await repaired(dir);
  writeFileSync(join(dir, `${name(3)}.repair`), line('never'));
  const sinkFile = join(tempDir(t), 'sink.jsonl');
  const server = await ServerProcess.start('--log-dir', dir, '--sink', 'file', '--sink-file', sinkFile);
  t.match(server.lines.join('\n'), `Not a batch file, left alone: ${join(dir, name(3))}.repair`);
  t.notMatch(server.lines.join('\n'), /Damaged|Torn/);
  t.equal(await server.stop('SIGTERM'), 0);
  t.equal(readFileSync(sinkFile, 'utf8'), everySound);
  t.match(await repaired(dir), {
    code: 0,
    out: `${name(3)}.repair: removed: left by a repair that did not end\n`,
  });
});

void t.test('a repair leaves no file open', async (t) => {
  const dir = tempDir(t);
  for (let n = 1; n <= 5; n++)
    writeFileSync(join(dir, name(n)), Buffer.concat([line('a'), flipped(line('b'), 9)]));
  const open = new Set<number>();
  const fs = Object.create(toolFileSystem) as ToolFileSystem;
  Object.defineProperty(fs, 'open', {
    value: (...args: unknown[]) => {
      const done = args.at(-1) as (error: Error | null, fd: number) => void;
      const noted = (error: Error | null, fd: number): void => {
        if (error === null) open.add(fd);
        done(error, fd);
      };
      (toolFileSystem.open as (...all: unknown[]) => void)(...args.slice(0, -1), noted);
    },
  });
  Object.defineProperty(fs, 'close', {
    value: (fd: number, done: (error: Error | null) => void) => {
      open.delete(fd);
      toolFileSystem.close(fd, done);
    },
  });
  t.equal(await repair({ fs, dir, dryRun: false, output: new Collected() }), 0);
  t.same([...open], []);
});

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
