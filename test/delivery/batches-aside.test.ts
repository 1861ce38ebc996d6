import { execFile } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import t from 'tap';
import type { Test } from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { health, readiness } from '../../lib/door/probes.js';
import type { Forebay } from '../../lib/index.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { deliverLeft, unopenable } from '../helpers/delivery-bench.js';
import type { DeliveryBench } from '../helpers/delivery-bench.js';
import { heldDisk } from '../helpers/held-disk.js';
import { addsUp, buildWith, codeOf, eventText, idsOf, until } from '../helpers/running-forebay.js';
import type { RunningForebay, RunningOptions } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

t.intercept(Math, 'random', { value: () => 0.02 }); // what waits by chance is tried again soon
t.jobs = 10; // each test has a sink and a directory of its own, and mostly waits

/** An event is a line of some 60 bytes, its dead letter about 300. */
const BOUND = 2100;
const OLD = 'batch_20240101_000000_1.jsonl';

/** Refuses events whose id begins with `bad`, and names them. */
class PickySink implements Sink {
  readonly attempts: string[] = [];
  readonly offered: string[] = [];
  readonly taken: string[] = [];
  /** More than this many never run at the same time. */
  running = 0;
  runningMost = 0;
  latencyMs = 0;

  async deliver({ name, bytes }: Batch): Promise<void> {
    this.runningMost = Math.max(this.runningMost, ++this.running);
    this.attempts.push(name);
    const ids = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
    this.offered.push(...ids);
    if (this.latencyMs > 0) await sleep(this.latencyMs);
    this.running--;
    const isBad = (id: string): boolean => id.startsWith('bad');
    this.taken.push(...ids.filter((id) => !isBad(id)));
    const refused = ids.flatMap((id, index) =>
      isBad(id) ? [{ index, reason: `no ${id}`, status: 422 }] : [],
    );
    if (refused.length > 0) throw new SinkError('some are bad', { status: 207, refused });
  }
}

interface Letter {
  readonly batch: string;
  readonly index: number;
  readonly reason: string;
  readonly status: number;
  readonly attempts: number;
  readonly event: { readonly id: string };
}

function lettersIn(dir: string): Letter[] {
  const folder = join(dir, 'dead-letters');
  // the server creates an empty folder again
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names
    .filter((name) => name !== OLD && !name.startsWith('.'))
    .flatMap((name) => readFileSync(join(folder, name), 'utf8').split('\n').slice(0, -1))
    .map((line) => JSON.parse(line) as Letter);
}

/** A log directory whose dead letters have no room for one more. */
function fullDirectory(t: Test): { dir: string; makeRoom: () => void } {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'dead-letters'));
  const old = join(dir, 'dead-letters', OLD);
  const about = { batch: OLD, key: OLD, index: 0, reason: 'old', status: 1, attempts: 1 };
  const time = '2024-01-01T00:00:00.000Z';
  const start = JSON.stringify({ ...about, time }).slice(0, -1);
  writeFileSync(old, `${start},"event":${eventText('old', 'x'.repeat(BOUND - 200))}}\n`);
  return { dir, makeRoom: () => rmSync(old) };
}

type Built = RunningForebay<PickySink>;

const build = (t: Test, options: RunningOptions): Built => buildWith(t, new PickySink(), options);

async function startFull(
  t: Test,
  options: RunningOptions = {},
): Promise<Built & { readonly makeRoom: () => void }> {
  const { dir, makeRoom } = fullDirectory(t);
  const built = build(t, {
    logDir: dir,
    deadLettersBytesMax: BOUND,
    batchSize: 1,
    fileEvents: 1,
    ...options,
  });
  await built.forebay.start();
  return { ...built, makeRoom };
}

const batchFiles = (dir: string): string[] => readdirSync(dir).filter(isBatchName);
const aside = (forebay: Forebay): number => forebay.sinkState()?.batchesAside ?? NaN;

