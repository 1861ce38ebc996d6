import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Reporter } from '../../lib/base/reporter.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { PauseGate } from '../../lib/delivery/pause-gate.js';
import { CircuitBreaker } from '../../lib/delivery/circuit-breaker.js';
import { Stopping } from '../../lib/delivery/retries.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { addsUp, eventText, idsOf, startForebay, until } from '../helpers/running-forebay.js';

const broken = new Error('broken');

function breakerWith(random: () => number = () => 0.01): {
  breaker: CircuitBreaker;
  stopping: AbortController;
  said: string[];
} {
  const said: string[] = [];
  const say = (_fields: object, text: string): void => void said.push(text);
  const stopping = new AbortController();
  const reporter = new Reporter({ debug: say, info: say, warn: say, error: say });
  return { breaker: new CircuitBreaker(reporter, stopping.signal, random, new PauseGate()), stopping, said };
}

/** Lets attempts fail one after the other. */
async function fail(breaker: CircuitBreaker, times: number, error: Error = broken): Promise<void> {
  for (let n = 0; n < times; n++) breaker.failed(error, await breaker.admit());
}

void t.test('five failures in a row open it; then one probe goes, and all others wait for it', async (t) => {
  const { breaker, said } = breakerWith();
  await fail(breaker, 4);
  t.equal(breaker.state, 'closed');
  await fail(breaker, 1);
  t.equal(breaker.state, 'open');
  t.match(said, [/breaker is open.*5 attempts in a row failed \(broken\)/]);
  const admitted: number[] = [];
  for (let n = 0; n < 10; n++) void Promise.resolve(breaker.admit()).then(() => admitted.push(n));
  await until(() => breaker.state === 'half-open', 'the wait is over');
  await sleep(20);
  t.equal(admitted.length, 1, 'one probe');
  breaker.succeeded();
  await until(() => admitted.length === 10, 'all go');
  t.equal(breaker.state, 'closed');
  t.equal(breaker.failuresInARow, 0);
  t.equal(breaker.lastError, null);
  t.match(said[1], /answers again.*closed/);
});

void t.test('each failed probe makes the wait longer, up to 30 seconds', async (t) => {
  const { breaker, stopping } = breakerWith(() => 1);
  const waits: number[] = [];
  // as if time had passed
  const realNow = performance.now.bind(performance);
  let aheadMs = 0;
  performance.now = () => realNow() + aheadMs;
  t.teardown(() => {
    performance.now = realNow;
  });
  await fail(breaker, 5);
  for (let n = 0; n < 9; n++) {
    waits.push(Math.round(breaker.waitMs / 100) * 100);
    aheadMs += breaker.waitMs;
    await fail(breaker, 1);
  }
  t.same(waits, [400, 800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000]);
  t.equal(breaker.openings, 1, 'it was not closed in between');
  stopping.abort();
});

void t.test('what fails at the same time makes the wait no longer', async (t) => {
  const { breaker, stopping } = breakerWith(() => 1);
  const rounds = await Promise.all(Array.from({ length: 32 }, async () => breaker.admit()));
  for (const round of rounds) breaker.failed(broken, round);
  t.equal(breaker.state, 'open');
  t.ok(breaker.waitMs <= 400, `${breaker.waitMs} ms`);
  t.equal(breaker.failuresInARow, 5, 'those after it say nothing new');
  stopping.abort();
});

void t.test('one answer in between keeps it closed', async (t) => {
  const { breaker } = breakerWith();
  for (let n = 0; n < 20; n++) {
    await fail(breaker, 4);
    breaker.succeeded();
  }
  t.equal(breaker.state, 'closed');
});

void t.test('a sink that says for how long is left alone for so long, from its first word on', async (t) => {
  const { breaker, stopping, said } = breakerWith();
  const [first, second] = [await breaker.admit(), await breaker.admit()];
  breaker.failed(new SinkError('busy', { status: 429, retryAfterMs: 60_000 }), first);
  t.equal(breaker.state, 'open');
  t.ok(breaker.waitMs > 50_000 && breaker.waitMs <= 60_000, `${breaker.waitMs} ms`);
  t.match(said, [/the sink asks to be left alone \(busy\).*, the next in 60000 ms$/]);
  breaker.succeeded();
  t.equal(breaker.state, 'open', 'an attempt that began before says nothing about it');
  breaker.failed(new SinkError('busy', { status: 429, retryAfterMs: 90_000 }), second);
  t.ok(breaker.waitMs > 80_000, 'the longest counts');
  for (const retryAfterMs of [Infinity, NaN, -1, 0]) {
    const { breaker: other } = breakerWith();
    await fail(other, 1, new SinkError('strange', { retryAfterMs }));
    t.equal(other.state, 'closed', `${retryAfterMs} says nothing`);
  }
  stopping.abort();
});

