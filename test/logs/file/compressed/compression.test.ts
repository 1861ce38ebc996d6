import { existsSync, readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import type { NoParamCallback, StatsFs } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { Backlog } from '../../../../lib/logs/file/backlog.js';
import type { ListedLog } from '../../../../lib/logs/file/backlog.js';
import { BLOCK_BYTES, diskBytes } from '../../../../lib/logs/file/disk-blocks.js';
import { BacklogCompression } from '../../../../lib/logs/file/compressed/backlog-compression.js';
import { Compressor } from '../../../../lib/logs/file/compressed/compressor.js';
import type { CompressionTask } from '../../../../lib/logs/file/compressed/compressor.js';
import { FileListing } from '../../../../lib/logs/file/file-listing.js';
import { nodeFileSystem } from '../../../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../../../lib/logs/file/file-system.js';
import { isCopyName } from '../../../../lib/logs/file/ids/copy-name.js';
import { Reporter } from '../../../../lib/base/reporter.js';
import type { PendingBatch } from '../../../../lib/seams/batch.js';
import { CollectingSink } from '../../../helpers/collecting-sink.js';
import { leftName, memoryDir } from '../../../helpers/left-files.js';
import {
  addsUp,
  eventText,
  idsOf,
  pendingBytes,
  startForebay,
  until,
} from '../../../helpers/running-forebay.js';
import type { RunningForebay, RunningOptions } from '../../../helpers/running-forebay.js';

/** Before these, delivery takes 16 batches and more. */
const BATCHES = 60;
const BATCH_EVENTS = 50;
const DATA = 'leave it at the door, please; '.repeat(20);
const SMALL = { batchSize: BATCH_EVENTS, fileEvents: 1, replayWaitMs: 1, logCompressAfterMs: 20 };

const filesOf = (dir: string): string[] => readdirSync(dir).filter((name) => name.startsWith('batch_'));
const compressedIn = (dir: string): string[] => filesOf(dir).filter((name) => /\.(gz|zst)$/.test(name));
/** Whether no batch is there in two forms. */
const isOnce = (dir: string): boolean =>
  new Set(filesOf(dir).map((name) => name.replace(/\.(gz|zst)$/, ''))).size === filesOf(dir).length;
/** What the batch files take of the disk. */
const onDisk = (dir: string): number =>
  filesOf(dir).reduce(
    (sum, name) => sum + diskBytes(statSync(join(dir, name), { throwIfNoEntry: false })?.size ?? 0),
    0,
  );

/** A Forebay with batches that wait, as its sink is held. */
async function waiting(t: Test, options: RunningOptions = {}): Promise<RunningForebay & { ids: string[] }> {
  const sink = new CollectingSink();
  sink.held = true;
  const running = await startForebay(t, { ...SMALL, ...options }, sink);
  const ids = Array.from({ length: BATCHES * BATCH_EVENTS }, (_, n) => `e${n}`);
  await Promise.all(ids.map(async (id) => running.forebay.write(eventText(id, DATA))));
  return { ...running, ids };
}

void t.test(
  'what waits is compressed and takes less of the backlog, and all of it is delivered in order',
  async (t) => {
    const dir = memoryDir(t);
    const { forebay, sink, ids, said } = await waiting(t, { logDir: dir });
    const eventBytes = ids.reduce((sum, id) => sum + eventText(id, DATA).length, 0);
    await until(() => compressedIn(dir).length > BATCHES / 2, 'half of the files are compressed');
    addsUp(t, forebay, 'while they are');
    await until(() => pendingBytes(forebay) === onDisk(dir), 'the bytes that wait are those of the disk');
    await until(() => pendingBytes(forebay) < eventBytes / 2, 'most are');
    await until(() => isOnce(dir), 'each is there once');
    addsUp(t, forebay);
    sink.release();
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.same(idsOf(sink.lines), ids);
    t.equal(pendingBytes(forebay), 0);
    t.same(filesOf(dir), []);
    t.match(forebay.clientUsage()?.largest, { queue: 0, backlog: 0 });
    const { files = 0, savedBytes = 0 } = forebay.statistics()?.compression ?? {};
    t.ok(files > BATCHES / 2 && savedBytes > files * BLOCK_BYTES);
    t.same(
      said.filter(({ level }) => level === 'error'),
      [],
    );
  },
);

void t.test('the compressor takes its time until half of --backlog-max is used', async (t) => {
  // it gets none, so what waits stays as it is
  const added = t.capture(Compressor.prototype, 'add');
  /** The next file that is to be compressed, of a log with this bound. */
  const taskOf = async (backlogBytesMax: number): Promise<CompressionTask> => {
    await waiting(t, { logDir: memoryDir(t), backlogBytesMax });
    const source = added().find(({ args: [each] }) => each instanceof BacklogCompression)?.args[0];
    for (;;) {
      const next = await source?.next();
      if (typeof next === 'object' && next !== null) return next;
      await sleep(1);
    }
  };
  t.equal((await taskOf(32 * 2 ** 20)).isRoomy(), true);
  t.equal((await taskOf(3 * 2 ** 20)).isRoomy(), false);
});

void t.test('the next run counts what the disk holds, goes on compressing, and delivers all', async (t) => {
  const dir = memoryDir(t);
  const first = await waiting(t, { logDir: dir, logCompressAfterMs: 0 });
  await until(() => compressedIn(dir).length > 5, 'some are compressed');
  await first.forebay.stop(0);
  const left = compressedIn(dir).length;
  t.ok(left < filesOf(dir).length, 'and some are not');
  writeFileSync(join(dir, 'forebay.copy-0123456789abcdef'), 'half a file');
  const sink = new CollectingSink();
  sink.held = true;
  const { forebay } = await startForebay(t, { ...SMALL, logDir: dir }, sink);
  t.notOk(existsSync(join(dir, 'forebay.copy-0123456789abcdef')), 'what a killed run left half done is gone');
  await until(() => compressedIn(dir).length > left, 'more are compressed');
  await until(() => pendingBytes(forebay) === onDisk(dir), 'the bytes that wait are those of the disk');
  sink.release();
  await until(() => forebay.counts().pending === 0 && filesOf(dir).length === 0, 'all is delivered');
  t.same(new Set(idsOf([...first.sink.lines, ...sink.lines])), new Set(first.ids));
  addsUp(t, forebay);
  t.equal(pendingBytes(forebay), 0);
});

void t.test(
  'nothing is compressed with --log-compress off, nor while the sink takes all in time',
  async (t) => {
    const off = memoryDir(t);
    const { forebay } = await waiting(t, { logDir: off, logCompress: 'off' });
    t.equal(forebay.statistics()?.compression, null);
    const well = await startForebay(t, { ...SMALL, logCompressAfterMs: 60_000 });
    for (let n = 0; n < 200; n++) await well.forebay.write(eventText(`e${n}`, DATA));
    await until(() => well.forebay.counts().pending === 0, 'all is delivered');
    t.match(well.forebay.statistics()?.compression, { files: 0, failures: 0 });
    t.same(compressedIn(off), []);
  },
);

/** A file system with other calls. */
const withCalls = (calls: Partial<FileSystem>): FileSystem =>
  Object.assign(Object.create(nodeFileSystem) as FileSystem, calls);
const broken = (code: string): Error => Object.assign(new Error(`${code}: simulated`), { code });

void t.test('a file that would not take less of the disk stays as it is', async (t) => {
  const dir = memoryDir(t);
  const sink = new CollectingSink();
  sink.held = true;
  let copies = 0;
  const open = ((...args: Parameters<typeof nodeFileSystem.open>) => {
    if (isCopyName(basename(String(args[0])))) copies++;
    nodeFileSystem.open(...args);
  }) as typeof nodeFileSystem.open;
  const options = { ...SMALL, batchSize: 1, logDir: dir, fs: withCalls({ open }) };
  const { forebay } = await startForebay(t, options, sink);
  const names = Array.from({ length: 40 }, (_, n) => `e${n}`);
  for (const id of names) await forebay.write(eventText(id, id === 'e39' ? DATA.repeat(100) : 1));
  await until(
    () => compressedIn(dir).length === 1,
    'the large one is compressed, after all others were looked at',
  );
  // its file changes before it is counted
  await until(() => forebay.statistics()?.compression?.files === 1, 'it is counted, and no other');
  t.equal(forebay.statistics()?.compression?.failures, 0);
  t.equal(copies, 1, 'no copy is made of what has one block');
});

void t.test(
  'if compressing fails, the file stays, the log says so once, and it is tried again',
  async (t) => {
    let isFailed = false;
    let letOthers = (): void => undefined;
    const isLookedAt = new Promise<void>((resolve) => {
      letOthers = resolve;
    });
    // the next attempt asks for room first, and would delete what this one had left
    const statfs = ((...args: Parameters<typeof nodeFileSystem.statfs>) => {
      void (isFailed ? isLookedAt : Promise.resolve()).then(() => {
        nodeFileSystem.statfs(...args);
      });
    }) as typeof nodeFileSystem.statfs;
    const rename = ((from: string, to: string, done: NoParamCallback): void => {
      if (/\.(gz|zst)$/.test(to) && !isFailed) {
        isFailed = true;
        done(broken('EIO'));
      } else nodeFileSystem.rename(from, to, done);
    }) as typeof nodeFileSystem.rename;
    const dir = memoryDir(t);
    const { forebay, sink, said, ids } = await waiting(t, { logDir: dir, fs: withCalls({ statfs, rename }) });
    await until(() => forebay.statistics()?.compression?.failures === 1, 'it fails');
    t.ok(isOnce(dir));
    t.same(compressedIn(dir), []);
    await until(() => !readdirSync(dir).some(isCopyName), 'nothing is left of it');
    t.equal(said.filter(({ text }) => text.startsWith('Could not compress')).length, 1);
    letOthers();
    await until(() => compressedIn(dir).length > 0, 'others are compressed after a while');
    sink.release();
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.same(idsOf(sink.lines), ids);
  },
);

void t.test('a disk with little room is left to the events', async (t) => {
  let asked = 0;
  const statfs = ((path: string, done: (error: Error | null, stats: StatsFs) => void): void => {
    nodeFileSystem.statfs(path, (error, stats) => {
      asked++;
      done(error, Object.assign(stats, { bavail: 1000, bsize: 4096 }));
    });
  }) as typeof nodeFileSystem.statfs;
  const dir = memoryDir(t);
  const { forebay } = await waiting(t, { logDir: dir, fs: withCalls({ statfs }) });
  await until(() => asked > 0, 'it has looked for room');
  t.same(compressedIn(dir), []);
  t.match(forebay.statistics()?.compression, { files: 0, failures: 0 });
});

const batch = (n: number): PendingBatch => ({
  name: leftName(n),
  events: 1,
  logBytes: 3 * BLOCK_BYTES,
  isAcknowledged: true,
  bornMs: 0,
  leftover: false,
  past: null,
});

void t.test('a batch is not passed on while its file changes its form, and is what it is then', async (t) => {
  const log: ListedLog = {
    dir: '/log',
    leftoverBatches: 0,
    isEstimate: false,
    pendingBytes: 0,
    list: async () => [],
    sums: async () => ({ batches: 0, leftovers: 0, bytes: 0 }),
    dropped: () => undefined,
    missFiles: () => undefined,
  };
  const backlog = new Backlog(log, new Reporter());
  t.teardown(() => backlog.stop());
  for (const n of [1, 2, 3]) backlog.offer(batch(n));
  t.ok(backlog.hold(leftName(1)));
  t.equal(backlog.read(), null);
  const compressed = { ending: '.gz', readBytes: 3 * BLOCK_BYTES };
  backlog.release({ name: leftName(1), logBytes: 10, compressed }, 3 * BLOCK_BYTES);
  t.match(backlog.read(), { name: leftName(1), logBytes: 10, compressed, events: 1 });
  t.notOk(backlog.has(leftName(1)), 'delivery has it');
  t.notOk(backlog.hold(leftName(1)));
  t.ok(backlog.has(leftName(3)));
  backlog.stop();
  t.notOk(backlog.has(leftName(3)), 'nothing is passed on any longer');
});

void t.test('a file that changes its form is not missed by who reads the directory', async (t) => {
  const dir = memoryDir(t);
  writeFileSync(join(dir, leftName(1)), 'x');
  const known = {
    sizes: new Map<string, number>(),
    uncut: new Map<string, number>(),
    newestLeftover: null,
    openedMs: 0,
  };
  const options = { fs: nodeFileSystem, dir, known, unsealed: () => [], newest: () => leftName(9) };
  const files = new FileListing(options);
  let end = (): void => undefined;
  const changing = files.change(async () => {
    await new Promise<void>((resolve) => {
      end = resolve;
    });
    writeFileSync(join(dir, `${leftName(2)}.gz`), 'y');
  });
  let isListed = false;
  const listing = files.oldest(null, 10, () => true).finally(() => (isListed = true));
  const sums = files.sums(null, () => undefined);
  await new Promise((resolve) => {
    setImmediate(resolve);
  });
  t.notOk(isListed);
  end();
  await changing;
  t.match(await listing, [{ name: leftName(1) }, { name: leftName(2), compressed: { ending: '.gz' } }]);
  t.match(await sums, { batches: 2 });
});

void t.test(
  'a file that changes its form just before the others are counted is subtracted once',
  async (t) => {
    const dir = memoryDir(t);
    for (const n of [1, 2, 3]) writeFileSync(join(dir, leftName(n)), Buffer.alloc(3 * BLOCK_BYTES));
    const known = {
      sizes: new Map<string, number>(),
      uncut: new Map<string, number>(),
      newestLeftover: leftName(3),
      openedMs: 0,
    };
    const options = { fs: nodeFileSystem, dir, known, unsealed: () => [], newest: () => leftName(9) };
    const files = new FileListing(options);
    let pending = 10 * BLOCK_BYTES; // as it was estimated: one too many
    let [isCounting, isCounted] = [false, false];
    const log: ListedLog = {
      dir,
      leftoverBatches: 3,
      pendingBytes: pending,
      isEstimate: true,
      list: async (after, most) => files.oldest(after, most, () => true),
      sums: async (...about) => {
        isCounting = true;
        return files.sums(...about);
      },
      dropped: () => undefined,
      missFiles: ({ bytes }) => {
        pending -= bytes;
        isCounted = true;
      },
    };
    const backlog = new Backlog(log, new Reporter(), 1, 20);
    t.teardown(() => backlog.stop());
    backlog.read();
    await new Promise((resolve) => {
      backlog.once('readable', resolve);
    });
    await files.change(async () => {
      t.ok(backlog.hold(leftName(3)));
      await until(() => isCounting, 'the count waits for its turn');
      unlinkSync(join(dir, leftName(3)));
      writeFileSync(join(dir, `${leftName(3)}.gz`), 'small');
      pending -= 2 * BLOCK_BYTES;
      const compressed = { ending: '.gz', readBytes: 3 * BLOCK_BYTES };
      backlog.release({ name: leftName(3), logBytes: 5, compressed }, 3 * BLOCK_BYTES);
    });
    await until(() => isCounted, 'the others are counted');
    t.equal(pending, onDisk(dir));
  },
);