void t.test(
  'a refused batch without room lets the good ones behind it go, also with one place',
  async (t) => {
    const { forebay, sink, dir, said, makeRoom } = await startFull(t);
    await forebay.write(eventText('bad1'));
    await forebay.write(eventText('bad2'));
    for (let n = 0; n < 20; n++) await forebay.write(eventText(`e${n}`));
    await until(() => forebay.counts().delivered === 20, 'the good ones are delivered');
    t.same(
      sink.taken,
      Array.from({ length: 20 }, (_, n) => `e${n}`),
      'in order',
    );
    t.match(forebay.counts(), { accepted: 22, deadLettered: 0, pending: 2 });
    t.equal(batchFiles(dir).length, 2, 'nothing acknowledged is lost');
    t.match(forebay.sinkState(), { batchesAside: 2, deadLettersFull: true });
    makeRoom();
    await until(() => forebay.counts().pending === 0, 'there is room again');
    t.match(forebay.counts(), { accepted: 22, delivered: 20, deadLettered: 2 });
    t.match(forebay.sinkState(), { batchesAside: 0, deadLettersFull: false });
    t.same(
      lettersIn(dir)
        .map(({ event }) => event.id)
        .toSorted(),
      ['bad1', 'bad2'],
    );
    t.same(batchFiles(dir), []);
    t.equal(sink.attempts.length, 22, 'the sink is asked once for each batch');
    const warnings = said.filter(({ text }) => text.includes('--dead-letters-max'));
    t.match(warnings, [{ level: 'warn', text: /bytes of dead letters.*aside/ }], 'one line when it starts');
    t.equal(warnings.length, 1);
    const ends = said.filter(({ text }) => text.includes('No batch waits aside any longer'));
    t.match(ends, [{ level: 'info' }], 'and one when it ends');
    t.equal(ends.length, 1);
  },
);

void t.test('the good part of a batch that steps aside is delivered once', async (t) => {
  const { forebay, sink, dir, makeRoom } = await startFull(t, { batchSize: 4, batchWaitMs: 10_000 });
  await Promise.all(['a', 'bad', 'c', 'd'].map(async (id) => forebay.write(eventText(id))));
  await until(() => aside(forebay) === 1, 'the batch is aside');
  t.same(sink.taken, ['a', 'c', 'd']);
  t.match(forebay.counts(), { accepted: 4, delivered: 0, deadLettered: 0, pending: 4 });
  await sleep(1500); // it is tried again meanwhile
  makeRoom();
  await until(() => forebay.counts().pending === 0, 'there is room again');
  t.match(forebay.counts(), { accepted: 4, delivered: 3, deadLettered: 1 });
  t.same(sink.taken, ['a', 'c', 'd'], 'not a second time');
  t.match(lettersIn(dir), [{ index: 1, reason: 'no bad', status: 422, attempts: 1, event: { id: 'bad' } }]);
});

void t.test('the tool makes room, while the server runs', async (t) => {
  const { forebay, dir } = await startFull(t);
  await forebay.write(eventText('bad'));
  await until(() => aside(forebay) === 1, 'the batch is aside');
  const drop = ['bin/dead-letters.js', 'drop', '--yes', '--log-dir', dir];
  await t.resolves(promisify(execFile)(process.execPath, drop), 'the tool ends well');
  await until(() => forebay.counts().deadLettered === 1, 'there is room again');
  t.match(lettersIn(dir), [{ event: { id: 'bad' } }]);
});

