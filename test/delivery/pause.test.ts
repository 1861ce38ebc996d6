import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { DrainRate } from '../../lib/base/drain-rate.js';
import { Reporter } from '../../lib/base/reporter.js';
import { CircuitBreaker } from '../../lib/delivery/circuit-breaker.js';
import { PauseGate } from '../../lib/delivery/pause-gate.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { parsePause, pauseOf, pauseText } from '../../lib/seams/pause.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import {
  addsUp,
  buildForebay,
  codeOf,
  eventText,
  idsOf,
  startForebay,
  until,
} from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

const FILE = 'forebay.paused';
const names = (count: number): string[] => Array.from({ length: count }, (_, n) => `e${n}`);

void t.test(
  'while delivery is paused the door is open and the sink gets nothing; then all comes in order',
  async (t) => {
    const { forebay, sink, dir, said } = await startForebay(t, {
      batchSize: 1,
      fileEvents: 1,
      sinkConcurrency: 1,
    });
    t.equal(forebay.paused, null);
    const { changed, pause } = await forebay.pause({ by: 'ann', reason: 'the database moves' });
    t.equal(changed, true);
    t.match(pause, { by: 'ann', reason: 'the database moves', untilMs: null });
    t.same(parsePause(readFileSync(join(dir, FILE), 'utf8')), pause, 'it is on disk');
    for (const id of names(40)) await forebay.write(eventText(id)); // more than are read ahead
    t.same(await forebay.pause({ by: 'bob' }), { changed: false, pause }, 'a second one changes nothing');
    t.same(forebay.statistics()?.paused, pause);
    t.equal(forebay.counts().pending, 40);
    t.same(sink.attempts, []);
    t.same(forebay.recentBatches().active, [], 'no batch has a place');
    t.equal(forebay.unready(), null, 'events are taken');
    t.same(await forebay.resume({ by: 'bob' }), { changed: true, pause });
    t.notOk(existsSync(join(dir, FILE)));
    await sink.received(40);
    t.same(idsOf(sink.lines), names(40));
    t.same(await forebay.resume(), { changed: false, pause: null });
    addsUp(t, forebay);
    const lines = said.map(({ text }) => text);
    t.ok(
      lines.some((line) => /^Delivery is paused since \S+Z by ann: the database moves\. /.test(line)),
      lines.join('\n'),
    );
    t.ok(lines.some((line) => /^Delivery goes on, resumed by bob; ann had paused it for \d+ s$/.test(line)));
  },
);

void t.test(
  'what runs is finished, and a retry waits for the end of the pause without counting',
  async (t) => {
    const sink = new CollectingSink();
    sink.held = true;
    const { forebay } = await startForebay(t, { sinkConcurrency: 1 }, sink);
    await forebay.write(eventText('a'));
    await until(() => sink.attempts.length === 1, 'an attempt runs');
    await forebay.pause();
    sink.error = new Error('the sink is unwell');
    sink.release();
    await until(() => forebay.statistics()?.sink.attempts.failed === 1, 'it ends, and fails');
    await sleep(1500); // longer than the wait for a second attempt
    t.equal(sink.attempts.length, 1);
    t.equal(forebay.statistics()?.deliveryFailures, 1);
    t.equal(forebay.statistics()?.sink.attempts.running, 0);
    sink.error = null;
    await forebay.resume();
    await sink.received(1);
    t.equal(sink.attempts.length, 2);
  },
);

void t.test(
  'an attempt that runs when delivery is paused is taken, and its batch leaves the log',
  async (t) => {
    const sink = new CollectingSink();
    sink.held = true;
    const { forebay } = await startForebay(t, { batchSize: 1, sinkConcurrency: 2 }, sink);
    for (const id of names(4)) await forebay.write(eventText(id));
    await until(() => sink.attempts.length === 2, 'two attempts run');
    await forebay.pause();
    sink.release();
    await until(() => forebay.counts().delivered === 2, 'both are delivered');
    t.equal(sink.attempts.length, 2);
    t.equal(forebay.counts().pending, 2);
  },
);

