import nodeFs, { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { Reporter } from '../../lib/base/reporter.js';
import type { Sink } from '../../lib/seams/sink.js';
import { Backlog } from '../../lib/logs/file/backlog.js';
import { Delivery } from '../../lib/core/delivery.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

const name = (n: number): string => `batch_20250101_000000_${n}.jsonl`;

void t.test('however many files cannot be read, the one behind them is delivered', async (t) => {
  const dir = tempDir(t);
  const [bad, good] = [name(151), name(152)];
  for (let n = 1; n <= 152; n++) {
    writeFileSync(join(dir, name(n)), `{"id":"${n}","type":"t","data":1,"timestamp":1}\n`);
  }
  let isBroken = true;
  // 150 files cannot be read, and one after them not for ever
  const fs = Object.create(heldDisk().fs, {
    open: {
      value: (path: string, ...rest: unknown[]) => {
        const file = basename(path);
        if (file.startsWith('batch_') && file !== good && (file === bad || isBroken)) {
          setImmediate(
            rest.at(-1) as (error: Error) => void,
            Object.assign(new Error('EIO'), { code: 'EIO' }),
          );
        } else {
          (nodeFs.open as (...args: unknown[]) => void)(path, ...rest);
        }
      },
    },
  }) as FileSystem;
  const reporter = new Reporter();
  const log = await AppendLog.open({ dir, fsync: 'never', reporter, fs });
  const sink = new CollectingSink();
  const backlog = new Backlog(log, reporter);
  const deliverer = new Delivery({
    log,
    sink,
    reporter,
    sinkConcurrency: 1,
    sinkTriesMax: null,
    random: () => 0.001,
  });
  const ended = pipeline(backlog, deliverer);
  await sink.received(1);
  t.same(sink.attempts, [good]);
  isBroken = false;
  await sink.received(151);
  t.notOk(sink.attempts.includes(bad), 'the bad one waits on disk');
  deliverer.stop();
  backlog.stop();
  await ended;
  await log.close();
});

void t.test('files that could not be read for a while keep to the places at the sink', async (t) => {
  const dir = tempDir(t);
  const names = Array.from({ length: 20 }, (_, n) => name(n + 1));
  for (const file of names)
    writeFileSync(join(dir, file), `{"id":"${file}","type":"t","data":1,"timestamp":1}\n`);
  let failures = 0;
  const fs = Object.create(heldDisk().fs, {
    open: {
      value: (path: string, ...rest: unknown[]) => {
        if (basename(path).startsWith('batch_') && failures < 60) {
          failures++;
          const error = Object.assign(new Error('EMFILE'), { code: 'EMFILE' });
          setImmediate(rest.at(-1) as (error: Error) => void, error);
        } else {
          (nodeFs.open as (...args: unknown[]) => void)(path, ...rest);
        }
      },
    },
  }) as FileSystem;
  const reporter = new Reporter();
  const log = await AppendLog.open({ dir, fsync: 'never', reporter, fs });
  let [running, most] = [0, 0];
  const order: string[] = [];
  const sink: Sink = {
    async deliver(batch) {
      order.push(batch.name);
      most = Math.max(most, ++running);
      await sleep(20);
      running--;
    },
  };
  const backlog = new Backlog(log, reporter);
  let chance = 0.05; // the first waits longest
  const random = (): number => (chance *= 0.8);
  const options = { sinkConcurrency: 1, sinkTriesMax: null, random };
  const deliverer = new Delivery({ log, sink, reporter, ...options });
  const ended = pipeline(backlog, deliverer);
  await until(() => deliverer.delivered === names.length, 'all are delivered');
  t.equal(most, 1);
  t.same(order, names, 'nor does one pass another: it is no fault of a file that too many are open');
  t.same([log.recoveredEvents, log.pendingEvents, log.unreadBatches], [names.length, 0, 0]);
  deliverer.stop();
  backlog.stop();
  await ended;
  await log.close();
});

/** Delivers leftover files of one event each, on a file system that differs from the real one, to a sink that takes all. */
async function deliverOn(
  t: Test,
  files: number,
  differs: Partial<Record<'open' | 'unlink', (...args: never[]) => void>>,
) {
  const dir = tempDir(t);
  for (let n = 1; n <= files; n++)
    writeFileSync(join(dir, name(n)), `{"id":"${n}","type":"t","data":1,"timestamp":1}\n`);
  const methods = Object.entries(differs).map(([method, value]) => [method, { value }]);
  const fs = Object.create(nodeFileSystem, Object.fromEntries(methods)) as FileSystem;
  const reporter = new Reporter();
  const log = await AppendLog.open({ dir, fsync: 'never', reporter, fs });
  const sink = new CollectingSink();
  const options = { sinkConcurrency: 1, sinkTriesMax: null, random: () => 0.001 };
  const delivery = new Delivery({ log, sink, reporter, ...options });
  const stopping = new AbortController();
  const ended = pipeline(log.backlog(stopping.signal), delivery);
  t.teardown(async () => {
    delivery.stop();
    stopping.abort();
    await ended;
    await log.close();
  });
  return { log, sink, delivery };
}

function failing(code: string): Error {
  return Object.assign(new Error(`a test says ${code}`), { code });
}

void t.test(
  'files that the disk takes long to fail at hold up no other, however often they are due',
  async (t) => {
    const bad = new Set([name(1), name(2)]);
    let failures = 0;
    const { delivery } = await deliverOn(t, 40, {
      open(path: string, ...rest: unknown[]) {
        if (!bad.has(basename(path))) {
          (nodeFs.open as (...args: unknown[]) => void)(path, ...rest);
          return;
        }
        failures++;
        // as long as the waits between two tries
        setTimeout(rest.at(-1) as (error: Error) => void, 30, failing('EIO'));
      },
    });
    await until(() => delivery.delivered === 38, 'all others are delivered');
    await until(() => failures > 10, 'they are tried on');
    const ageMs = performance.now() - (delivery.oldestBornMs ?? NaN);
    t.ok(Math.abs(Date.now() - ageMs - Date.UTC(2025, 0, 1)) < 60_000, 'the oldest of them is the oldest');
  },
);

void t.test('a file that cannot be deleted holds up no other, however few there are', async (t) => {
  const { delivery, log } = await deliverOn(t, 3, {
    unlink(path: string, done: (error: Error | null) => void) {
      if (basename(path) === name(1)) setImmediate(done, failing('EPERM'));
      else nodeFs.unlink(path, done);
    },
  });
  await until(() => delivery.delivered === 2, 'the others are delivered and deleted');
  t.equal(log.pendingEvents, 1);
});
