import {
  cpSync,
  existsSync,
  fstatSync,
  lstat,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import type { AppendLogOptions } from '../../../lib/logs/file/append-log-options.js';
import { BLOCK_BYTES, diskBytes } from '../../../lib/logs/file/disk-blocks.js';
import { BatchNames, compareBatchNames, isBatchName } from '../../../lib/logs/file/batch-name.js';
import { nodeFileSystem } from '../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { sealedFiles, sumsOfBatches } from '../../../lib/logs/file/sealed-files.js';
import type { PendingBatch } from '../../../lib/seams/batch.js';
import { runMark } from '../../../lib/logs/file/run-mark.js';
import { markedBytes, markedLine, writeMarkedLine } from '../../../lib/logs/file/checksum.js';
import { Reporter } from '../../../lib/base/reporter.js';
import { heldDisk } from '../../helpers/held-disk.js';
import { tempDir } from '../../helpers/temp-dir.js';
import { until } from '../../helpers/wait-for.js';

const line = (id: string): string => `{"id":"${id}","type":"t","data":1,"timestamp":1}\n`;
const lines = (...ids: string[]): Buffer =>
  Buffer.from(ids.map((id) => markedLine(line(id).trim())).join(''));
const plain = (...ids: string[]): string => ids.map(line).join('');

interface Said {
  readonly warnings: string[];
  readonly errors: string[];
}

async function openLog(
  t: Test,
  dir: string,
  options: Partial<AppendLogOptions> = {},
): Promise<AppendLog & Said> {
  const said: Said = { warnings: [], errors: [] };
  const logger = {
    debug() {},
    info() {},
    warn: (_fields: object, text: string) => said.warnings.push(text),
    error: (_fields: object, text: string) => said.errors.push(text),
  };
  const log = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter(logger), ...options });
  t.teardown(() => log.close());
  return Object.assign(log, said);
}

const batchFiles = (dir: string): string[] =>
  readdirSync(dir).filter(isBatchName).toSorted(compareBatchNames);

void t.test('what is appended to a batch is read back, byte for byte, and gone when deleted', async (t) => {
  const dir = join(tempDir(t), 'a', 'b');
  const log = await openLog(t, dir);
  const file = await log.writer.create();
  await log.writer.append(file, lines('a', 'b'), 2);
  await log.writer.append(file, lines('c'), 1);
  const batch = log.writer.seal(file, 'size');
  t.ok(batch);
  if (batch === null) return;
  const { length } = lines('a', 'b', 'c');
  t.same(batch, {
    name: file.name,
    events: 3,
    logBytes: length,
    isAcknowledged: true,
    bornMs: file.bornMs,
    leftover: false,
    past: null,
  });
  const [listed, ...others] = await log.list(null, 10);
  t.same(others, []);
  t.match(listed, { ...batch, isAcknowledged: false, events: null, bornMs: Number });
  const ageMs = performance.now() - (listed?.bornMs ?? NaN);
  t.ok(ageMs >= 0 && ageMs < 60_000, 'about the time in its name');
  t.equal(log.pendingBytes, diskBytes(length));
  const read = await log.read(batch);
  t.equal(read.bytes.toString(), plain('a', 'b', 'c'));
  t.equal(read.events, 3);
  t.equal(log.pendingEvents, 3);
  await log.delete(read);
  t.same(batchFiles(dir), []);
  t.equal(log.pendingEvents, 0);
  t.equal(log.pendingBytes, 0);
  await log.delete({ name: batch.name, events: 0, logBytes: 0 }); // gone already: no error
});

void t.test('a file that is being written is no part of the backlog', async (t) => {
  const log = await openLog(t, tempDir(t));
  const file = await log.writer.create();
  await log.writer.append(file, lines('a'), 1);
  t.same(await log.list(null, 10), []);
  log.writer.seal(file, 'size');
  t.equal((await log.list(null, 10)).length, 1);
});