void t.test('a stop with batches aside ends, and the next start waits for none of them', async (t) => {
  const { forebay, dir } = await startFull(t, { shutdownTimeoutMs: 600_000 });
  await Promise.all(['bad1', 'good', 'bad2'].map(async (id) => forebay.write(eventText(id))));
  await until(() => aside(forebay) === 2 && forebay.counts().delivered === 1, 'two are aside');
  const stopMs = performance.now();
  await forebay.stop();
  t.ok(performance.now() - stopMs < 30_000, 'the stop does not wait for room');
  t.equal(batchFiles(dir).length, 2);
  const again = build(t, { logDir: dir, deadLettersBytesMax: BOUND, replayWaitMs: 60_000 });
  const startMs = performance.now();
  await again.forebay.start();
  t.ok(performance.now() - startMs < 30_000, 'nor does the start');
  t.same(again.sink.offered, ['bad1', 'bad2']);
  await again.forebay.write(eventText('new'));
  await until(() => again.forebay.counts().delivered === 1, 'the new one is delivered');
  t.match(again.forebay.counts(), { accepted: 3, pending: 2, unreadBatches: 0 });
  t.match(
    again.said.filter(({ text }) => text.startsWith('Replay complete')).map(({ text }) => text),
    [/2 batches wait aside/],
  );
  await again.forebay.stop();
  const raised = build(t, { logDir: dir, deadLettersBytesMax: 10 * BOUND });
  await raised.forebay.start();
  t.match(raised.forebay.counts(), { accepted: 2, deadLettered: 2, pending: 0 }, 'a raised bound is room');
});

void t.test('a process that is killed with batches aside loses none of their events', async (t) => {
  const { forebay, sink, dir } = await startFull(t, { batchSize: 2, batchWaitMs: 10_000 });
  const write = async (ids: readonly string[]): Promise<unknown> =>
    Promise.all(ids.map(async (id) => forebay.write(eventText(id))));
  await write(['a', 'bad1']);
  await write(['bad2', 'bad3']);
  await write(['b', 'c']);
  await until(() => aside(forebay) === 2 && forebay.counts().delivered === 2, 'two are aside');
  // what a kill leaves is what is in the directory
  const copy = tempDir(t);
  cpSync(dir, copy, { recursive: true });
  const next = build(t, { logDir: copy, deadLettersBytesMax: 10 * BOUND });
  await next.forebay.start();
  t.match(next.forebay.counts(), { accepted: 4, delivered: 1, deadLettered: 3, pending: 0 });
  t.same(new Set([...sink.taken, ...next.sink.taken]), new Set(['a', 'b', 'c']));
  t.same(
    lettersIn(copy)
      .map(({ event }) => event.id)
      .toSorted(),
    ['bad1', 'bad2', 'bad3'],
  );
});

void t.test('a disk that takes no dead letter holds up nobody either', async (t) => {
  const disk = heldDisk();
  const { forebay, sink, dir, said } = build(t, { fs: disk.fs, batchSize: 1 });
  await forebay.start();
  for (const id of ['first', 'bad', 'good']) await forebay.write(eventText(id));
  await until(() => forebay.counts().pending === 0, 'all is well');
  sink.latencyMs = 100;
  await forebay.write(eventText('bad2'));
  await forebay.write(eventText('good2'));
  disk.fail('fsync', 'ENOSPC');
  await until(() => forebay.counts().delivered === 3, 'the good one behind it is delivered');
  t.match(forebay.sinkState(), { batchesAside: 1, deadLettersFull: false });
  t.match(forebay.counts(), { deadLettered: 1, pending: 1 });
  t.ok(said.some(({ level, text }) => level === 'warn' && /Could not keep dead letters.*ENOSPC/.test(text)));
  disk.fail('fsync', null);
  await until(() => forebay.counts().deadLettered === 2, 'the disk is well again');
  t.same(
    lettersIn(dir).map(({ event }) => event.id),
    ['bad', 'bad2'],
  );
});

void t.test('the deletion of a batch that was aside takes no place', async (t) => {
  let unlinkNow: (() => void) | null = null;
  let isHeld = true;
  const unlink = ((path: string, done: (error: Error | null) => void) => {
    const start = (): void => nodeFileSystem.unlink(path, done);
    if (isHeld && isBatchName(basename(path))) unlinkNow = start;
    else start();
  }) as FileSystem['unlink'];
  const fs = Object.create(nodeFileSystem, { unlink: { value: unlink } }) as FileSystem;
  const { forebay, sink, makeRoom } = await startFull(t, { fs });
  t.teardown(() => unlinkNow?.());
  await forebay.write(eventText('bad'));
  await until(() => aside(forebay) === 1, 'the batch is aside');
  makeRoom();
  await until(() => unlinkNow !== null, 'it is deleted, and the disk does not answer');
  isHeld = false;
  await forebay.write(eventText('good'));
  await until(() => sink.taken.includes('good'), 'the next one has the place');
  t.match(forebay.counts(), { deadLettered: 0 });
});