const wrongToken = new SinkError('the sink answered 401', { status: 401, misconfigured: true });

void t.test(
  'a sink that is set up wrongly is left alone at once, and hears little until it is mended',
  async (t) => {
    const { breaker, stopping, said } = breakerWith(() => 1);
    // it stands still, as the waits are compared with each other
    const startMs = performance.now();
    let aheadMs = 0;
    t.intercept(performance, 'now', { value: () => startMs + aheadMs });
    const waits: number[] = [];
    for (let n = 0; n < 8; n++) {
      await fail(breaker, 1, wrongToken);
      t.match(breaker, { state: 'open', misconfigured: true });
      waits.push(Math.round(breaker.waitMs / 100) * 100);
      aheadMs += breaker.waitMs;
    }
    t.same(waits, [1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]);
    t.match(said, [/^The sink is set up wrongly: the sink answered 401; events wait on disk/], 'one line');
    await breaker.admit();
    breaker.succeeded();
    t.match(breaker, { state: 'closed', misconfigured: false });
    stopping.abort();
    const { breaker: eager } = breakerWith(() => 0);
    await fail(eager, 1, wrongToken);
    t.ok(eager.waitMs > 400, `${eager.waitMs} ms: chance makes no wait that is none`);
  },
);

void t.test(
  'a sink that was down and comes back set up wrongly says so, and the other way round',
  async (t) => {
    const { breaker, said } = breakerWith(() => 0);
    await fail(breaker, 5);
    t.equal(breaker.misconfigured, false);
    await fail(breaker, 1, wrongToken);
    t.match(said, [/^The breaker is open/, /^The sink is set up wrongly/]);
    t.equal(breaker.misconfigured, true);
    const realNow = performance.now.bind(performance);
    t.intercept(performance, 'now', { value: () => realNow() + 60_000 });
    await fail(breaker, 1);
    t.match(breaker, { state: 'open', misconfigured: false });
    t.equal(breaker.openings, 1);
  },
);

void t.test('an answer to an earlier attempt closes one that is open after failures', async (t) => {
  const { breaker } = breakerWith(() => 1);
  const early = await breaker.admit();
  await fail(breaker, 5);
  t.equal(breaker.state, 'open');
  breaker.succeeded();
  t.equal(breaker.state, 'closed');
  for (let n = 0; n < 20; n++) breaker.failed(broken, early);
  t.equal(breaker.state, 'closed', 'those that began before do not open it again');
  t.match(breaker, { failuresInARow: 0, lastError: null }, 'nor say anything of now');
  t.equal(breaker.openings, 1);
});

void t.test('a stop ends the wait of all, with nothing begun', async (t) => {
  const { breaker, stopping } = breakerWith(() => 1);
  await fail(breaker, 5);
  const waiting = Array.from({ length: 3 }, () => Promise.resolve(breaker.admit()));
  stopping.abort();
  for (const each of waiting) await t.rejects(each, new Stopping());
});

void t.test(
  'with the sink down, 8 batches at a time ask it once each wait, and all arrive after it',
  async (t) => {
    const sink = new CollectingSink();
    sink.error = new Error('down');
    const { forebay, said } = await startForebay(
      t,
      { batchSize: 1, batchWaitMs: 10, sinkConcurrency: 8 },
      sink,
    );
    t.match(forebay.sinkState(), { breaker: 'closed', lastError: null, openings: 0 });
    const ids = Array.from({ length: 20 }, (_, n) => `e${n}`);
    await Promise.all(ids.map(async (id) => forebay.write(eventText(id))));
    await until(() => sink.attempts.length >= 9, 'a probe has failed, too');
    const state = forebay.sinkState();
    t.not(state?.breaker, 'closed');
    t.equal(state?.lastError, 'down');
    t.ok(Number(state?.failuresInARow) >= 5, 'five, and the probes');
    t.ok(Number(state?.attempts.running) <= 1, 'one probe at a time');
    t.equal(forebay.refusal(1, 1), null, 'the door is open');
    sink.error = null;
    await until(() => forebay.counts().pending === 0, 'all arrive');
    t.same(new Set(idsOf(sink.lines)), new Set(ids));
    t.match(forebay.sinkState(), { breaker: 'closed', lastError: null, failuresInARow: 0, openings: 1 });
    t.equal(said.filter(({ text }) => /breaker is open/.test(text)).length, 1);
    t.equal(said.filter(({ text }) => /breaker is closed/.test(text)).length, 1);
    addsUp(t, forebay);
  },
);