void t.test('batches are listed by time, then by number, at most so many, after a name', async (t) => {
  const dir = tempDir(t);
  const names = [
    'batch_20250101_000000_2.jsonl',
    'batch_20250101_000000_10.jsonl',
    'batch_20250101_000001_1.jsonl',
    'batch_20250102_000000_1.jsonl',
  ];
  for (const name of names.toReversed()) writeFileSync(join(dir, name), lines(name));
  const log = await openLog(t, dir);
  const list = async (after: string | null, most: number): Promise<string[]> =>
    (await log.list(after, most)).map(({ name }) => name);
  t.same(await list(null, 100), names);
  t.same(await list(null, 1), names.slice(0, 1));
  t.same(await list(names[1] ?? '', 100), names.slice(2));
  t.ok((await log.list(null, 100)).every(({ leftover }) => leftover));
  t.equal(log.leftoverBatches, 4);
});

void t.test('a new batch comes after all leftovers, also ones from the future', async (t) => {
  const dir = tempDir(t);
  const future = 'batch_29990101_000000_7.jsonl';
  writeFileSync(join(dir, future), lines('a'));
  const log = await openLog(t, dir);
  const file = await log.writer.create();
  await log.writer.append(file, lines('b'), 1);
  log.writer.seal(file, 'size');
  t.equal(file.name, 'batch_29990101_000000_8.jsonl');
  t.same(
    (await log.list(null, 10)).map(({ leftover }) => leftover),
    [true, false],
  );
});

void t.test('near the end of the numbers names go on that a start takes for batches', (t) => {
  const nowMs = Date.UTC(2026, 0, 1);
  const at = (newest: string, clockMs: number = nowMs): string => {
    const names = new BatchNames(newest, () => clockMs);
    const [first, second] = [names.next(), names.next()];
    for (const name of [first, second]) t.ok(isBatchName(name), name);
    t.ok(compareBatchNames(newest, first) < 0 && compareBatchNames(first, second) < 0, `${newest} ${first}`);
    return first;
  };
  t.equal(at('batch_20260101_000000_4503599627370494.jsonl'), 'batch_20260101_000000_4503599627370495.jsonl');
  t.equal(at('batch_20260101_000000_4503599627370495.jsonl'), 'batch_20260101_000001_1.jsonl');
  t.equal(at('batch_20991231_235959_4503599627370495.jsonl'), 'batch_21000101_000000_1.jsonl');
  t.equal(at('batch_99991231_235959_1.jsonl'), 'batch_99991231_235959_2.jsonl');
  // a clock may say anything
  t.equal(at('batch_20260101_000000_1.jsonl', 8.64e15), 'batch_99991231_235959_1.jsonl');
  const last = new BatchNames('batch_99991231_235959_4503599627370495.jsonl', () => nowMs);
  t.throws(() => last.next(), /no name comes after batch_99991231_235959_4503599627370495\.jsonl/);
  t.throws(() => last.next(), /no name/, 'whenever it is asked for');
  t.end();
});

void t.test('names count up, whatever the clock does', (t) => {
  let nowMs = Date.UTC(2025, 11, 11, 1, 28, 0);
  const names = new BatchNames(null, () => nowMs);
  t.equal(names.next(), 'batch_20251211_012800_1.jsonl');
  t.equal(names.next(), 'batch_20251211_012800_2.jsonl');
  nowMs += 1000;
  t.equal(names.next(), 'batch_20251211_012801_3.jsonl');
  nowMs -= 3_600_000;
  t.equal(names.next(), 'batch_20251211_012801_4.jsonl');
  t.equal(
    new BatchNames('batch_20251211_012801_4.jsonl', () => nowMs).next(),
    'batch_20251211_012801_5.jsonl',
  );
  nowMs += 7_200_000;
  t.equal(
    new BatchNames('batch_20251211_012801_4.jsonl', () => nowMs).next(),
    'batch_20251211_022801_1.jsonl',
  );
  t.end();
});

void t.test('a torn end is dropped, counted and said; the rest is read', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), `${line('a')}${line('b')}{"id":"c","ty`);
  const log = await openLog(t, dir);
  const [batch] = await log.list(null, 10);
  t.ok(batch);
  if (batch === undefined) return;
  const read = await log.read(batch);
  t.equal(read.bytes.toString(), line('a') + line('b'));
  t.equal(read.events, 2);
  t.equal(log.torn, 1);
  t.match(log.warnings, [/Torn end of .*batch_20250101_000000_1.jsonl: dropped 13 bytes/]);
});