void t.test('a pause outlives the process, and a start with one opens the door at once', async (t) => {
  const first = await startForebay(t, { batchSize: 1 });
  await first.forebay.pause({ by: 'ann' });
  await first.forebay.write(eventText('a'));
  await first.forebay.stop();
  t.same(first.sink.attempts, []);
  const { dir: logDir } = first;
  const second = await startForebay(t, { logDir, replayWaitMs: 2 ** 30 });
  t.match(second.forebay.paused, { by: 'ann' });
  const lines = second.said.map(({ text }) => text);
  t.ok(lines.some((line) => /^Delivery is paused since \S+Z by ann\. Events are taken and wait$/.test(line)));
  t.ok(lines.includes('Delivery is paused: replay goes on in the background, 1 batch left'));
  t.notOk(
    lines.some((line) => line.includes('Not a batch file')),
    'its file is no foreign one',
  );
  await second.forebay.write(eventText('b'));
  t.same(second.sink.attempts, []);
  await second.forebay.resume();
  await second.sink.received(2);
  t.same(idsOf(second.sink.lines), ['a', 'b']);
  await second.forebay.stop();
  t.equal((await startForebay(t, { logDir })).forebay.paused, null, 'and so does its end');
});

void t.test('a replay that is paused no longer keeps the door shut', async (t) => {
  const first = await startForebay(t, { batchSize: 1 });
  first.sink.held = true;
  for (const id of names(3)) await first.forebay.write(eventText(id));
  await first.forebay.stop(0);
  const sink = new CollectingSink();
  sink.held = true;
  const { forebay } = buildForebay(t, { logDir: first.dir, replayWaitMs: 2 ** 30, sinkConcurrency: 1 }, sink);
  const started = forebay.start();
  await until(() => sink.attempts.length === 1, 'the replay runs');
  await forebay.pause();
  await started;
  sink.release();
  await forebay.resume();
  await sink.received(3);
});

void t.test(
  'a stop while delivery is paused waits for nothing, nor does one that is to deliver all',
  async (t) => {
    for (const [isTried, isAll] of [
      [true, false],
      [true, true],
      [false, false],
    ]) {
      const { forebay, sink } = await startForebay(t, { batchSize: 1, fileEvents: 1, sinkConcurrency: 1 });
      sink.error = new Error('the sink is unwell');
      if (isTried) {
        await forebay.write(eventText('a'));
        await until(
          () => (forebay.statistics()?.deliveryFailures ?? 0) > 0,
          'one waits for its next attempt',
        );
      }
      await forebay.pause();
      for (const id of names(40)) await forebay.write(eventText(id));
      const { length } = sink.attempts;
      if (isAll) await forebay.deliverAll(2 ** 30);
      await forebay.stop(2 ** 30);
      t.equal(forebay.counts().pending, isTried ? 41 : 40);
      t.equal(sink.attempts.length, length);
    }
  },
);

void t.test('a pause with an end is over then, also if that comes between two runs', async (t) => {
  const { forebay, sink, dir } = await startForebay(t, {});
  await forebay.pause({ forMs: 1000 });
  await forebay.write(eventText('a'));
  t.same(sink.attempts, []);
  await sink.received(1);
  t.equal(forebay.paused, null);
  await until(() => !existsSync(join(dir, FILE)), 'its file is gone');
  const logDir = tempDir(t);
  const nowMs = Date.now();
  writeFileSync(
    join(logDir, FILE),
    pauseText({ ...pauseOf({ by: 'ann' }, nowMs - 5000), untilMs: nowMs - 1 }),
  );
  const later = await startForebay(t, { logDir });
  t.equal(later.forebay.paused, null);
  await until(() => !existsSync(join(logDir, FILE)), 'that file is gone, too');
  for (const forMs of [999, 7 * 86_400_000 + 1, 0.5, NaN])
    t.equal(await codeOf(later.forebay.pause({ forMs })), 'BAD_REQUEST', String(forMs));
  t.equal(later.forebay.paused, null);
});