void t.test('a sink that throws what has no text is tried again, also by the probes', async (t) => {
  const sink = new CollectingSink();
  sink.error = Object.create(null) as Error;
  const { forebay } = await startForebay(t, { batchSize: 1, batchWaitMs: 10 }, sink);
  await forebay.write(eventText('e1'));
  await until(() => (forebay.sinkState()?.attempts.failed ?? 0) >= 7, 'two probes have failed');
  t.match(forebay.sinkState()?.lastError, /no text/);
  sink.error = null;
  await until(() => forebay.counts().delivered === 1, 'delivered');
});

void t.test('a refusal is an answer: it does not open the breaker', async (t) => {
  const sink = new CollectingSink();
  sink.error = new SinkError('no', { status: 400, refused: 'all' });
  const { forebay } = await startForebay(t, { batchSize: 1, batchWaitMs: 10 }, sink);
  for (let n = 0; n < 10; n++) await forebay.write(eventText(`e${n}`));
  await until(() => forebay.counts().deadLettered === 10, 'dead letters');
  t.match(forebay.sinkState(), {
    breaker: 'closed',
    openings: 0,
    attempts: { refused: 10, failed: 0, taken: 0 },
  });
});

void t.test('a stop while the breaker is open leaves what waits on disk', async (t) => {
  const sink = new CollectingSink();
  sink.error = new SinkError('busy', { status: 503, retryAfterMs: 3_000_000 });
  const { forebay } = await startForebay(t, { batchSize: 1, sinkConcurrency: 4 }, sink);
  for (let n = 0; n < 10; n++) await forebay.write(eventText(`e${n}`));
  await until(() => forebay.sinkState()?.breaker === 'open', 'open');
  await forebay.stop(10_000);
  t.equal(forebay.counts().pending, 10);
});

void t.test('a wait that is cut ends at once, with one probe', async (t) => {
  const { breaker, stopping } = breakerWith(() => 1);
  breaker.cutWait();
  t.equal(breaker.state, 'closed', 'there is none');
  const realNow = performance.now.bind(performance);
  let aheadMs = 0;
  t.intercept(performance, 'now', { value: () => realNow() + aheadMs });
  for (let n = 0; n < 7; n++) {
    await fail(breaker, 1, wrongToken);
    aheadMs += breaker.waitMs;
  }
  await fail(breaker, 1, wrongToken);
  t.ok(breaker.waitMs > 50_000, `${breaker.waitMs} ms`);
  const admitted: number[] = [];
  const all = Array.from({ length: 5 }, async (_each, n) => {
    await breaker.admit();
    admitted.push(n);
  });
  await sleep(20);
  t.equal(admitted.length, 0);
  breaker.cutWait();
  await until(() => admitted.length > 0, 'a probe goes', 40_000); // by itself after 50 s at least
  await sleep(20);
  t.equal(admitted.length, 1, 'and one only');
  t.match(breaker, { state: 'half-open', waitMs: 0 });
  breaker.succeeded();
  await Promise.all(all);
  stopping.abort();
});

void t.test('a time that the sink asked for is not cut', async (t) => {
  const { breaker, stopping } = breakerWith(() => 1);
  await fail(breaker, 1, new SinkError('busy', { status: 429, retryAfterMs: 60_000 }));
  breaker.cutWait();
  t.ok(breaker.waitMs > 50_000, `${breaker.waitMs} ms`);
  stopping.abort();
});

void t.test('a sink that was mended is asked at once when it is read again', async (t) => {
  const sink = new CollectingSink();
  sink.error = wrongToken;
  const { forebay } = await startForebay(t, { batchSize: 1, batchWaitMs: 10, sinkConcurrency: 2 }, sink);
  await Promise.all(['e1', 'e2', 'e3'].map(async (id) => forebay.write(eventText(id))));
  await until(() => forebay.sinkState()?.breaker === 'open', 'it is left alone');
  const startMs = performance.now();
  // by itself the seventh attempt would come after 32 s at least
  for (let attempts = sink.attempts.length; attempts < 8; attempts++) {
    await forebay.reloadSink();
    await until(() => sink.attempts.length > attempts, 'it is asked');
    await until(() => forebay.sinkState()?.breaker === 'open', 'and has failed again');
  }
  t.ok(performance.now() - startMs < 25_000);
  t.ok(Number(forebay.sinkState()?.nextAttemptMs) > 15_000);
  sink.error = null;
  await forebay.reloadSink();
  await until(() => forebay.counts().pending === 0, 'all arrive');
  t.match(forebay.sinkState(), { breaker: 'closed', openings: 1 });
});