void t.test('an empty file is a batch without events', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), '');
  const log = await openLog(t, dir);
  const [batch] = await log.list(null, 10);
  t.ok(batch);
  if (batch)
    t.match(await log.read(batch), { name: batch.name, events: 0, bytes: Buffer.alloc(0), logBytes: 0 });
});

void t.test('damaged lines are set aside byte for byte, and the rest is read', async (t) => {
  const dir = tempDir(t);
  const name = 'batch_20250101_000000_1.jsonl';
  const damaged = [
    Buffer.from('{"id":"x","ty\n'),
    Buffer.from([0xff, 0x00, 0x0a]),
    Buffer.from('{"id":"\xff","type":"t","data":1,"timestamp":1}\n', 'latin1'),
    Buffer.from('\n'),
    Buffer.from('{"id":1}\n'),
  ];
  writeFileSync(join(dir, name), Buffer.concat([lines('a'), ...damaged, lines('b')]));
  const log = await openLog(t, dir);
  const [batch] = await log.list(null, 10);
  t.ok(batch);
  if (batch === undefined) return;
  const read = await log.read(batch);
  t.equal(read.bytes.toString(), line('a') + line('b'));
  t.equal(read.events, 2);
  t.same(readFileSync(join(dir, 'quarantine', name)), Buffer.concat(damaged));
  t.equal(log.quarantined, 5);
  t.match(log.errors, [/Damaged: 5 of 7 lines/]);
});

void t.test('what was set aside before is kept beside what is set aside now', async (t) => {
  const dir = tempDir(t);
  const name = 'batch_20250101_000000_1.jsonl';
  const quarantine = join(dir, 'quarantine');
  mkdirSync(quarantine);
  writeFileSync(join(quarantine, name), 'of before\n');
  writeFileSync(join(quarantine, `${name}.2`), 'dam'); // an attempt that was cut off
  writeFileSync(join(dir, name), Buffer.concat([lines('a'), Buffer.from('damaged\n')]));
  const log = await openLog(t, dir);
  const [batch] = await log.list(null, 10);
  if (batch === undefined) throw new Error('no batch');
  for (let attempt = 1; attempt <= 2; attempt++) t.equal((await log.read(batch)).events, 1);
  t.same(readdirSync(quarantine), [name, `${name}.2`]);
  t.equal(readFileSync(join(quarantine, name), 'utf8'), 'of before\n');
  t.equal(readFileSync(join(quarantine, `${name}.2`), 'utf8'), 'damaged\n');
});

void t.test('a damaged end of a file of this run is set aside: all of it was acknowledged', async (t) => {
  for (const isListed of [false, true]) {
    const dir = tempDir(t);
    const log = await openLog(t, dir);
    const file = await log.writer.create();
    await log.writer.append(file, lines('a', 'b'), 2);
    const sealed = log.writer.seal(file, 'size');
    const [listed] = await log.list(null, 1);
    const batch = isListed ? listed : sealed;
    if (!batch) throw new Error('no batch');
    const bytes = readFileSync(log.path(batch.name)).fill(0, lines('a', 'b').length - 50);
    writeFileSync(log.path(batch.name), bytes);
    const read = await log.read(batch);
    t.equal(read.bytes.toString(), plain('a'));
    t.equal(log.quarantined, 1);
    t.match(log.errors, [/Damaged: 1 of 2 lines/]);
    t.same(readFileSync(join(dir, 'quarantine', batch.name)), bytes.subarray(lines('a').length));
  }
});

void t.test('a file of this run that does not tell its size is read whole', async (t) => {
  const fs = Object.create(nodeFileSystem) as FileSystem;
  const log = await openLog(t, tempDir(t), { fs });
  const file = await log.writer.create();
  await log.writer.append(file, lines('a', 'b'), 2);
  log.writer.seal(file, 'size');
  const value = (_path: string, done: (error: Error) => void): void => {
    setImmediate(done, Object.assign(new Error('EIO'), { code: 'EIO' }));
  };
  Object.defineProperty(fs, 'lstat', { value });
  const [batch] = await log.list(null, 1);
  if (batch === undefined) throw new Error('no batch');
  t.equal((await log.read(batch)).bytes.toString(), plain('a', 'b'));
});

