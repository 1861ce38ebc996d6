import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { AppendLog } from '../../lib/logs/file/append-log.js';
import { PROBE_FILE } from '../../lib/logs/file/disk-probe.js';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { DiskWatch } from '../../lib/intake/disk-watch.js';
import { ForebayError } from '../../lib/base/errors.js';
import { SimulatedSink } from '../../lib/sinks/simulated/simulated-sink.js';
import { createForebay } from '../../lib/forebay.js';
import { Reporter, silentLogger } from '../../lib/base/reporter.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { freePort } from '../helpers/free-port.js';
import { heldDisk } from '../helpers/held-disk.js';
import { openHttp } from '../helpers/http-door.js';
import { leftName } from '../helpers/left-files.js';
import { buildForebay, eventText, startForebay, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const READY = { status: 200 };
const DISK = { status: 503, code: 'LOG_FAILED', retryAfter: 1 };

/** From now on `performance.now()` is later by what this adds. */
function leapingClock(t: Test): { leap: (ms: number) => void } {
  const real = performance.now.bind(performance);
  let aheadMs = 0;
  t.intercept(performance, 'now', { value: () => real() + aheadMs });
  return { leap: (ms) => void (aheadMs += ms) };
}

void t.test(
  'a disk that takes no events is not ready until it does, whether or not events come',
  async (t) => {
    const clock = leapingClock(t);
    const disk = heldDisk();
    const { forebay, dir, said } = await startForebay(t, { fs: disk.fs });
    const { post, get } = await openHttp(t, forebay);
    t.match(await get('/ready'), READY);
    disk.fail('write', 'EIO');
    t.match(await post(eventText('a')), DISK);
    for (let look = 0; look < 3; look++) {
      clock.leap(60_000);
      t.match(await get('/ready'), DISK, 'a minute later, too');
      t.equal((await get('/health')).status, 503);
    }
    disk.fail('write', null);
    await until(() => forebay.unready() === null, 'the disk is tried, and takes events');
    t.match(await get('/ready'), READY);
    t.match(await get('/health'), READY);
    const lines = said.filter(({ text }) => text.startsWith('The disk takes'));
    t.match(lines, [
      { level: 'warn', text: /^The disk takes no events: .*; clients get 503 until it does$/ },
      { level: 'info', text: /^The disk takes events again: .*, after \d+ s$/ },
    ]);
    t.notOk(readdirSync(dir).includes(PROBE_FILE), 'a try leaves nothing behind');
  },
);

void t.test('a disk that fails while nobody sends is found out by who asks', async (t) => {
  const clock = leapingClock(t);
  const disk = heldDisk();
  const { forebay } = await startForebay(t, { fs: disk.fs });
  const { get } = await openHttp(t, forebay);
  disk.fail('fdatasync', 'EROFS');
  t.match(await get('/ready'), READY, 'what was known a moment ago');
  clock.leap(6000);
  await until(() => forebay.unready()?.code === 'LOG_FAILED', 'it is known');
  t.match(await get('/ready'), DISK);
  disk.fail('fdatasync', null);
  await until(() => forebay.unready() === null, 'it is well again');
});

void t.test('a disk that hangs while nobody sends is not ready', async (t) => {
  const clock = leapingClock(t);
  const disk = heldDisk();
  const { forebay } = await startForebay(t, { fs: disk.fs, ackTimeoutMs: 2000 });
  const { get } = await openHttp(t, forebay);
  disk.hold();
  clock.leap(6000);
  t.match(await get('/ready'), READY);
  await until(() => disk.flushes === 1, 'the disk is tried');
  clock.leap(2001);
  t.match(await get('/ready'), DISK);
  disk.release();
  await until(() => forebay.unready() === null, 'it answers');
});

void t.test('a queue without room for a request like the last ones is not ready', async (t) => {
  const disk = heldDisk();
  const { forebay } = await startForebay(t, { fs: disk.fs, queueBytes: 50_000 });
  const { post, get } = await openHttp(t, forebay);
  const large = eventText('a', 'x'.repeat(10_000));
  t.equal((await post(large)).status, 202);
  disk.hold();
  const waiting = Array.from({ length: 4 }, () => post(large));
  await until(() => (forebay.statistics()?.queuedEvents ?? 0) === 4, 'they wait');
  t.match(await get('/ready'), { status: 503, code: 'QUEUE_FULL' }, 'before one is refused');
  t.match(await post(large), { status: 429 });
  disk.release();
  for (const { status } of await Promise.all(waiting)) t.equal(status, 202);
  t.match(await get('/ready'), READY);
});

void t.test('during a replay the door says that it is shut, why, and until when', async (t) => {
  const dir = tempDir(t);
  for (let n = 1; n <= 3; n++) writeFileSync(join(dir, leftName(n)), markedLine(eventText(`old${n}`)));
  const sink = Object.assign(new CollectingSink(), { held: true });
  const { forebay } = buildForebay(t, { logDir: dir, replayWaitMs: 20_000 }, sink);
  const { post, get } = await openHttp(t, forebay);
  t.match(await post(eventText('new')), { status: 503, code: 'NOT_RUNNING', retryAfter: 1 }, 'not started');
  const started = forebay.start();
  await until(() => sink.attempts.length === 1, 'the first is at the sink');
  for (const answer of [await post(eventText('new')), await get('/ready')]) {
    t.match(answer, { status: 503, code: 'NOT_RUNNING' });
    t.ok(
      answer.retryAfter !== null && answer.retryAfter > 0 && answer.retryAfter <= 20,
      `${answer.retryAfter}`,
    );
  }
  t.match(await get('/health'), READY);
  t.match(forebay.unready()?.message, /first delivers what an earlier run left \(3 of 3 batches left\)$/);
  sink.release();
  await started;
  t.match(await post(eventText('new')), { status: 202 });
  await until(() => sink.lines.length === 4, 'all is delivered');
  t.equal(sink.lines[3], eventText('new'));
});

void t.test('a server that replays listens, and takes events when that is done', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, leftName(1)), markedLine(eventText('old')));
  const port = await freePort();
  const flags = ['--port', String(port), '--log-dir', dir, '--sink-latency', '600000', '--discard-backlog'];
  const server = new ServerProcess([...flags, '--replay-wait', '4s']);
  await server.line(/Replaying batch/);
  const get = async (path: string): Promise<number> => {
    const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`);
    await body.dump();
    return statusCode;
  };
  t.same(await Promise.all(['/ready', '/health', '/metrics', '/'].map(get)), [503, 200, 200, 200]);
  await server.line(/IngestionServer started/);
  t.equal(await get('/ready'), 200);
  await server.stop('SIGKILL');
});

void t.test('a sink that keeps nothing gets no backlog of another one', async (t) => {
  const dir = tempDir(t);
  const simulated = (latencyMs: number): SimulatedSink => new SimulatedSink({ latencyMs, failureRate: 0 });
  const down = Object.assign(new CollectingSink(), { error: new Error('down') });
  const first = createForebay({ logDir: dir, sink: down, batchWaitMs: 10, replayWaitMs: 0 });
  await first.start();
  await first.write(eventText('a'));
  await first.stop();
  const wrong = createForebay({ logDir: dir, sink: simulated(0) });
  await t.rejects(wrong.start(), {
    code: 'SINK_DISCARDS',
    message:
      /holds 1 batch that was accepted for the sink custom, and the sink simulated keeps nothing: .*--discard-backlog/,
  });
  await wrong.stop();
  const other = new CollectingSink();
  const right = createForebay({ logDir: dir, sink: other });
  await right.start();
  t.same(other.lines, [eventText('a')], 'nothing is lost, and any sink that keeps events gets them');
  await right.stop();

  const slow = createForebay({ logDir: dir, sink: simulated(600_000), batchWaitMs: 10 });
  await slow.start();
  await slow.write(eventText('b'));
  await slow.stop(0);
  const again = createForebay({ logDir: dir, sink: simulated(0) });
  await again.start();
  t.equal(again.counts().delivered, 1, 'its own it gets');
  await again.stop();

  writeFileSync(join(dir, leftName(1)), markedLine(eventText('c')));
  writeFileSync(join(dir, 'forebay.lock'), 'process 1, started 2025-01-01T00:00:00.000Z, names from 2025');
  const unknown = createForebay({ logDir: dir, sink: simulated(0) });
  await t.rejects(unknown.start(), { code: 'SINK_DISCARDS', message: 'accepted for another sink' });
  await unknown.stop();
  const asked = createForebay({ logDir: dir, sink: simulated(0), discardBacklog: true });
  await asked.start();
  t.equal(asked.counts().delivered, 1, 'or what it is let have');
  await asked.stop();
});

void t.test('a request that could never be taken says nothing of the next ones', async (t) => {
  const { forebay } = await startForebay(t, { queueSize: 10 });
  const { post, get } = await openHttp(t, forebay);
  const array = JSON.stringify(Array.from({ length: 100 }, (_, n) => ({ id: `e${n}`, type: 't', data: n })));
  t.match(await post(array), { status: 413, code: 'BODY_TOO_LARGE' });
  t.match(await get('/ready'), READY);
  t.match(await post(eventText('a')), { status: 202 });
});

void t.test('a try of the disk fails where an event would fail, and nowhere else', async (t) => {
  for (const [fsync, method, isTaken] of [
    ['always', 'fsync', false],
    ['always', 'fdatasync', false],
    ['always', 'write', false],
    ['never', 'fsync', true],
    ['never', 'fdatasync', true],
    ['never', 'write', false],
    [50, 'fdatasync', true],
    [50, 'open', false],
  ] as const) {
    const disk = heldDisk();
    const log = await AppendLog.open({
      dir: tempDir(t),
      fsync,
      reporter: new Reporter(silentLogger),
      fs: disk.fs,
    });
    disk.fail(method, 'EINVAL');
    const takes = async (work: () => Promise<unknown>): Promise<boolean> =>
      work().then(
        () => true,
        () => false,
      );
    const event = async (): Promise<void> => {
      await log.writer.append(await log.writer.create(), Buffer.from(markedLine(eventText('a'))), 1);
    };
    t.equal(await takes(event), isTaken, `${fsync}, ${method}: an event`);
    t.equal(await takes(async () => log.probe(4096)), isTaken, `${fsync}, ${method}: a try`);
    disk.fail(method, null);
    t.ok(await takes(async () => log.probe(4096)), 'also after one that was left behind');
    t.notOk(readdirSync(log.dir).includes(PROBE_FILE));
    await log.close();
  }
});

void t.test(
  'a try that hangs is told, gives way to events that are taken, and holds up no stop',
  async (t) => {
    const clock = leapingClock(t);
    const lines: string[] = [];
    const say = (_fields: object, text: string): void => void lines.push(text);
    const log = { place: 'd', probe: async () => new Promise<void>(() => undefined) };
    const watch = new DiskWatch(log, new Reporter({ ...silentLogger, info: say, warn: say }), 100);
    clock.leap(6000);
    t.equal(watch.failure(10), null);
    clock.leap(101);
    t.match(watch.failure(10), { code: 'LOG_FAILED', message: /has not answered for 100 ms/ });
    t.match(lines, [/^The disk takes no events/]);
    watch.took();
    t.equal(watch.failure(10), null, 'an event knows better');
    t.match(lines, [/^The disk takes no events/, /^The disk takes events again/]);
    await watch.close();
  },
);

void t.test('of a replicated log, the log is said to take no events, not the disk', async (t) => {
  const clock = leapingClock(t);
  const lines: string[] = [];
  const say = (_fields: object, text: string): void => void lines.push(text);
  const probe = async (): Promise<void> => new Promise(() => undefined);
  const log = { place: 'stream s', isConnected: true, probe };
  const watch = new DiskWatch(log, new Reporter({ ...silentLogger, info: say, warn: say }), 100);
  watch.refused(new ForebayError('LOG_FAILED'));
  watch.took();
  t.match(lines, [/^The log takes no events: stream s; /, /^The log takes events again: stream s/]);
  clock.leap(6000);
  t.equal(watch.failure(10), null);
  clock.leap(101);
  t.match(watch.failure(10), { message: /^The log has not answered for 100 ms/ });
  await watch.close();
});

void t.test('a disk that takes every second event does not flood the log', async (t) => {
  let nowMs = 0;
  t.intercept(performance, 'now', { value: () => nowMs });
  const lines: string[] = [];
  const say = (_fields: object, text: string): void => void lines.push(text);
  const log = { place: 'd', probe: async () => Promise.resolve() };
  const watch = new DiskWatch(log, new Reporter({ ...silentLogger, info: say, warn: say }), 100);
  for (let times = 0; times < 1000; times++) {
    watch.refused(new ForebayError('LOG_FAILED'));
    watch.took();
    nowMs += 5;
  }
  t.equal(lines.length, 2);
  watch.refused(new ForebayError('LOG_FAILED'));
  t.equal(lines.length, 2);
  nowMs += 5001;
  watch.refused(new ForebayError('LOG_FAILED'));
  t.match(lines.slice(2), [/^The disk takes no events/], 'one that lasts is told');
  watch.took();
  t.match(lines.slice(3), [/^The disk takes events again: d, after \d+ s$/]);
  await watch.close();
});

void t.test('a note of the sink that could not be written is written later', async (t) => {
  const dir = tempDir(t);
  const disk = heldDisk();
  const log = await AppendLog.open({
    dir,
    fsync: 'always',
    reporter: new Reporter(silentLogger),
    fs: disk.fs,
  });
  t.teardown(async () => log.close());
  disk.fail('write', 'ENOSPC');
  const timers: (() => void)[] = [];
  t.intercept(globalThis, 'setTimeout', {
    value: (work: () => void) => {
      timers.push(work);
      return { unref: () => undefined };
    },
  });
  await t.rejects(log.lock.note({ runId: 'f00', sink: 'http' }), { code: 'ENOSPC' });
  t.equal(timers.length, 1);
  disk.fail('write', null);
  timers[0]?.();
  await log.lock.note({ runId: 'f00', sink: 'http' });
  t.match(readFileSync(join(dir, 'forebay.lock'), 'utf8'), /, run f00, sink http *\n$/);
});

void t.test('a sink is the same one whatever its name has in it', async (t) => {
  const dir = tempDir(t);
  const description = { kind: `my sink/${'x'.repeat(100)}`, keepsNothing: true } as const;
  const waits = { description, deliver: async () => Promise.reject(new Error('down')) };
  const first = createForebay({ logDir: dir, sink: waits, batchWaitMs: 10, replayWaitMs: 0 });
  await first.start();
  await first.write(eventText('a'));
  await first.stop(0);
  const again = createForebay({ logDir: dir, sink: { description, deliver: async () => Promise.resolve() } });
  await again.start();
  t.equal(again.counts().delivered, 1);
  await again.stop();
});
