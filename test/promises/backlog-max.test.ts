import { once } from 'node:events';
import { readdirSync, statSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { BLOCK_BYTES } from '../../lib/logs/file/disk-blocks.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { CONTEXT_BYTES_MORE } from '../../lib/logs/file/context-mark.js';
import { BATCH_MARK_BYTES, RUN_MARK_BYTES } from '../../lib/logs/file/run-mark.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { clientsOf, openHttp } from '../helpers/http-door.js';
import { leftName, memoryDir, noise } from '../helpers/left-files.js';
import {
  addsUp,
  codeOf,
  eventText,
  idsOf,
  pendingBytes,
  startForebay,
  until,
} from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const MAX = 200_000;
const numbered = (n: number): string => eventText(`e${String(n).padStart(5, '0')}`, 'x'.repeat(60));
const LINE_BYTES = markedLine(numbered(0)).length;
/** A batch of ten such events takes a block. */
const FULL = 20 * BLOCK_BYTES;
/** What an event leaves free for the files that it may begin: beside its own, one that ends by time meanwhile. */
const BEGUN_BYTES = 2 * (BATCH_MARK_BYTES + CONTEXT_BYTES_MORE + BLOCK_BYTES - 1);

function heldSink(): CollectingSink {
  return Object.assign(new CollectingSink(), { held: true });
}

function sizesOnDisk(dir: string): number[] {
  return readdirSync(dir)
    .filter(isBatchName)
    .map((name) => statSync(join(dir, name)).size);
}

/** What the files take, as `du` says it where blocks have 4,096 bytes. */
function blocksOnDisk(dir: string): number {
  return sum(sizesOnDisk(dir).map((bytes) => Math.ceil(bytes / 4096) * 4096));
}

const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

for (const fileEvents of [1, 5000]) {
  const files = fileEvents === 1 ? 'a file for each batch' : 'files of several batches';
  const title = 'a full backlog is 429 with Retry-After; the door opens by itself, and nothing taken is lost';
  void t.test(`${title}, with ${files}`, async (t) => {
    // an only client
    const settings = { backlogBytesMax: FULL, batchSize: 10, fileEvents, clientShare: 1 };
    const running = await startForebay(t, settings, heldSink());
    const { forebay, sink, dir } = running;
    const { post, get } = await openHttp(t, forebay);
    const taken: string[] = [];
    const send = async (n: number): Promise<number> => {
      const { status, retryAfter, code } = await post(numbered(n));
      if (status === 202) taken.push(numbered(n));
      else t.match({ status, retryAfter, code }, { status: 429, retryAfter: 300, code: 'BACKLOG_FULL' });
      return status;
    };
    const statuses = await Promise.all(Array.from({ length: 300 }, (_, n) => send(n)));
    t.ok(taken.length > 0 && statuses.includes(429));
    let n = 300;
    while ((await send(n)) === 202) n++;
    const sizes = sizesOnDisk(dir);
    if (fileEvents === 1) t.equal(sum(sizes), taken.length * LINE_BYTES + sizes.length * RUN_MARK_BYTES);
    t.equal(pendingBytes(forebay), blocksOnDisk(dir));
    t.ok(blocksOnDisk(dir) <= FULL, 'no more than the bound');
    t.ok(blocksOnDisk(dir) > FULL - LINE_BYTES - BEGUN_BYTES, 'and hardly less');
    t.match(await get('/ready'), { status: 503, code: 'BACKLOG_FULL', retryAfter: 300 });
    t.match(await get('/health'), { status: 200 });
    t.equal(forebay.counts().pending, taken.length, 'nothing was deleted to make room');
    sink.release();
    await until(() => forebay.refusal(1, LINE_BYTES) === null, 'the door opens');
    t.equal(await send(++n), 202);
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.same(sink.lines.toSorted(), taken.toSorted(), 'what was taken, and nothing that was refused');
    await until(() => pendingBytes(forebay) === 0, 'no byte is counted');
  });
}

void t.test(
  'a backlog with room for less than an event is not ready, and the log says when it begins and ends',
  async (t) => {
    // ten files of ten events, and one of one: the next event lacks ten bytes
    const backlogBytesMax = 11 * BLOCK_BYTES + LINE_BYTES + BEGUN_BYTES - 10;
    const { forebay, sink, said } = await startForebay(
      t,
      { backlogBytesMax, batchSize: 10, fileEvents: 1, batchWaitMs: 60_000, clientShare: 1 },
      heldSink(),
    );
    const { post, get } = await openHttp(t, forebay);
    let taken = 0;
    while ((await get('/ready')).status === 200) {
      t.match(await post(numbered(taken)), { status: 202 }, 'what is ready takes an event');
      taken++;
    }
    t.equal(taken, 101);
    t.match(
      await get('/ready'),
      { status: 503, code: 'BACKLOG_FULL', retryAfter: 300 },
      'before one is refused',
    );
    for (let n = 0; n < 3; n++) t.match(await post(numbered(n)), { status: 429, code: 'BACKLOG_FULL' });
    t.equal(forebay.refusal(1, 10), null, 'a shorter one would fit');
    t.match(await get('/ready'), { status: 503, code: 'BACKLOG_FULL', retryAfter: 300 });
    const lines = (): string[] => said.filter(({ text }) => /backlog/i.test(text)).map(({ level }) => level);
    t.same(lines(), ['warn']);
    sink.release();
    await until(() => forebay.counts().pending === 1, 'all but the batch that is not full are delivered');
    t.match(await post(numbered(0)), { status: 202 });
    t.match(await get('/ready'), { status: 200 });
    t.same(lines(), ['warn', 'info']);
  },
);

/** Delivers one batch each time it is allowed to. */
class PacedSink extends CollectingSink {
  #allowed = 0;

  allow(): void {
    this.#allowed++;
    this.emit('allowed');
  }

  override async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    while (this.#allowed === 0) await once(this, 'allowed', { signal });
    this.#allowed--;
    await super.deliver(batch, signal);
  }
}

/** The `retryAfterMs` of a full backlog whose sink has taken a batch of 10 events every `paceMs`, 20 times, and then none. */
async function retryAfterAt(t: Test, paceMs: number, silentMs: number = 0): Promise<number> {
  let nowMs = 0;
  const restore = t.intercept(performance, 'now', { value: () => nowMs }).restore;
  const sink = new PacedSink();
  const { forebay } = await startForebay(
    t,
    { backlogBytesMax: MAX, batchSize: 10, fileEvents: 1, batchWaitMs: 600_000 },
    sink,
  );
  const fill = async (): Promise<void> => {
    while (forebay.refusal(10, 10 * LINE_BYTES) === null)
      await Promise.all(Array.from({ length: 10 }, async () => forebay.write(numbered(0))));
    while (forebay.refusal(1, LINE_BYTES) === null) await forebay.write(numbered(0));
  };
  await fill();
  for (let batch = 1; batch <= 20; batch++) {
    nowMs += paceMs;
    sink.allow();
    await until(() => forebay.counts().delivered === 10 * batch, 'a batch is delivered');
  }
  await fill();
  nowMs += silentMs;
  const retryAfterMs = forebay.refusal(1, LINE_BYTES)?.retryAfterMs;
  restore();
  return retryAfterMs ?? NaN;
}

void t.test('Retry-After is the time until a tenth is free at the pace of the sink', async (t) => {
  const second = await retryAfterAt(t, 1000);
  const expected = (0.1 * MAX * 1000) / BLOCK_BYTES;
  t.ok(second > expected / 1.5 && second < expected * 1.5, `${second} ms, about ${expected} expected`);
  const slower = await retryAfterAt(t, 5000);
  t.ok(slower > 3 * second && slower < 8 * second, `${slower} ms for a sink that is five times slower`);
  t.equal(await retryAfterAt(t, 1), 1000, 'no less than a second');
  t.equal(await retryAfterAt(t, 1000, 3_600_000), 300_000, 'no more than five minutes');
});

void t.test('what earlier runs left counts from the start, also after kill -9', async (t) => {
  const dir = tempDir(t);
  const flags = ['--log-dir', dir, '--backlog-max', String(MAX), '--body-max', '10000', '--replay-wait', '0'];
  const down = [
    ...flags,
    '--sink-latency',
    '600000',
    '--batch-size',
    '10',
    '--file-events',
    '1',
    '--client-share',
    '1',
  ];
  const first = await ServerProcess.start(...down);
  const clients = clientsOf(t, first.port);
  let taken = 0;
  for (;;) {
    const { status, code } = await clients.post(numbered(taken));
    if (status === 202) taken++;
    else {
      t.equal(code, 'BACKLOG_FULL');
      break;
    }
  }
  await first.stop('SIGKILL');
  t.ok(blocksOnDisk(dir) <= MAX);
  const second = await ServerProcess.start(...down);
  const refused = await clientsOf(t, second.port).post(numbered(0));
  t.same(
    refused,
    { status: 429, code: 'BACKLOG_FULL', retryAfter: 300 },
    'the first event it is asked to take',
  );
  await second.stop('SIGKILL');
  const sizes = sizesOnDisk(dir);
  t.equal(sum(sizes), taken * LINE_BYTES + sizes.length * RUN_MARK_BYTES, 'nothing was deleted');
  const third = await ServerProcess.start(...flags, '--sink-latency', '0');
  await third.line(/Replay complete/);
  t.equal((await clientsOf(t, third.port).post(numbered(0))).status, 202);
  await third.stop('SIGTERM');
});

void t.test('a body that could never fit is a wrong setting', async (t) => {
  // the second has room for the line, and for no file around it
  for (const most of ['1MiB', String(2 ** 20 + 8000)]) {
    const server = new ServerProcess(['--port', '0', '--log-dir', tempDir(t), '--backlog-max', most]);
    t.equal(await server.exited, 78);
    t.match(server.stderr, /--body-max must be smaller than --backlog-max/);
  }
});

void t.test('an event that could never fit is refused for good, with a backlog of nothing', async (t) => {
  const { forebay } = await startForebay(t, { backlogBytesMax: 10_000 });
  const { post } = await openHttp(t, forebay);
  t.match(await post(eventText('a', 'x'.repeat(3000))), { status: 413, code: 'BODY_TOO_LARGE' });
  t.equal((await post(eventText('a'))).status, 202);
});

void t.test('a batch file that is deleted by hand frees its bytes', async (t) => {
  const dir = memoryDir(t);
  const content = markedLine(eventText('a'));
  const left = 50; // more than are read ahead
  for (let n = 1; n <= left; n++) writeFileSync(join(dir, leftName(n)), content);
  const running = await startForebay(
    t,
    { logDir: dir, backlogBytesMax: 2 * MAX, replayWaitMs: 0, batchSize: 1 },
    heldSink(),
  );
  const { forebay, sink } = running;
  await until(() => sink.attempts.length === 1, 'the first is on its way');
  await forebay.write(numbered(1)); // is kept in memory
  await until(() => pendingBytes(forebay) === (left + 1) * BLOCK_BYTES, 'all count');
  for (const name of readdirSync(dir).filter(isBatchName)) {
    if (name !== sink.attempts[0]) unlinkSync(join(dir, name));
  }
  sink.release();
  await until(() => pendingBytes(forebay) === 0, 'all bytes are free');
  const gone = running.said.filter(({ text }) => text.includes('is gone')).length;
  t.ok(gone > 0 && gone < left, 'those that were not read yet');
  const there = left + 1 - gone;
  t.match(forebay.counts(), {
    accepted: there,
    delivered: there,
    quarantined: 0,
    pending: 0,
    unreadBatches: 0,
    duplicates: 0,
  });
});

void t.test('what is damaged frees its bytes', async (t) => {
  const dir = memoryDir(t);
  for (const n of [1, 2, 3]) writeFileSync(join(dir, leftName(n)), noise(n, 5000));
  writeFileSync(join(dir, leftName(4)), '{"id":"a","ty');
  const { forebay, sink } = await startForebay(t, { logDir: dir, backlogBytesMax: MAX });
  await until(() => pendingBytes(forebay) === 0, 'all bytes are free');
  await forebay.write(numbered(1));
  await sink.received(1);
  addsUp(t, forebay);
});

void t.test('after any failures of the disk, what is delivered leaves no byte counted', async (t) => {
  t.intercept(Math, 'random', { value: () => 0.01 }); // retries at once
  const random = noise(7, 4000);
  let at = 0;
  const pick = (most: number): number => (random[at++ % random.length] ?? 0) % most;
  const methods = ['open', 'write', 'fdatasync', 'fsync', 'unlink', 'read', 'ftruncate'] as const;
  for (let round = 0; round < 40; round++) {
    const disk = heldDisk();
    const options = {
      fs: disk.fs,
      backlogBytesMax: MAX,
      batchSize: 1 + pick(6),
      sinkConcurrency: 1 + pick(3),
    };
    const { forebay, sink } = await startForebay(t, options);
    const accepted = new Set<string>();
    const doubtful = new Set<string>();
    for (let step = 0; step < 12; step++) {
      const method = methods[pick(7)] ?? 'write';
      disk.fail(method, pick(3) === 0 ? 'EIO' : null);
      sink.error = pick(5) === 0 ? new Error('down') : null;
      const some = Array.from({ length: pick(9) }, (_, n) => `r${round}-${step}-${n}`);
      const codes = await Promise.all(some.map((id) => codeOf(forebay.write(eventText(id)))));
      for (const [index, id] of some.entries()) {
        if (codes[index] === null) accepted.add(id);
        if (codes[index] === 'IN_DOUBT') doubtful.add(id);
      }
      addsUp(t, forebay);
    }
    for (const method of methods) disk.fail(method, null);
    sink.error = null;
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    await until(() => pendingBytes(forebay) === 0, `no byte is counted, round ${round}`);
    const got = idsOf(sink.lines);
    t.same(
      [...accepted].filter((id) => !got.includes(id)),
      [],
      'none lost',
    );
    t.same(
      got.filter((id) => !accepted.has(id) && !doubtful.has(id)),
      [],
      'none refused delivered',
    );
    t.equal(forebay.counts().accepted, accepted.size);
    await forebay.stop(0);
  }
});