void t.test('a flipped line feed before a torn end takes no event away', async (t) => {
  const dir = tempDir(t);
  const name = 'batch_20250101_000000_1.jsonl';
  const bytes = Buffer.concat([lines('a'), lines('b').subarray(0, 20)]);
  bytes[lines('a').length - 1] = 0x0b;
  writeFileSync(join(dir, name), bytes);
  const log = await openLog(t, dir);
  const [batch] = await log.list(null, 1);
  if (batch === undefined) throw new Error('no batch');
  t.equal((await log.read(batch)).events, 0);
  t.same(readFileSync(join(dir, 'quarantine', name)), bytes);
});

void t.test('a note that cannot be true stops no start and spoils no name', async (t) => {
  for (const year of ['9999-12-31T23:59:59.000Z', '+275760-09-13T00:00:00.000Z', 'nonsense']) {
    const dir = tempDir(t);
    writeFileSync(join(dir, 'forebay.lock'), `process 1, started x, names from ${year}`);
    const log = await openLog(t, dir);
    const file = await log.writer.create();
    t.ok(isBatchName(file.name), file.name);
    t.match(file.name, new RegExp(`^batch_${new Date().getUTCFullYear()}`));
  }
  t.notOk(
    isBatchName(`batch_20990101_000000_${Number.MAX_SAFE_INTEGER}.jsonl`),
    'no next name could be given',
  );
});

void t.test(
  'a failed flush for the quarantine puts the name of a new batch file in doubt, too',
  async (t) => {
    const dir = tempDir(t);
    writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), 'damaged\n');
    const disk = heldDisk();
    const log = await openLog(t, dir, { fs: disk.fs });
    const [damaged] = await log.list(null, 1);
    t.ok(damaged);
    if (damaged === undefined) return;
    const file = await log.writer.create();
    disk.fail('fsync', 'EIO');
    await t.rejects(log.read(damaged), { code: 'EIO' });
    disk.fail('fsync', null);
    await t.rejects(log.writer.append(file, lines('a'), 1), {
      code: 'LOG_FAILED',
      cause: { message: /flush of the directory failed meanwhile/ },
    });
    await log.writer.append(await log.writer.create(), lines('a'), 1);
    t.equal((await log.read(damaged)).events, 0);
    t.equal(log.quarantined, 1);
  },
);

void t.test('a failed flush for the reserve puts the name of a new batch file in doubt, too', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), 'damaged\n');
  const disk = heldDisk();
  let failsNames = false;
  const fsync = (fd: number, done: (error: Error | null) => void): void => {
    if (failsNames && fstatSync(fd).isDirectory()) setImmediate(done, new Error('a test made it fail'));
    else disk.fs.fsync(fd, done);
  };
  const fs = Object.create(disk.fs, { fsync: { value: fsync } }) as FileSystem;
  const log = await openLog(t, dir, { fs });
  const [damaged] = await log.list(null, 1);
  t.ok(damaged);
  if (damaged === undefined) return;
  disk.fail('write', 'ENOSPC');
  await t.rejects(log.read(damaged), { code: 'ENOSPC' }, 'the reserve is lent');
  disk.fail('write', null);
  const file = await log.writer.create();
  failsNames = true;
  await t.rejects(log.writer.append(file, lines('a'), 1), { code: 'LOG_FAILED' }, 'it is not put back');
  failsNames = false;
  await t.rejects(log.writer.append(file, lines('a'), 1), {
    code: 'LOG_FAILED',
    cause: { message: /flush of the directory failed meanwhile/ },
  });
  await log.writer.append(await log.writer.create(), lines('a'), 1);
});

