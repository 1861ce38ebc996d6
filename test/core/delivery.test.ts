import { writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { Sink } from '../../lib/seams/sink.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { deliverLeft, unopenable } from '../helpers/delivery-bench.js';
import type { DeliveryBench } from '../helpers/delivery-bench.js';
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
  const fs = unopenable((file) =>
    file.startsWith('batch_') && file !== good && (file === bad || isBroken) ? 'EIO' : null,
  );
  const sink = new CollectingSink();
  await deliverLeft(t, dir, sink, { fs, random: () => 0.001 });
  await sink.received(1);
  t.same(sink.attempts, [good]);
  isBroken = false;
  await sink.received(151);
  t.notOk(sink.attempts.includes(bad), 'the bad one waits on disk');
});

void t.test('files that could not be read for a while keep to the places at the sink', async (t) => {
  const dir = tempDir(t);
  const names = Array.from({ length: 20 }, (_, n) => name(n + 1));
  for (const file of names)
    writeFileSync(join(dir, file), `{"id":"${file}","type":"t","data":1,"timestamp":1}\n`);
  let failures = 0;
  const fs = unopenable((file) => (file.startsWith('batch_') && failures++ < 60 ? 'EMFILE' : null));
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
  let chance = 0.05; // the first waits longest
  const { log, delivery } = await deliverLeft(t, dir, sink, { fs, random: () => (chance *= 0.8) });
  await until(() => delivery.delivered === names.length, 'all are delivered');
  t.equal(most, 1);
  t.same(order, names, 'nor does one pass another: it is no fault of a file that too many are open');
  t.same([log.recoveredEvents, log.pendingEvents, log.unreadBatches], [names.length, 0, 0]);
});

/** Delivers leftover files of one event each, on a file system that differs from the real one, to a sink that takes all. */
async function deliverOn(t: Test, files: number, fs: FileSystem): Promise<DeliveryBench> {
  const dir = tempDir(t);
  for (let n = 1; n <= files; n++)
    writeFileSync(join(dir, name(n)), `{"id":"${n}","type":"t","data":1,"timestamp":1}\n`);
  return deliverLeft(t, dir, new CollectingSink(), { fs, random: () => 0.001 });
}

void t.test(
  'files that the disk takes long to fail at hold up no other, however often they are due',
  async (t) => {
    const bad = new Set([name(1), name(2)]);
    let failures = 0;
    // as long as the waits between two tries
    const fs = unopenable((file) => (bad.has(file) && ++failures > 0 ? 'EIO' : null), 30);
    const { delivery } = await deliverOn(t, 40, fs);
    await until(() => delivery.delivered === 38, 'all others are delivered');
    await until(() => failures > 10, 'they are tried on');
    const ageMs = performance.now() - (delivery.oldestBornMs ?? NaN);
    t.ok(Math.abs(Date.now() - ageMs - Date.UTC(2025, 0, 1)) < 60_000, 'the oldest of them is the oldest');
  },
);

void t.test('a file that cannot be deleted holds up no other, however few there are', async (t) => {
  const unlink = (path: string, done: (error: Error | null) => void): void => {
    if (basename(path) === name(1)) setImmediate(done, Object.assign(new Error('EPERM'), { code: 'EPERM' }));
    else nodeFileSystem.unlink(path, done);
  };
  const fs = Object.create(nodeFileSystem, { unlink: { value: unlink } }) as FileSystem;
  const { delivery, log } = await deliverOn(t, 3, fs);
  await until(() => delivery.delivered === 2, 'the others are delivered and deleted');
  t.equal(log.pendingEvents, 1);
});