void t.test(
  'a file that cannot be read counts as a pause, with a warning, until someone resumes',
  async (t) => {
    const texts = [
      '',
      '{',
      '{"since":"tomorrow","by":"x"}',
      'null',
      JSON.stringify({ since: '2026-01-01T00:00:00Z' }),
    ];
    for (const text of [...texts, null]) {
      const logDir = tempDir(t);
      if (text === null) mkdirSync(join(logDir, FILE));
      else writeFileSync(join(logDir, FILE), text);
      const { forebay, sink, said } = await startForebay(t, { logDir });
      t.match(forebay.paused, { by: 'unknown', reason: /forebay\.paused cannot be read: / }, String(text));
      t.ok(
        said.some(
          (line) => line.level === 'warn' && /counts as a pause: resume, or delete it/.test(line.text),
        ),
      );
      await forebay.write(eventText('a'));
      if (text === null) continue; // a directory is for someone to look at
      await forebay.resume();
      await sink.received(1);
      t.notOk(existsSync(join(logDir, FILE)));
    }
  },
);

void t.test('a disk that does not keep it changes nothing, and says so', async (t) => {
  let isBroken = false;
  const broken = (name: 'rename' | 'unlink'): FileSystem[typeof name] =>
    ((...args: unknown[]) => {
      if (isBroken && String(args[0]).includes('forebay.paused'))
        (args.at(-1) as (error: Error) => void)(Object.assign(new Error('EIO: i/o error'), { code: 'EIO' }));
      else Reflect.apply(nodeFileSystem[name], nodeFileSystem, args);
    }) as FileSystem[typeof name];
  const fs = Object.create(nodeFileSystem, {
    rename: { value: broken('rename') },
    unlink: { value: broken('unlink') },
  }) as FileSystem;
  const { forebay, said } = await startForebay(t, { fs });
  isBroken = true;
  t.equal(await codeOf(forebay.pause()), 'PAUSE_FAILED');
  t.equal(forebay.paused, null);
  isBroken = false;
  await forebay.pause();
  isBroken = true;
  t.equal(await codeOf(forebay.resume()), 'PAUSE_FAILED');
  t.not(forebay.paused, null);
  isBroken = false;
  await forebay.resume();
  t.equal(forebay.paused, null);
  t.equal(said.filter(({ level, text }) => level === 'error' && text.includes('EIO')).length, 2);
});

void t.test(
  'a deletion whose flush failed is made again: another flush may succeed without it',
  async (t) => {
    let fails = 0;
    const calls: string[] = [];
    const fs = Object.create(nodeFileSystem, {
      fsync: {
        value: (fd: number, done: (error: Error | null) => void) => {
          if (fails > 0 && calls.at(-1) === 'unlink' && fails-- > 0) done(new Error('the device says no'));
          else nodeFileSystem.fsync(fd, done);
        },
      },
      unlink: {
        value: (path: string, done: (error: Error | null) => void) => {
          if (path.endsWith(FILE)) calls.push('unlink');
          nodeFileSystem.unlink(path, done);
        },
      },
      rename: {
        value: (from: string, to: string, done: (error: Error | null) => void) => {
          if (to.endsWith(FILE)) calls.push('rename');
          nodeFileSystem.rename(from, to, done);
        },
      },
    }) as FileSystem;
    const { forebay, dir } = await startForebay(t, { fs });
    await forebay.pause();
    calls.length = 0;
    fails = 1;
    t.equal(await codeOf(forebay.resume()), 'PAUSE_FAILED');
    t.not(forebay.paused, null);
    await forebay.resume();
    t.same(calls, ['unlink', 'rename', 'unlink']);
    t.same(
      readdirSync(dir).filter((name) => name.startsWith(FILE)),
      [],
    );
  },
);

