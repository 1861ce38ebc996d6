import { closeSync, fdatasync, open, write } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { ForebayError } from '../../lib/base/errors.js';
import type { Forebay } from '../../lib/forebay.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { Reporter } from '../../lib/base/reporter.js';
import { WaitingRequests } from '../../lib/intake/waiting-requests.js';
import { heldDisk } from '../helpers/held-disk.js';
import type { HeldDisk } from '../helpers/held-disk.js';
import { openHttp } from '../helpers/http-door.js';
import { addsUp, codeOf, eventText, idsOf, startForebay, until } from '../helpers/running-forebay.js';
import type { RunningForebay } from '../helpers/running-forebay.js';
import { memoryDir } from '../helpers/left-files.js';
import { stopClock } from '../helpers/stop-clock.js';
import { tempDir } from '../helpers/temp-dir.js';

const TIMEOUT_MS = 300;
/** What a busy machine may add, while this process runs. */
const SLACK_MS = 2000;
const TICK_MS = 10;

/** The time that this process runs, in milliseconds: a timer goes off once after a time in which it did not. */
function runningTime(t: Test): () => number {
  let ticks = 0;
  const ticking = setInterval(() => ticks++, TICK_MS);
  t.teardown(() => {
    clearInterval(ticking);
  });
  return () => ticks * TICK_MS;
}

/** Writes an event once the disk is back; one that a slow machine leaves in doubt is `doubted`, and there is another one. */
async function writeOne(forebay: Forebay, id: string, doubted: Set<string> = new Set()): Promise<string> {
  for (let n = 0; ; n++) {
    const name = n === 0 ? id : `${n}-${id}`;
    const code = await codeOf(forebay.write(eventText(name)));
    if (code === null) return name;
    if (code === 'IN_DOUBT') doubted.add(name);
    else if (code !== 'LOG_FAILED') throw new Error(code);
    await until(() => forebay.refusal(1, 1000) === null, 'the door is open again');
  }
}

interface Hanging extends RunningForebay {
  readonly disk: HeldDisk;
}

async function start(t: Test, options: Parameters<typeof startForebay>[1] = {}): Promise<Hanging> {
  const disk = heldDisk();
  // a disk that is slow by itself would hang, too
  const quick = { logDir: memoryDir(t), ackTimeoutMs: TIMEOUT_MS };
  const running = await startForebay(t, { ...quick, ...options, fs: disk.fs });
  t.teardown(() => {
    disk.release();
  });
  return { ...running, disk };
}

function numbered(from: number, to: number): string[] {
  return Array.from({ length: to - from }, (_, n) => `e${from + n}`);
}

/** Writes one more event once the disk is back, and gives the ids of all that arrived before it. */
async function arrivedBefore(
  t: Test,
  { forebay, sink }: RunningForebay,
  doubted: Set<string> = new Set(),
): Promise<string[]> {
  await until(() => forebay.refusal(1, 1000) === null, 'the door is open again');
  const last = await writeOne(forebay, 'last', doubted);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  addsUp(t, forebay);
  const ids = idsOf(sink.lines);
  t.equal(ids.at(-1), last);
  t.match(forebay.counts(), { accepted: ids.length, delivered: ids.length, pending: 0 });
  return ids.slice(0, -1).filter((id) => !doubted.has(id));
}

/** Timers that keep the process alive. */
function timers(): number {
  return process.getActiveResourcesInfo().filter((resource) => resource === 'Timeout').length;
}

void t.test(
  'who waits for a disk that hangs is told so in time; what is still in the queue is not written',
  async (t) => {
    const running = await start(t);
    const { forebay, disk } = running;
    disk.hold();
    const startedMs = performance.now();
    const ranMs = runningTime(t);
    const writes = numbered(0, 50).map(async (id) => {
      const error = await forebay.write(eventText(id)).catch((thrown: unknown) => thrown);
      return { error, afterMs: performance.now() - startedMs, ranMs: ranMs() };
    });
    for (const { error, afterMs, ranMs } of await Promise.all(writes)) {
      t.match(error, { code: 'IN_DOUBT', status: 503, retry: true, retryAfterMs: TIMEOUT_MS });
      t.ok(afterMs >= TIMEOUT_MS - 1 && ranMs < TIMEOUT_MS + SLACK_MS, `after ${Math.round(afterMs)} ms`);
    }
    t.match(forebay.counts(), { accepted: 0, pending: 0 });
    t.ok(forebay.healthy);
    disk.release();
    t.same(await arrivedBefore(t, running), ['e0'], 'the one that was being written');
    const told = running.said.filter(({ text }) => /^The disk (?:has not answered|answers)/.test(text));
    t.same(
      told.map(({ level }) => level),
      ['warn', 'info'],
    );
  },
);

