import { once } from 'node:events';
import nodeFs, { readdirSync, rmSync, writeFileSync } from 'node:fs';
import type { OpenDirOptions } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../../lib/logs/file/append-log.js';
import { isBatchName } from '../../../lib/logs/file/batch-name.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { Reporter } from '../../../lib/base/reporter.js';
import { DrainRate } from '../../../lib/base/drain-rate.js';
import { diskBytes } from '../../../lib/logs/file/disk-blocks.js';
import { Backlog } from '../../../lib/logs/file/backlog.js';
import { heldDisk } from '../../helpers/held-disk.js';
import { tempDir } from '../../helpers/temp-dir.js';
import { until } from '../../helpers/wait-for.js';

const LINE = Buffer.from('{"id":"a","type":"t","data":1,"timestamp":1}\n');

interface Bench {
  readonly dir: string;
  readonly log: AppendLog;
  readonly backlog: Backlog;
  readonly errors: string[];
  /** Writes a batch and seals it. */
  readonly seal: () => Promise<string>;
  /** The next name. */
  readonly next: () => Promise<string>;
}

async function bench(
  t: Test,
  leftovers: number,
  namesMax: number,
  fs?: FileSystem,
  countMs?: number,
  recentBytesMax = 0,
): Promise<Bench> {
  const dir = tempDir(t);
  for (let n = 1; n <= leftovers; n++) writeFileSync(join(dir, `batch_20250101_000000_${n}.jsonl`), LINE);
  const errors: string[] = [];
  const error = (_fields: object, text: string): void => {
    errors.push(text);
  };
  const reporter = new Reporter({ debug() {}, info() {}, warn() {}, error });
  const settings = { dir, fsync: 'never', reporter, recentBytesMax } as const;
  const log = await AppendLog.open({ ...settings, ...(fs && { fs }) });
  t.teardown(() => log.close());
  const backlog = new Backlog(log, reporter, namesMax, countMs);
  t.teardown(() => backlog.stop());
  return {
    dir,
    log,
    backlog,
    errors,
    async seal() {
      const file = await log.writer.create();
      await log.writer.append(file, LINE, 1);
      const batch = log.writer.seal(file, 'size');
      if (batch === null) throw new Error('the batch is empty');
      backlog.offer(batch);
      return batch.name;
    },
    async next() {
      for (;;) {
        const batch = backlog.read() as { name: string } | null;
        if (batch !== null) return batch.name;
        await once(backlog, 'readable');
      }
    },
  };
}

void t.test('what has not moved for a minute stands still, however much moved before', (t) => {
  const now = performance.now.bind(performance);
  let aheadMs = 0;
  performance.now = () => now() + aheadMs;
  t.teardown(() => {
    performance.now = now;
  });
  const rate = new DrainRate();
  aheadMs += 30_000;
  rate.add(1e9);
  t.ok(rate.msFor(1e9) < 40_000);
  aheadMs += 59_000;
  t.ok(rate.msFor(1e9) < Infinity);
  aheadMs += 2000;
  t.equal(rate.msFor(1e9), Infinity);
  rate.add(1);
  t.ok(rate.msFor(1) < Infinity);
  t.end();
});

void t.test('leftovers come first, then what was sealed, each once and in order', async (t) => {
  const { backlog, seal, next } = await bench(t, 3, 100);
  const sealed = [await seal(), await seal()];
  const names: string[] = [];
  for (let n = 0; n < 5; n++) names.push(await next());
  const leftovers = [1, 2, 3].map((n) => `batch_20250101_000000_${n}.jsonl`);
  t.same(names, [...leftovers, ...sealed]);
  t.equal(backlog.read(), null);
});