void t.test('foreign files and folders are named and left alone', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'notes.txt'), 'x');
  writeFileSync(join(dir, 'batch_20251301_000000_1.jsonl'), 'no such month');
  mkdirSync(join(dir, 'batch_20250101_000000_1.jsonl'));
  symlinkSync(join(dir, 'notes.txt'), join(dir, 'batch_20250101_000000_2.jsonl'));
  const log = await openLog(t, dir);
  t.same(await log.list(null, 10), []);
  t.equal(log.warnings.length, 1, 'in one line');
  for (const name of ['notes.txt', 'batch_20251301_000000_1.jsonl', 'batch_20250101_000000_1.jsonl']) {
    t.ok(log.warnings.some((text) => text.includes(name)));
    t.ok(existsSync(join(dir, name)));
  }
});

void t.test('a batch file that someone else deleted is said, and holds up nothing', async (t) => {
  const log = await openLog(t, tempDir(t));
  const read = await log.read({
    name: 'batch_20250101_000000_1.jsonl',
    events: null,
    logBytes: 10,
    isAcknowledged: false,
    bornMs: 0,
    leftover: true,
    past: null,
  });
  t.equal(read.events, 0);
  t.match(log.errors, [/is gone/]);
});

void t.test(
  'a directory has one server, whose owner is named; a closed one leaves nothing behind',
  async (t) => {
    const dir = tempDir(t);
    const first = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter() });
    await first.lock.note({ runId: first.runId, sink: 'http' });
    await t.rejects(AppendLog.open({ dir, fsync: 'always', reporter: new Reporter() }), {
      code: 'LOG_DIR_LOCKED',
      message: new RegExp(`process ${process.pid}, started 20`),
    });
    await first.close();
    await openLog(t, dir);
  },
);

void t.test('a log directory that cannot be used stops the start with its path', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  await t.rejects(openLog(t, join(dir, 'file', 'log')), {
    code: 'LOG_DIR_UNUSABLE',
    message: /file\/log cannot be used: ENOTDIR/,
  });
});

void t.test('the policy decides when bytes are flushed', async (t) => {
  for (const [fsync, flushes] of [
    ['always', 2],
    ['never', 0],
  ] as const) {
    const disk = heldDisk();
    const log = await openLog(t, tempDir(t), { fsync, fs: disk.fs });
    const before = disk.flushes;
    const file = await log.writer.create();
    await log.writer.append(file, lines('a'), 1);
    await log.writer.append(file, lines('b'), 1);
    t.equal(disk.flushes - before, flushes, fsync);
  }
  const disk = heldDisk();
  const log = await openLog(t, tempDir(t), { fsync: 3_600_000, fs: disk.fs });
  const before = disk.flushes;
  const file = await log.writer.create();
  await log.writer.append(file, lines('a'), 1);
  t.equal(disk.flushes, before, 'an interval: not yet');
  log.writer.seal(file, 'size');
  await log.close();
  t.equal(disk.flushes, before + 1, 'an interval: at the latest when the batch is sealed');
  const soon = heldDisk();
  const timed = await openLog(t, tempDir(t), { fsync: 1, fs: soon.fs });
  const beforeSoon = soon.flushes;
  await timed.writer.append(await timed.writer.create(), lines('a'), 1);
  await until(() => soon.flushes > beforeSoon, 'the interval is over');
  t.equal(soon.flushes, beforeSoon + 1, 'an interval: by itself');
});

void t.test('what a failed write left is cut off, what was acknowledged before stays', async (t) => {
  const dir = tempDir(t);
  const disk = heldDisk();
  const log = await openLog(t, dir, { fs: disk.fs });
  const file = await log.writer.create();
  await log.writer.append(file, lines('a'), 1);
  disk.fail('fdatasync', 'EIO');
  await t.rejects(log.writer.append(file, lines('refused'), 1), { code: 'IN_DOUBT', cause: { code: 'EIO' } });
  t.ok(file.failed);
  t.match(log.writer.seal(file, 'size'), { logBytes: lines('a').length, isAcknowledged: true });
  await log.close();
  t.same(readFileSync(join(dir, file.name)), lines('a'));
});