void t.test(
  'while the disk hangs, new events are refused at once, are never delivered and take no room',
  async (t) => {
    const running = await start(t, { queueSize: 100 });
    const { forebay, disk } = running;
    disk.hold();
    const codes = await Promise.all(
      numbered(0, 1000).map(async (id) => codeOf(forebay.write(eventText(id)))),
    );
    t.equal(codes.filter((code) => code === 'IN_DOUBT').length, 100, 'the queue');
    t.equal(codes.filter((code) => code === 'QUEUE_FULL').length, 900, 'the rest');
    const { flushes } = disk;
    const before = timers();
    const later = numbered(1000, 6000).map(async (id) => codeOf(forebay.write(eventText(id))));
    t.equal(timers(), before, 'no timer runs for them');
    t.ok((await Promise.all(later)).every((code) => code === 'LOG_FAILED'));
    t.match(forebay.refusal(1, 1), { code: 'LOG_FAILED', status: 503, retryAfterMs: 1000 });
    t.equal(disk.flushes, flushes);
    disk.release();
    t.same(await arrivedBefore(t, running), ['e0']);
  },
);

void t.test('HTTP clients of a disk that hangs get 503 with Retry-After', async (t) => {
  const running = await start(t);
  const { forebay, disk } = running;
  const { post, get } = await openHttp(t, forebay);
  disk.hold();
  const ranMs = runningTime(t);
  for (const answer of await Promise.all(numbered(0, 20).map(async (id) => post(eventText(id))))) {
    t.same(answer, { status: 503, retryAfter: 1, code: 'IN_DOUBT' });
  }
  t.ok(ranMs() < TIMEOUT_MS + SLACK_MS);
  t.same(await post(eventText('new')), { status: 503, retryAfter: 1, code: 'LOG_FAILED' });
  t.match(await get('/health'), { status: 503 }, 'a restart may help');
  t.match(await get('/ready'), { status: 503, code: 'LOG_FAILED' });
  disk.release();
  const arrived = await arrivedBefore(t, running);
  t.notOk(arrived.includes('new'));
  t.ok(arrived.length <= 1, 'the group that was being written');
  await until(async () => (await post(eventText('after'))).status === 202, 'the disk is in time again');
  t.match(await get('/health'), { status: 200 });
});

void t.test('what waited behind the first 64 batches of its turn is withdrawn like any other', async (t) => {
  const running = await start(t, { batchSize: 1 });
  const { forebay, disk } = running;
  disk.hold();
  const first = codeOf(forebay.write(eventText('e0')));
  const codes = numbered(1, 141).map(async (id) => codeOf(forebay.write(eventText(id))));
  await until(() => disk.flushes === 1, 'the first is being written');
  disk.release();
  disk.hold();
  t.equal(await first, null);
  t.ok((await Promise.all(codes)).every((code) => code === 'IN_DOUBT'));
  disk.release();
  const arrived = await arrivedBefore(t, running);
  t.same(arrived, numbered(0, arrived.length), 'the oldest');
  t.ok(arrived.length <= 1 + 64, `${arrived.length} arrived; 65 were written or being written`);
});

void t.test(
  'a disk that hangs again and again is told each time, and the door opens each time',
  async (t) => {
    const running = await start(t, { ackTimeoutMs: 500 });
    const { forebay, disk } = running;
    const acknowledged: string[] = [];
    const doubted = new Set<string>();
    for (let round = 0; round < 5; round++) {
      disk.hold();
      const codes = numbered(0, 5).map(async (id) => codeOf(forebay.write(eventText(`${round}-${id}`))));
      t.ok((await Promise.all(codes)).every((code) => code === 'IN_DOUBT'));
      disk.release();
      await until(() => forebay.refusal(1, 1000) === null, 'the door is open again');
      acknowledged.push(await writeOne(forebay, `${round}-after`, doubted));
    }
    const arrived = await arrivedBefore(t, running, doubted);
    t.same(
      arrived.filter((id) => id.endsWith('after')),
      acknowledged,
    );
    t.equal(new Set(arrived).size, arrived.length, 'each at most once');
  },
);