void t.test('batches aside fill the backlog at last, and /ready and /health show them before', async (t) => {
  const { forebay, makeRoom } = await startFull(t, { backlogBytesMax: 64 * 1024 });
  await forebay.write(eventText('bad0'));
  await until(() => aside(forebay) === 1, 'the first is aside');
  t.match(readiness(forebay, forebay.unready()), {
    status: 200,
    body: {
      status: 'ready',
      aside: {
        batches: 1,
        code: 'DEAD_LETTERS_FULL',
        reason: 'Batches wait on disk, as their dead letters have no room (--dead-letters-max)',
      },
    },
  });
  t.match(health(forebay), { status: 200, body: { sink: { batchesAside: 1, deadLettersFull: true } } });
  let code: string | null = null;
  for (let n = 1; n < 100 && code === null; n++) code = await codeOf(forebay.write(eventText(`bad${n}`)));
  t.equal(code, 'BACKLOG_FULL');
  t.match(readiness(forebay, forebay.unready()), { status: 503, body: { code: 'BACKLOG_FULL' } });
  const { pending } = forebay.counts();
  t.ok(pending > 5, `${pending} events wait`);
  addsUp(t, forebay);
  makeRoom();
  await until(() => forebay.counts().deadLettered > 0, 'some have room');
  await until(() => forebay.unready() === null, 'the door is open');
});

/** A Delivery on what an earlier run left, with little room for dead letters. */
async function bench(
  t: Test,
  dir: string,
  sink: Sink,
  asideBytesMax: number,
  fs: FileSystem = nodeFileSystem,
): Promise<DeliveryBench> {
  return deliverLeft(t, dir, sink, { fs, deadLettersBytesMax: BOUND, asideBytesMax });
}

function leave(dir: string, batches: readonly (readonly string[])[]): string[] {
  return batches.map((ids, n) => {
    const name = `batch_20250101_000000_${n + 1}.jsonl`;
    writeFileSync(join(dir, name), ids.map((id) => markedLine(eventText(id))).join(''));
    return name;
  });
}

interface BrokenFile {
  readonly fs: FileSystem;
  isBroken: boolean;
  failures: number;
}

/** A file system that cannot open one file, if it is told so. */
function brokenFile(name: string, code: string): BrokenFile {
  const fs = unopenable((file) => {
    if (!broken.isBroken || file !== name) return null;
    broken.failures++;
    return code;
  });
  const broken = { fs, isBroken: false, failures: 0 };
  return broken;
}

void t.test('batches beyond those that memory may hold are found again in the directory', async (t) => {
  const { dir, makeRoom } = fullDirectory(t);
  const ids = Array.from({ length: 40 }, (_, n) => (n % 2 === 0 ? [`bad${n}`, `a${n}`] : [`e${n}`]));
  leave(dir, ids);
  const sink = new PickySink();
  const { log, delivery } = await bench(t, dir, sink, 2000);
  await until(() => delivery.delivered === 20, 'the good batches are delivered');
  await until(() => delivery.sinkState.batchesAside === 20, 'the others are aside');
  t.ok(delivery.asideInMemory > 0 && delivery.asideInMemory < 10, `${delivery.asideInMemory} in memory`);
  t.same([log.recoveredEvents, log.pendingEvents, log.unreadBatches], [60, 40, 0]);
  const { length } = sink.attempts;
  await sleep(2500);
  t.equal(sink.attempts.length, length, 'without room the sink is not asked again');
  makeRoom();
  const dropped: Letter[] = [];
  await until(() => {
    dropped.push(...lettersIn(dir));
    // as the tool does: no letters of a batch that is still there
    for (const { batch } of lettersIn(dir))
      if (!batchFiles(dir).includes(batch)) rmSync(join(dir, 'dead-letters', batch), { force: true });
    return delivery.deadLettered === 20;
  }, 'each has had room');
  t.same([delivery.delivered, log.recoveredEvents, log.pendingEvents, log.pendingBytes], [40, 60, 0, 0]);
  t.equal(new Set([...dropped, ...lettersIn(dir)].map(({ event }) => event.id)).size, 20);
  t.same(batchFiles(dir), []);
  t.same(new Set(sink.taken).size, 40);
  t.equal(delivery.sinkState.batchesAside, 0);
  t.equal(sink.runningMost, 1);
});