void t.test('more batches than the names it holds still come, each once and in order', async (t) => {
  const { dir, backlog, seal, next } = await bench(t, 10, 3);
  for (let n = 0; n < 10; n++) await seal();
  const names: string[] = [];
  for (let n = 0; n < 12; n++) names.push(await next());
  for (let n = 0; n < 5; n++) await seal();
  for (let n = 0; n < 13; n++) names.push(await next());
  const expected = readdirSync(dir).filter(isBatchName);
  t.equal(expected.length, 25);
  t.same(names.toSorted(), expected.toSorted(), 'each once');
  t.same(
    names.slice(10),
    names.slice(10).toSorted((a, b) => Number(a.split(/[_.]/)[3]) - Number(b.split(/[_.]/)[3])),
    'in order',
  );
  for (let n = 0; n < 5; n++) await turn();
  t.equal(backlog.read(), null);
});

void t.test('names beyond those it may hold are not kept', async (t) => {
  let reads = 0;
  const fs = Object.create(heldDisk().fs, {
    opendir: {
      value: (dir: string, options: OpenDirOptions, done: () => void) => {
        reads++;
        nodeFs.opendir(dir, options, done);
      },
    },
  }) as FileSystem;
  const { dir, seal, next } = await bench(t, 0, 2, fs);
  reads = 0;
  const sealed: string[] = [];
  for (let n = 0; n < 20; n++) sealed.push(await seal());
  t.equal(readdirSync(dir).filter(isBatchName).length, 20);
  for (const name of sealed) t.equal(await next(), name);
  t.ok(reads >= 9, 'the others were read from the directory, two at a time');
});

void t.test('a batch sealed while the directory is read is not missed', async (t) => {
  const disk = heldDisk();
  const list: (() => void)[] = [];
  // the directory is read before the batch is sealed, the answer comes after
  const fs = Object.create(disk.fs, {
    opendir: {
      value: (dir: string, _options: object, done: (error: Error | null, handle: unknown) => void) => {
        const names = readdirSync(dir);
        const answer = (): void => {
          done(
            null,
            names.map((name) => ({ name, isFile: () => true })),
          );
        };
        if (opened++ < 1) answer();
        else list.push(answer);
      },
    },
  }) as FileSystem;
  let opened = 0;
  const { seal, next } = await bench(t, 1, 100, fs);
  const first = next();
  await turn();
  t.equal(list.length, 1, 'the directory is being read');
  const sealed = await seal();
  list.shift()?.();
  t.equal(await first, 'batch_20250101_000000_1.jsonl');
  const second = next();
  await until(() => list.length > 0, 'the directory is read again');
  list.shift()?.();
  t.equal(await second, sealed);
});

void t.test('a directory that cannot be read is tried again, and said', async (t) => {
  let fail = false;
  const disk = heldDisk();
  const fs = Object.create(disk.fs, {
    opendir: {
      value: (dir: string, options: object, done: (error: Error | null, handle?: unknown) => void) => {
        if (fail) done(Object.assign(new Error('EMFILE'), { code: 'EMFILE' }));
        else (disk.fs.opendir as (...args: unknown[]) => void)(dir, options, done);
      },
    },
  }) as FileSystem;
  const { errors, next } = await bench(t, 1, 100, fs);
  fail = true;
  const first = next();
  await until(() => errors.length > 0, 'it is said');
  t.match(errors, [/Could not read the directory .*; trying again/]);
  fail = false;
  t.equal(await first, 'batch_20250101_000000_1.jsonl');
});

void t.test('files that someone deletes are missed, also if their names are not in memory', async (t) => {
  const { dir, log, backlog, errors, seal, next } = await bench(t, 10, 3, undefined, 20);
  const sealed: string[] = [];
  for (let n = 0; n < 5; n++) sealed.push(await seal());
  const { length } = LINE;
  const block = diskBytes(length);
  t.equal(await next(), 'batch_20250101_000000_1.jsonl');
  t.equal(log.pendingBytes, 15 * block);
  // neither the next ones of the backlog nor the last
  for (const name of ['batch_20250101_000000_7.jsonl', 'batch_20250101_000000_8.jsonl', sealed[2] ?? ''])
    rmSync(join(dir, name));
  await until(() => errors.length > 0, 'they are missed');
  t.match(errors, [/^3 batch files are gone that waited/]);
  t.match(log, { pendingBytes: 12 * block, unreadBatches: 8, pendingEvents: 5 });
  for (const name of ['batch_20250101_000000_9.jsonl', sealed[4] ?? '']) rmSync(join(dir, name));
  await until(() => errors.length > 1, 'these, too');
  t.match(log, { pendingBytes: 10 * block, unreadBatches: 7 });
  const names = new Set(sealed);
  let left = 9;
  while (left-- > 0) {
    const name = await next();
    names.delete(name);
    if (!sealed.includes(name)) continue;
    const batch = { name, isAcknowledged: false, events: null, logBytes: length, bornMs: 0 };
    const read = await log.read({ ...batch, leftover: false, past: null });
    await log.delete(read);
  }
  t.same([...names], [sealed[2], sealed[4]]);
  t.equal(backlog.read(), null);
  t.equal(log.pendingEvents, 0, 'their events are missed as well');
  t.equal(log.quarantined, 2);
});