void t.test('a disk that is slow, and in time, disturbs nobody', async (t) => {
  const running = await start(t, { ackTimeoutMs: 20_000 });
  const { forebay, disk } = running;
  disk.hold();
  // an event waits for the flush that runs, and for its own
  const ticking = setInterval(() => {
    disk.release();
    disk.hold();
  }, 300);
  t.teardown(() => {
    clearInterval(ticking);
  });
  const codes: Promise<string | null>[] = [];
  const startedMs = performance.now();
  for (const id of numbered(0, 60)) {
    codes.push(codeOf(forebay.write(eventText(id))));
    await sleep(20);
  }
  t.ok((await Promise.all(codes)).every((code) => code === null));
  t.ok(performance.now() - startedMs > 1200, 'the flushes were slow');
  clearInterval(ticking);
  disk.release();
  t.same(await arrivedBefore(t, running), numbered(0, 60));
});

void t.test('all requests share one timer, which ends when none of them waits', async (t) => {
  const before = timers();
  const waiting = new WaitingRequests(100, new Reporter());
  const answers: (Error | null)[] = [];
  const queued = numbered(0, 10_000).map(() =>
    waiting.add(EventBlock.of('a'), (error) => answers.push(error)),
  );
  t.equal(timers(), before + 1);
  for (const request of queued.slice(0, 9000)) request.acknowledge(0, 1, null);
  await until(() => answers.length === 10_000, 'each is answered');
  t.equal(answers.filter((error) => error === null).length, 9000);
  t.equal(waiting.overdue, 1000);
  for (const request of queued.slice(9000)) request.acknowledge(0, 1, null);
  t.equal(waiting.overdue, 0);
  t.equal(answers.length, 10_000, 'once');
  t.equal(timers(), before);
});

void t.test('a later request is due later, although one timer is for all', async (t) => {
  const passMs = stopClock(t);
  const waiting = new WaitingRequests(50, new Reporter());
  const answered: string[] = [];
  const add = (name: string): void => void waiting.add(EventBlock.of(name), () => answered.push(name));
  add('first');
  passMs(30);
  add('second');
  passMs(20);
  await until(() => answered.length > 0, 'the first is in doubt');
  t.same(answered, ['first']);
  passMs(30);
  await until(() => answered.length > 1, 'and the second in its time');
  waiting.close();
});

void t.test('a request is in doubt if one of its events is, whatever became of the others', (t) => {
  const failed = new ForebayError('LOG_FAILED');
  const inDoubt = new ForebayError('IN_DOUBT');
  for (const [outcomes, code] of [
    [[failed, failed], 'LOG_FAILED'],
    [[failed, inDoubt], 'IN_DOUBT'],
    [[inDoubt, failed], 'IN_DOUBT'],
    [[null, failed], 'IN_DOUBT'],
  ] as const) {
    const waiting = new WaitingRequests(1000, new Reporter());
    let answer: unknown = 'none';
    const request = waiting.add(EventBlock.of('a', 'b'), (error) => (answer = error));
    for (const outcome of outcomes) request.acknowledge(0, 1, outcome);
    waiting.close();
    t.match(answer, { code });
  }
  t.end();
});

void t.test('after stop() no timer keeps the process alive', async (t) => {
  const before = timers();
  const { forebay } = await startForebay(t, { ackTimeoutMs: 20_000 });
  await Promise.all(numbered(0, 2000).map(async (id) => forebay.write(eventText(id))));
  await forebay.stop(1000);
  t.ok(timers() <= before, `${timers()} timers, ${before} before`);
});

void t.test('a process that was suspended hears the disk before the clock', async (t) => {
  const path = join(tempDir(t), 'file');
  const waiting = new WaitingRequests(50, new Reporter());
  t.teardown(() => {
    waiting.close();
  });
  const outcome = new Promise<Error | null>((resolve) => {
    const request = waiting.add(EventBlock.of(eventText('a')), resolve);
    // what the disk has to do takes more than one answer of it
    open(path, 'w', (_error, fd) => {
      write(fd, 'event', () => {
        fdatasync(fd, () => {
          closeSync(fd);
          request.acknowledge(0, 1, null);
        });
      });
    });
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000); // the same to a timer as SIGSTOP
  t.equal(await outcome, null);
  t.equal(waiting.overdue, 0);
});

void t.test('a suspended process tells the client of a disk that does not answer all the same', async (t) => {
  const waiting = new WaitingRequests(50, new Reporter());
  const outcome = new Promise<Error | null>((resolve) => {
    waiting.add(EventBlock.of(eventText('a')), resolve);
  });
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1000);
  t.match(await outcome, { code: 'IN_DOUBT' });
  waiting.close();
});