void t.test('a failed end does not count, if it is cut off while its file is measured as well', async (t) => {
  const dir = tempDir(t);
  const [name, uncut] = ['batch_20250101_000000_1.jsonl', new Map<string, number>()];
  writeFileSync(join(dir, name), Buffer.alloc(3 * BLOCK_BYTES));
  const value = (path: string, done: (error: Error | null, stats: Stats) => void): void => {
    lstat(path, (error, stats) => {
      uncut.delete(name);
      done(error, stats);
    });
  };
  const fs = Object.create(nodeFileSystem, { lstat: { value } }) as FileSystem;
  const known = { sizes: new Map<string, number>(), uncut, newestLeftover: null, openedMs: 0 };
  uncut.set(name, 10);
  t.match(await sealedFiles(fs, dir, [{ name, ending: '' }], known), [
    { name, logBytes: 10, isAcknowledged: true },
  ]);
  uncut.set(name, 10);
  t.match(await sumsOfBatches(fs, dir, () => true, known), { batches: 1, bytes: BLOCK_BYTES });
});

void t.test('what was refused stays out also where its end cannot be cut off', async (t) => {
  const disk = heldDisk();
  const log = await openLog(t, tempDir(t), { fs: disk.fs });
  const file = await log.writer.create();
  await log.writer.append(file, lines('a'), 1);
  disk.fail('fdatasync', 'EIO');
  disk.fail('ftruncate', 'EIO');
  await t.rejects(log.writer.append(file, lines('refused'), 1), { code: 'IN_DOUBT', cause: { code: 'EIO' } });
  log.writer.seal(file, 'size');
  await until(() => log.errors.length > 0, 'that its end stays is said');
  const [batch] = await log.list(null, 10);
  t.ok(batch);
  if (batch) t.equal((await log.read(batch)).bytes.toString(), line('a'));
});

void t.test('a file whose first write failed is deleted', async (t) => {
  const dir = tempDir(t);
  const disk = heldDisk();
  const log = await openLog(t, dir, { fs: disk.fs });
  const file = await log.writer.create();
  disk.fail('write', 'ENOSPC');
  await t.rejects(log.writer.append(file, lines('refused'), 1), {
    code: 'LOG_FAILED',
    cause: { code: 'ENOSPC' },
  });
  t.ok(file.failed);
  t.equal(log.writer.seal(file, 'size'), null);
  await log.close();
  t.same(batchFiles(dir), []);
});

void t.test('a name that could not be made durable fails the append', async (t) => {
  const disk = heldDisk();
  const log = await openLog(t, tempDir(t), { fs: disk.fs });
  const file = await log.writer.create();
  disk.fail('fsync', 'EIO');
  await t.rejects(log.writer.append(file, lines('a'), 1), { code: 'LOG_FAILED', cause: { code: 'EIO' } });
});

void t.test(
  'a failed flush of the directory leaves every name in doubt that was made before it',
  async (t) => {
    const disk = heldDisk();
    const log = await openLog(t, tempDir(t), { fs: disk.fs });
    const [first, second] = [await log.writer.create(), await log.writer.create()];
    disk.fail('fsync', 'EIO');
    await t.rejects(log.writer.append(first, lines('a'), 1), { code: 'LOG_FAILED' });
    disk.fail('fsync', null);
    await t.rejects(
      log.writer.append(second, lines('b'), 1),
      { code: 'LOG_FAILED' },
      'the next flush may lie',
    );
    await log.writer.append(await log.writer.create(), lines('c'), 1);
    t.equal(log.pendingEvents, 1);
  },
);

void t.test('names made side by side share one flush of the directory', async (t) => {
  const disk = heldDisk();
  let flushes = 0;
  // the disk is slow with the first of them: meanwhile the others are asked for
  let isSlow = false;
  let goOn = (): void => undefined;
  const fs = Object.create(disk.fs, {
    fsync: {
      value: (fd: number, done: () => void) => {
        flushes++;
        const flush = (): void => {
          disk.fs.fsync(fd, done);
        };
        if (isSlow && flushes === 1) goOn = flush;
        else flush();
      },
    },
  }) as FileSystem;
  const log = await openLog(t, tempDir(t), { fs });
  const files = await Promise.all(Array.from({ length: 8 }, () => log.writer.create()));
  flushes = 0;
  isSlow = true;
  disk.hold();
  const appended = Promise.all(files.map((file) => log.writer.append(file, lines('a'), 1)));
  await until(() => disk.flushes === 8 && flushes === 1, 'all are being flushed, and the first name');
  goOn();
  disk.release();
  await appended;
  t.ok(flushes <= 2, `${flushes} flushes`);
});