void t.test('a file of this run that is gone when its turn comes is missed with its events', async (t) => {
  const { dir, log, seal, next } = await bench(t, 0, 1);
  const sealed: string[] = [];
  for (let n = 0; n < 4; n++) sealed.push(await seal());
  for (const name of sealed.slice(0, 2)) t.equal(await next(), name);
  rmSync(join(dir, sealed[1] ?? ''));
  const batch = { isAcknowledged: false, events: null, logBytes: LINE.length, bornMs: 0, leftover: false };
  for (const [index, name] of sealed.entries()) {
    if (index > 1) t.equal(await next(), name);
    const events = index === 0 ? 1 : null;
    await log.delete(await log.read({ ...batch, name, events, past: null }));
  }
  t.match(log, { pendingEvents: 0, pendingBytes: 0, quarantined: 1 });
});

void t.test(
  'of files that someone deletes no event waits once the others are read, if from memory, too',
  async (t) => {
    const { dir, log, backlog, errors, seal, next } = await bench(t, 0, 1, undefined, 20, 2 * LINE.length);
    const sealed: string[] = [];
    for (let n = 0; n < 4; n++) sealed.push(await seal());
    rmSync(join(dir, sealed[2] ?? ''));
    await until(() => errors.length > 0, 'it is missed');
    const batch = { isAcknowledged: false, logBytes: LINE.length, bornMs: 0, leftover: false, past: null };
    for (const index of [0, 1, 3]) {
      const name = await next();
      t.equal(name, sealed[index]);
      const pending = { ...batch, name, events: index === 0 ? 1 : null };
      t.equal(log.remembers(pending), index < 2, 'memory has the first ones');
      await log.delete(await log.read(pending));
    }
    t.equal(backlog.read(), null);
    t.match(log, { pendingEvents: 0, pendingBytes: 0, quarantined: 1 });
  },
);

void t.test('an empty file that a failed open has left counts as no batch of this run', async (t) => {
  const disk = heldDisk();
  let leaves = false;
  const fs = Object.create(disk.fs, {
    open: {
      value: (path: string, ...rest: [unknown, unknown, (error: Error) => void]) => {
        if (leaves && path.includes('batch_')) writeFileSync(path, '');
        (disk.fs.open as (...args: unknown[]) => void)(path, ...rest);
      },
    },
  }) as FileSystem;
  const { dir, log, seal, next } = await bench(t, 0, 1, fs);
  const sealed = [await seal()];
  disk.fail('open', 'EIO');
  await t.rejects(log.writer.create(), { code: 'EIO' });
  t.same([...log.writer.unsealed], [], 'nothing is left, and nothing is remembered');
  leaves = true;
  await t.rejects(log.writer.create(), { code: 'EIO' });
  leaves = false;
  disk.fail('open', null);
  sealed.push(await seal(), await seal());
  t.equal(readdirSync(dir).filter(isBatchName).length, 4, 'an empty file is left');
  const batch = { isAcknowledged: false, logBytes: LINE.length, bornMs: 0, leftover: false, past: null };
  for (const [index, name] of sealed.entries()) {
    t.equal(await next(), name);
    await log.delete(await log.read({ ...batch, name, events: index === 0 ? 1 : null }));
  }
  t.match(log, { pendingEvents: 0, quarantined: 0 });
});