void t.test('files that go while their batches are aside are missed, in memory or not', async (t) => {
  for (const asideBytesMax of [0, 2 ** 20]) {
    const { dir, makeRoom } = fullDirectory(t);
    const names = leave(dir, [['bad1'], ['bad2', 'a'], ['bad3']]);
    const { log, delivery } = await bench(t, dir, new PickySink(), asideBytesMax);
    await until(() => delivery.sinkState.batchesAside === 3, 'all are aside');
    rmSync(join(dir, names[1] ?? ''));
    makeRoom();
    await until(() => delivery.sinkState.batchesAside === 0 && log.pendingBytes === 0, 'none waits');
    t.same([delivery.deadLettered, log.quarantined], [2, 2]);
    t.same([log.recoveredEvents, log.pendingEvents, log.pendingBytes], [4, 0, 0]);
  }
});

void t.test(
  'a file that cannot be read for a while when its batch is found again is missed by nobody',
  async (t) => {
    const { dir, makeRoom } = fullDirectory(t);
    const [name = ''] = leave(dir, [['bad', 'a']]);
    const broken = brokenFile(name, 'EMFILE');
    const { log, delivery } = await bench(t, dir, new PickySink(), 0, broken.fs);
    await until(() => delivery.sinkState.batchesAside === 1, 'it is aside');
    broken.isBroken = true;
    makeRoom();
    await until(() => broken.failures >= 5, 'it cannot be read, and has left its place');
    broken.isBroken = false;
    await until(() => delivery.deadLettered === 1, 'its dead letter has room');
    await until(() => log.pendingEvents === 0, 'none waits');
    t.same([log.pendingEvents, log.pendingBytes, log.quarantined], [0, 0, 0]);
    t.equal(delivery.sinkState.batchesAside, 0);
  },
);

void t.test('one that is found again and cannot be read holds up none of the others', async (t) => {
  const { dir, makeRoom } = fullDirectory(t);
  const [name = ''] = leave(dir, [['bad1'], ['bad2', 'a'], ['bad3']]);
  const broken = brokenFile(name, 'EIO');
  const { log, delivery } = await bench(t, dir, new PickySink(), 0, broken.fs);
  await until(() => delivery.sinkState.batchesAside === 3, 'all are aside');
  broken.isBroken = true;
  makeRoom();
  await until(() => delivery.deadLettered === 2, 'the dead letters of the others have room');
  t.ok(broken.failures > 3);
  t.equal(delivery.sinkState.batchesAside, 1);
  t.same([log.pendingEvents, log.quarantined], [1, 0]);
  broken.isBroken = false;
  await until(() => delivery.deadLettered === 3, 'and its own once it can be read');
  t.equal(delivery.sinkState.batchesAside, 0);
  t.same([log.pendingEvents, log.pendingBytes, log.quarantined], [0, 0, 0]);
});

void t.test('nor does one whose verdicts are in memory', async (t) => {
  const { dir, makeRoom } = fullDirectory(t);
  const [name = ''] = leave(dir, [['bad1'], ['bad2'], ['bad3'], ['bad4']]);
  const broken = brokenFile(name, 'EIO');
  const { log, delivery } = await bench(t, dir, new PickySink(), 1500, broken.fs);
  await until(() => delivery.sinkState.batchesAside === 4, 'all are aside');
  t.ok(delivery.asideInMemory > 0 && delivery.asideInMemory < 4, `${delivery.asideInMemory} in memory`);
  broken.isBroken = true;
  makeRoom();
  await until(() => delivery.deadLettered === 3, 'the others have room, also those that were forgotten');
  t.match(delivery, { asideInMemory: 1, sinkState: { batchesAside: 1 } });
  broken.isBroken = false;
  await until(() => delivery.deadLettered === 4, 'and it has once it can be read');
  t.same([log.pendingEvents, log.pendingBytes, log.quarantined], [0, 0, 0]);
});