/** Lets a run append events, one batch each, as the writer does: with its mark in the first line of each file. */
async function runOf(
  dir: string,
  ids: readonly string[],
): Promise<{ log: AppendLog; batches: PendingBatch[] }> {
  const log = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter() });
  const batches: PendingBatch[] = [];
  for (const id of ids) {
    const file = await log.writer.create();
    const text = Buffer.from(line(id).trim());
    const mark = runMark(log.runId);
    const bytes = Buffer.alloc(markedBytes(1, text.length) + mark.length);
    writeMarkedLine(bytes, 0, text, 0, text.length, mark);
    await log.writer.append(file, bytes, 1);
    const sealed = log.writer.seal(file, 'size');
    if (sealed !== null) batches.push(sealed);
  }
  return { log, batches };
}

async function keysIn(dir: string): Promise<string[]> {
  const log = await AppendLog.open({ dir, fsync: 'always', reporter: new Reporter() });
  const keys: string[] = [];
  for (const batch of await log.list(null, 100)) keys.push((await log.read(batch)).key);
  await log.close();
  return keys;
}

void t.test("a batch's key is the same at each attempt, and no other batch's", async (t) => {
  const now = Date.UTC(2026, 10, 29, 12);
  t.intercept(Date, 'now', { value: () => now });
  const [one, other] = [tempDir(t), tempDir(t)];
  const { log, batches } = await runOf(one, ['a', 'b']);
  const keys: string[] = [];
  for (const batch of batches) {
    const read = await log.read(batch);
    t.equal(
      read.bytes.toString(),
      plain(batch === batches[0] ? 'a' : 'b'),
      'the run is no part of the event',
    );
    t.match(read.key, new RegExp(`^${log.runId}-${batch.name}@[0-9a-f]{16}$`));
    keys.push(read.key);
  }
  await log.close();
  t.same(await keysIn(one), keys, 'also after a crash');
  cpSync(one, other, { recursive: true });
  t.same(await keysIn(other), keys, 'a copy of the same events is the same batch');
  for (const batch of batches) rmSync(join(one, batch.name));
  const second = await runOf(one, ['c', 'd']);
  t.same(
    second.batches.map(({ name }) => name),
    batches.map(({ name }) => name),
    'within a second, or after the clock was set back, a name may come again',
  );
  await second.log.close();
  const third = await runOf(tempDir(t), ['e']);
  await third.log.close();
  const later = [...(await keysIn(one)), ...(await keysIn(third.log.dir))];
  t.equal(new Set([...keys, ...later]).size, 5, 'a key never does');
  t.end();
});

void t.test('the key names what is in the batch, whatever became of its file', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'batch_20250101_000000_1.jsonl');
  const run = 'ab'.repeat(8);
  const [first, second] = [markedLine(line('a').trim(), run), markedLine(line('b').trim())];
  const files = {
    'as it was written': first + second,
    'copied while it grew': first,
    'with a damaged line in it': `${first}x${second}`,
    'of an earlier version, or by hand': plain('a', 'b'),
    'by hand, with other events': plain('a', 'c'),
    'with a damaged first line': `x${first}${second}`,
  };
  const keys = new Map<string, string>();
  for (const [what, text] of Object.entries(files)) {
    writeFileSync(path, text);
    const [[key = ''], again] = [await keysIn(dir), await keysIn(dir)];
    t.same(again, [key], `${what}: the same at each attempt`);
    t.match(key, /^(?:(?:ab){8}-)?batch_20250101_000000_1\.jsonl@[0-9a-f]{16}$/, what);
    keys.set(what, key);
  }
  t.equal(keys.get('copied while it grew'), keys.get('with a damaged line in it'), 'these hold the same');
  t.equal(new Set(keys.values()).size, keys.size - 1);
});