void t.test('what a killed run has left is made durable before it is answered', async (t) => {
  for (const isPaused of [true, false]) {
    const logDir = tempDir(t);
    if (isPaused) writeFileSync(join(logDir, FILE), pauseText(pauseOf({ by: 'ann' }, Date.now())));
    const calls: string[] = [];
    const rename: unknown = (from: string, to: string, done: (error: Error | null) => void) => {
      if (to.endsWith(FILE)) calls.push('rename');
      nodeFileSystem.rename(from, to, done);
    };
    const fs = Object.create(nodeFileSystem, { rename: { value: rename } }) as FileSystem;
    const { forebay } = await startForebay(t, { logDir, fs });
    for (let times = 2; times > 0; times--) {
      const { changed, pause } = await (isPaused ? forebay.pause() : forebay.resume());
      t.equal(changed, false);
      t.equal(pause?.by, isPaused ? 'ann' : undefined);
      t.equal(existsSync(join(logDir, FILE)), isPaused);
    }
    t.same(calls, ['rename'], 'once: it is known then');
  }
});

void t.test('what is refused for a full backlog is told to come back when a pause may be over', async (t) => {
  const { forebay } = await startForebay(t, { backlogBytesMax: 65_536, batchSize: 1 });
  await forebay.pause();
  const refusedMs = async (): Promise<number> => {
    for (;;) {
      try {
        await forebay.write(eventText('a', 'x'.repeat(4000)));
      } catch (error) {
        return (error as { retryAfterMs: number }).retryAfterMs;
      }
    }
  };
  t.equal(await refusedMs(), 300_000);
  await forebay.resume();
  await until(() => forebay.counts().pending === 0, 'there is room again');
  await forebay.pause({ forMs: 60_000 });
  const waitMs = await refusedMs();
  t.ok(waitMs > 1000 && waitMs <= 60_000, String(waitMs));
});

void t.test('a resume that is refused leaves the pause as it was, on disk as well', async (t) => {
  const { forebay, dir } = await startForebay(t, {});
  const { pause } = await forebay.pause({ by: 'ann' });
  t.equal(await codeOf(forebay.resume({ by: 'x'.repeat(101) })), 'BAD_REQUEST');
  t.same(forebay.paused, pause);
  t.same(parsePause(readFileSync(join(dir, FILE), 'utf8')), pause, 'it outlives a crash');
});

void t.test('texts have bounds, and steer no terminal', async (t) => {
  const { forebay } = await startForebay(t, {});
  for (const request of [{ by: 'x'.repeat(101) }, { reason: 'x'.repeat(501) }])
    t.equal(await codeOf(forebay.pause(request)), 'BAD_REQUEST');
  const { pause } = await forebay.pause({ by: ' a\u001b[2Jb ', reason: 'one\ntwo' });
  t.match(pause, { by: 'a\\u001b[2Jb', reason: 'one\\u000atwo' });
  await forebay.stop();
  t.equal(await codeOf(forebay.pause()), 'NOT_RUNNING');
});

void t.test(
  'the breaker admits nothing while the gate is closed, and a probe goes when it opens',
  async (t) => {
    const gate = new PauseGate();
    const stopping = new AbortController();
    const breaker = new CircuitBreaker(new Reporter(), stopping.signal, () => 0, gate);
    t.type(breaker.admit(), 'number');
    gate.set(true);
    const admitted: number[] = [];
    const waiting = [1, 2].map(async (number) => {
      await breaker.admit();
      admitted.push(number);
    });
    await new Promise(setImmediate);
    t.same(admitted, []);
    gate.set(false);
    await Promise.all(waiting);
    t.same(admitted, [1, 2]);
    gate.set(true);
    const stopped = t.rejects(Promise.resolve(breaker.admit()), { name: 'Stopping' });
    stopping.abort();
    await stopped;
  },
);

void t.test('the rate of delivery is that of before, however long the pause', (t) => {
  let nowMs = performance.now();
  t.intercept(performance, 'now', { value: () => nowMs });
  const rate = new DrainRate();
  nowMs += 30_000;
  rate.add(1000);
  nowMs += 1000;
  const beforeMs = rate.msFor(1000);
  t.ok(Number.isFinite(beforeMs));
  rate.hold(true);
  nowMs += 600_000;
  t.equal(Math.round(rate.msFor(1000)), Math.round(beforeMs));
  rate.hold(false);
  t.equal(Math.round(rate.msFor(1000)), Math.round(beforeMs));
  nowMs += 61_000;
  t.equal(rate.msFor(1000), Infinity);
  t.end();
});