void t.test('a batch that needs no room waits for none, though memory does not hold it', async (t) => {
  const { dir, makeRoom } = fullDirectory(t);
  leave(dir, [['bad1'], ['x1', 'y1'], ['bad2'], ['a'], ['x2', 'y2'], ['b']]);
  const sink = new PickySink();
  const picky = sink.deliver.bind(sink);
  let isMended = false;
  sink.deliver = async (batch) => {
    if (!isMended && batch.bytes.includes('"x')) throw new SinkError('it broke', { status: 500 });
    await picky(batch);
  };
  const { delivery } = await bench(t, dir, sink, 0);
  await until(
    () => ['y1', 'y2', 'a', 'b'].every((id) => sink.taken.includes(id)),
    'the others are at the sink',
  );
  await until(() => delivery.sinkState.batchesAside === 4, 'nothing is kept of those that the sink fails at');
  isMended = true;
  await until(() => delivery.delivered === 6, 'they are delivered');
  t.equal(sink.offered.filter((id) => id.startsWith('bad')).length, 2, 'those that need room have waited');
  makeRoom();
  await until(() => delivery.deadLettered === 2, 'until there was some');
  t.equal(delivery.sinkState.batchesAside, 0);
});

void t.test(
  'a file that is damaged while its batch is aside: the sound events go to the sink again',
  async (t) => {
    const { dir, makeRoom } = fullDirectory(t);
    const [name = ''] = leave(dir, [['a', 'bad', 'c']]);
    const sink = new PickySink();
    const { log, delivery } = await bench(t, dir, sink, 2 ** 20);
    await until(() => delivery.sinkState.batchesAside === 1, 'it is aside');
    const bytes = readFileSync(join(dir, name));
    bytes[8] = (bytes[8] ?? 0) ^ 1;
    writeFileSync(join(dir, name), bytes);
    makeRoom();
    await until(() => log.pendingEvents === 0, 'it is settled');
    t.same([delivery.delivered, delivery.deadLettered, log.quarantined, log.recoveredEvents], [1, 1, 1, 3]);
    t.match(lettersIn(dir), [{ index: 0, event: { id: 'bad' } }], 'its place among the sound ones');
  },
);

void t.test('what the sink says of a batch aside takes bounded memory', async (t) => {
  const { dir, makeRoom } = fullDirectory(t);
  leave(dir, [['bad']]);
  const sink: Sink = {
    async deliver() {
      const refused = [{ index: 0, reason: 'x'.repeat(100_000), status: 'y'.repeat(100_000) }];
      throw new SinkError('no', { refused });
    },
  };
  const { delivery } = await bench(t, dir, sink, 5000);
  await until(() => delivery.sinkState.batchesAside === 1, 'it is aside');
  t.equal(delivery.asideInMemory, 1);
  makeRoom();
  await until(() => delivery.deadLettered === 1, 'it is settled');
  const [letter] = lettersIn(dir);
  t.match(letter?.reason, /^x{500}…$/);
});

void t.test('300 refused events that fill the dead letters stop nobody', async (t) => {
  const { forebay, sink } = build(t, { deadLettersBytesMax: 100_000, batchSize: 10 });
  await forebay.start();
  const large = 'x'.repeat(2000);
  for (let n = 0; n < 300; n++) {
    void forebay.write(eventText(`bad${n}`, large));
    if (n % 3 === 0) await forebay.write(eventText(`e${n}`));
  }
  await until(() => new Set(sink.taken).size === 100, 'all good ones are at the sink');
  await until(() => aside(forebay) > 0, 'the others are aside');
  t.equal(sink.taken.length, 100);
  addsUp(t, forebay);
});
