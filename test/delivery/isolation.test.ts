import { readdirSync, readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import type { Batch } from '../../lib/seams/batch.js';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { readiness } from '../../lib/door/probes.js';
import type { Forebay } from '../../lib/index.js';
import type { BreakerState } from '../../lib/delivery/circuit-breaker.js';
import { HttpSink } from '../../lib/sinks/http/http-sink.js';
import { Isolation } from '../../lib/delivery/isolation.js';
import { newCourse } from '../../lib/delivery/settlement.js';
import type { Course } from '../../lib/delivery/settlement.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Sink } from '../../lib/seams/sink.js';
import { unopenable } from '../helpers/delivery-bench.js';
import { addsUp, eventText, idsOf, startWith, until } from '../helpers/running-forebay.js';
import type { RunningForebay, RunningOptions } from '../helpers/running-forebay.js';

t.intercept(Math, 'random', { value: () => 0.02 }); // what waits by chance is tried again soon
t.jobs = 10; // each test has a sink and a directory of its own, and mostly waits

type Options = RunningOptions & { readonly sink: Sink };

/** Batches end when they are full. */
async function start(t: Test, { sink, ...options }: Options): Promise<RunningForebay<Sink>> {
  return startWith(t, sink, { batchWaitMs: 10_000, batchSize: 10, fileEvents: 1, ...options });
}

const ids = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_each, n) => `e${from + n}`);

async function write(forebay: Forebay, names: readonly string[]): Promise<void> {
  await Promise.all(names.map(async (id) => forebay.write(eventText(id))));
}

/** An API that answers each request as it is told. What it is given is NDJSON. */
interface Api {
  readonly sink: HttpSink;
  /** Every event that it has kept, in its order. */
  readonly kept: string[];
  /** How often it has processed each event. */
  readonly processed: Map<string, number>;
  readonly requests: { readonly key: string; readonly ids: readonly string[]; readonly status: number }[];
}

type Answer = (ids: readonly string[], key: string) => number | Promise<number>;

async function api(t: Test, answer: Answer, timeoutMs: number = 30_000): Promise<Api> {
  const kept: string[] = [];
  const processed = new Map<string, number>();
  const requests: Api['requests'][number][] = [];
  const server = createServer((req, res) => {
    let body = '';
    req.setEncoding('utf8').on('data', (piece: string) => (body += piece));
    req.on('end', () => {
      const given = idsOf(body.split('\n').slice(0, -1));
      const key = String(req.headers['idempotency-key']);
      for (const id of given) processed.set(id, (processed.get(id) ?? 0) + 1);
      void Promise.resolve(answer(given, key)).then((status) => {
        requests.push({ key, ids: given, status });
        if (status < 300) kept.push(...given);
        res.writeHead(status, status === 429 ? { 'Retry-After': '1' } : {}).end();
      });
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const sink = new HttpSink({ url: `http://127.0.0.1:${port}/`, timeoutMs });
  return { sink, kept, processed, requests };
}

void t.test('an event that the sink fails at waits apart, and the others are delivered', async (t) => {
  let isMended = false;
  const { sink, kept } = await api(t, (given) => (given.includes('e13') && !isMended ? 500 : 200));
  const { forebay, said } = await start(t, { sink });
  await write(forebay, ids(0, 50));
  await until(() => kept.length === 49, 'all others are delivered');
  t.equal(new Set(kept).size, 49, 'each once');
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  t.match(forebay.counts(), { accepted: 50, deadLettered: 0, pending: 10 });
  t.match(readiness(forebay, forebay.unready()).body, { isolated: { events: 1, code: 'EVENT_ISOLATED' } });
  const { length } = kept;
  await write(forebay, ids(50, 60));
  await until(() => kept.length === length + 10, 'the next ones are delivered');
  t.match(forebay.sinkState(), { breaker: 'closed' });
  const apart = said.filter(({ text }) => text.startsWith('Set apart'));
  t.match(apart, [{ level: 'warn', text: /#4-4: the sink fails at it and takes others/ }]);
  isMended = true;
  await until(() => forebay.counts().pending === 0, 'it is delivered once the sink is mended');
  t.same(kept.toSorted(), ids(0, 60).toSorted(), 'each once');
  t.ok(said.some(({ text }) => text.startsWith('No event waits apart any longer')));
  addsUp(t, forebay);
});

void t.test('so it is if nothing else is there: the halves of its batch find out', async (t) => {
  const { sink, kept } = await api(t, (given) => (given.includes('e0') ? 500 : 200));
  const { forebay } = await start(t, { sink });
  await write(forebay, ids(0, 10));
  await until(() => kept.length === 9, 'all others are delivered');
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  t.same(kept.toSorted(), ids(1, 10));
});

void t.test('batches in a row of which each has a bad event, or only such, hold up none', async (t) => {
  const isBad = (id: string): boolean =>
    id === 'e5' || (Number(id.slice(1)) >= 10 && Number(id.slice(1)) < 30);
  const { sink, kept } = await api(t, (given) => (given.some(isBad) ? 500 : 200));
  const { forebay } = await start(t, { sink, shutdownTimeoutMs: 0 });
  await write(forebay, ids(0, 60));
  await until(() => kept.length === 39, 'all others are delivered');
  t.equal(new Set(kept).size, 39, 'each once');
  await write(forebay, ids(60, 70));
  await until(() => kept.length === 49, 'nor do they hold up the next ones');
  addsUp(t, forebay);
});

void t.test('an event that a firewall in front of the sink refuses stops no others', async (t) => {
  const { sink, kept } = await api(t, (given) => (given.includes('e13') ? 403 : 200));
  const { forebay } = await start(t, { sink, shutdownTimeoutMs: 0 });
  await write(forebay, ids(0, 50));
  await until(() => kept.length === 49, 'all others are delivered');
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  await write(forebay, ids(50, 60));
  await until(() => kept.length === 59, 'nor the next ones');
  await until(() => forebay.sinkState()?.breaker === 'closed', 'the sink is known to be well');
  t.match(forebay.sinkState(), { misconfigured: false });
  t.match(forebay.counts(), { deadLettered: 0 });
});

void t.test('events that wait apart are delivered after an outage, also if nothing else comes', async (t) => {
  let answer: 'well' | 'bad' | 'away' = 'bad';
  const { sink, kept, requests } = await api(t, (given) => {
    if (answer === 'away') return 429;
    return answer === 'bad' && given.includes('e3') ? 500 : 200;
  });
  const { forebay } = await start(t, { sink });
  await write(forebay, ids(0, 20));
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'one waits apart');
  await until(() => kept.length === 19, 'the others are delivered');
  answer = 'away';
  const { length } = requests;
  await until(() => requests.length > length, 'it is tried again');
  await until(() => forebay.sinkState()?.breaker === 'open', 'the sink asks to be left alone');
  answer = 'well';
  await until(() => kept.length === 20, 'it is delivered');
});

void t.test('the last event of all may be the one that the sink answers 403', async (t) => {
  let isMended = false;
  const { sink, kept } = await api(t, (given) => (given.includes('e9') && !isMended ? 403 : 200));
  const { forebay } = await start(t, { sink });
  await write(forebay, ids(0, 10));
  await until(() => kept.length === 9, 'the others are delivered');
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  t.match(forebay.sinkState(), { breaker: 'open', misconfigured: true });
  isMended = true;
  await until(() => kept.length === 10, 'it is delivered once the sink is mended');
});

void t.test('a wrong token is no event: nothing waits apart, nothing is refused', async (t) => {
  let isMended = false;
  const { sink, kept, requests } = await api(t, () => (isMended ? 200 : 401));
  const { forebay } = await start(t, { sink });
  await write(forebay, ids(0, 50));
  await until(() => requests.length >= 4, 'it tries on');
  t.match(forebay.sinkState(), { isolatedEvents: 0, misconfigured: true });
  t.match(forebay.counts(), { deadLettered: 0, pending: 50 });
  isMended = true;
  await until(() => kept.length === 50, 'all are delivered');
  t.equal(new Set(kept).size, 50, 'each once');
});

void t.test('a batch that takes longer than --sink-timeout is delivered in parts', async (t) => {
  const { sink, kept, processed } = await api(
    t,
    async (given) => {
      // far from the timeout on both sides, however busy the machine is
      if (given.length > 4) await sleep(8000);
      return 200;
    },
    1500,
  );
  const { forebay } = await start(t, { sink, batchSize: 16 });
  await write(forebay, ids(0, 16));
  await until(() => forebay.counts().delivered === 16, 'all is delivered');
  t.same(new Set(kept), new Set(ids(0, 16)));
  const most = Math.max(...processed.values());
  t.ok(most <= 6, `the sink processed an event ${most} times`);
});

void t.test('a 500 that the API keeps with its key is not the key of the parts', async (t) => {
  const answered = new Map<string, number>();
  let isDown = true;
  const { sink, kept, requests } = await api(t, (given, key) => {
    const fresh = isDown && given.includes('e0') ? 500 : 200;
    answered.set(key, answered.get(key) ?? fresh);
    return answered.get(key) ?? fresh;
  });
  const { forebay } = await start(t, { sink, batchSize: 4 });
  await write(forebay, ids(0, 4));
  await until(() => requests.length > 0, 'the API has failed');
  isDown = false;
  await until(() => forebay.counts().delivered === 4, 'all is delivered');
  t.same(kept, ids(0, 4));
});

void t.test('a batch of one event that fails comes under another key, too', async (t) => {
  const answered = new Map<string, number>();
  let isDown = true;
  const { sink, kept, requests } = await api(t, (_given, key) => {
    answered.set(key, answered.get(key) ?? (isDown ? 500 : 200));
    return answered.get(key) ?? 200;
  });
  const { forebay } = await start(t, { sink, batchSize: 1 });
  await write(forebay, ['e0']);
  await until(() => requests.length > 0, 'the API has failed');
  isDown = false;
  await write(forebay, ['e1']);
  await until(() => forebay.counts().delivered === 2, 'all is delivered');
  t.same(kept.toSorted(), ['e0', 'e1']);
});

void t.test('a 409 for what the API has already ends with the parts', async (t) => {
  const has = new Set<string>();
  const { sink, kept } = await api(t, (_given, key) => {
    if (has.has(key)) return 409;
    has.add(key);
    return has.size === 1 ? 500 : 200; // it has the first, and its answer is lost
  });
  const { forebay } = await start(t, { sink, batchSize: 4 });
  await write(forebay, ids(0, 8));
  await until(() => forebay.counts().delivered === 8, 'all is delivered');
  t.same(new Set(kept), new Set(ids(0, 8)));
});

/** Fails as it is told. */
class MoodySink implements Sink {
  readonly offered: string[] = [];
  readonly taken: string[] = [];
  error: ((ids: readonly string[]) => Error | null) | null = null;

  async deliver({ name, bytes }: Batch): Promise<void> {
    this.offered.push(name);
    const given = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
    const error = this.error?.(given) ?? null;
    if (error !== null) throw error;
    this.taken.push(...given);
  }
}

void t.test('an outage is not poison: if all fail, nothing waits apart', async (t) => {
  const sink = new MoodySink();
  sink.error = () => new SinkError('down', { status: 500 });
  const { forebay } = await start(t, { sink, sinkTriesMax: 1 });
  await write(forebay, ids(0, 100));
  await until(() => sink.offered.length >= 25, 'many attempts have failed');
  t.match(forebay.sinkState(), { isolatedEvents: 0, breaker: /open/ });
  t.match(forebay.counts(), { deadLettered: 0, pending: 100 });
  sink.error = null;
  await until(() => forebay.counts().delivered === 100, 'all is delivered');
  t.same(sink.taken.toSorted(), ids(0, 100).toSorted(), 'each once');
});

void t.test('a sink that nobody reaches keeps the order', async (t) => {
  const sink = new MoodySink();
  sink.error = () => new SinkError('nobody is there', { reached: false });
  const { forebay } = await start(t, { sink });
  await write(forebay, ids(0, 100));
  await until(() => sink.offered.length >= 20, 'many attempts have failed');
  t.equal(new Set(sink.offered).size, 1, 'the oldest batch waits in its place');
  sink.error = null;
  await until(() => forebay.counts().delivered === 100, 'all is delivered');
  t.same(sink.taken, ids(0, 100));
});

void t.test('--sink-tries-max makes a dead letter of the event alone', async (t) => {
  const sink = new MoodySink();
  sink.error = (given) => (given.includes('e13') ? new Error('it broke') : null);
  const { forebay } = await start(t, { sink, sinkTriesMax: 2 });
  await write(forebay, ids(0, 50));
  await until(() => forebay.counts().pending === 0, 'nothing waits');
  t.match(forebay.counts(), { delivered: 49, deadLettered: 1 });
  t.equal(new Set(sink.taken).size, 49);
});

void t.test('with one place a batch lets others pass at its fifth failure, and not before', async (t) => {
  for (const failures of [4, 5]) {
    const sink = new MoodySink();
    sink.error = (given) =>
      given.includes('e0') && sink.offered.length <= failures
        ? new SinkError('it broke', { status: 500 })
        : null;
    const { forebay } = await start(t, { sink, sinkConcurrency: 1 });
    await write(forebay, ids(0, 40));
    await until(() => forebay.counts().delivered === 40, 'all is delivered');
    if (failures === 4) t.same(sink.taken, ids(0, 40), 'in order');
    else t.same(sink.taken.slice(0, 10), ids(10, 20), 'the next one is first');
    t.same(new Set(sink.offered.slice(0, failures)).size, 1, 'until then it is alone at the sink');
    t.same(sink.taken.toSorted(), ids(0, 40).toSorted(), 'each once');
    await forebay.stop();
  }
});

void t.test('a batch that rests and cannot be read holds up no other that rests', async (t) => {
  const sink = new MoodySink();
  sink.error = (given) => (given.some((id) => id === 'e3' || id === 'e13') ? new Error('it broke') : null);
  const unreadable = new Set<string>();
  let first: string | null = null;
  const fs = unopenable((name) => {
    if (!unreadable.has(name)) return null;
    first ??= name;
    return 'EIO';
  });
  const { forebay, dir } = await start(t, { sink, fs });
  await write(forebay, ids(0, 40));
  await until(() => forebay.sinkState()?.isolatedEvents === 2, 'two wait apart');
  for (const name of readdirSync(dir).filter(isBatchName)) unreadable.add(name);
  t.equal(unreadable.size, 2);
  sink.error = null;
  await until(() => first !== null, 'one has its turn, and cannot be read');
  const [other = ''] = [...unreadable].filter((name) => name !== first);
  const event = readFileSync(join(dir, other), 'utf8').includes('"e13"') ? 'e13' : 'e3';
  unreadable.delete(other);
  await until(() => sink.taken.includes(event), 'the other has its turn');
  t.equal(sink.taken.length, 39);
  unreadable.clear();
  await until(() => forebay.counts().pending === 0, 'and so has the first once it can be read');
  t.equal(sink.taken.length, 40, 'each event once');
  addsUp(t, forebay);
});

void t.test('what waits apart survives a restart', async (t) => {
  const sink = new MoodySink();
  sink.error = (given) => (given.includes('e3') ? new Error('it broke') : null);
  const { forebay, dir } = await start(t, { sink });
  await write(forebay, ids(0, 20));
  await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
  await forebay.stop();
  const again = await start(t, { sink: new MoodySink(), logDir: dir });
  await until(() => again.forebay.counts().delivered === 10, 'its batch is delivered');
  t.match(again.forebay.counts(), { accepted: 10, pending: 0 });
});

void t.test('a batch that is being split and gets no turn keeps no other from being split for ever', (t) => {
  let nowMs = 1000;
  t.intercept(performance, 'now', { value: () => nowMs });
  const breaker = { state: 'closed', failuresInARow: 3, waitMs: 0 } as const;
  const isolation = new Isolation({
    attempts: { answered: 0 },
    breaker,
    othersWait: () => false,
    triesMax: Infinity,
  });
  const [first, second] = [newCourse({ events: 2 }), newCourse({ events: 2 })];
  const fail = (course: Course): unknown => isolation.failed(course, { from: 0, to: 2, attempts: 0 });
  for (let failures = 0; failures < 2; failures++) t.equal(fail(first), null, 'again as it is');
  t.match(fail(first), { next: 'split' });
  for (let failures = 0; failures < 20; failures++) t.equal(fail(second), null, 'one is enough');
  nowMs += 300_001;
  t.match(fail(second), { next: 'split' });
  t.end();
});

void t.test('while the breaker is open, the halves of a split batch go first', (t) => {
  const attempts = { answered: 0 };
  const breaker = { state: 'closed' as BreakerState, failuresInARow: 3, waitMs: 0 };
  const isolation = new Isolation({ attempts, breaker, othersWait: () => true, triesMax: Infinity });
  const course = newCourse({ events: 4 });
  const fail = (to: number): unknown => isolation.failed(course, { from: 0, to, attempts: 0 });
  fail(4);
  fail(4);
  attempts.answered++;
  t.match(fail(4), { next: 'split', leaves: true }, 'the sink takes others: they are next');
  attempts.answered++;
  breaker.state = 'open';
  t.match(fail(2), { next: 'split', leaves: false }, 'what it took before says nothing about the present');
  t.end();
});

void t.test('a batch whose events have all failed alone lets the next one be split', (t) => {
  const breaker = { state: 'closed', failuresInARow: 3, waitMs: 0 } as const;
  const isolation = new Isolation({
    attempts: { answered: 0 },
    breaker,
    othersWait: () => true,
    triesMax: Infinity,
  });
  const [first, second] = [newCourse({ events: 2 }), newCourse({ events: 2 })];
  const fail = (course: Course, from: number, to: number): unknown =>
    isolation.failed(course, { from, to, attempts: 0 });
  for (let failures = 0; failures < 5; failures++) fail(first, 0, 2);
  t.match(fail(first, 0, 2), { next: 'split' });
  const halves = [0, 1].map((at) => ({ from: at, to: at + 1, attempts: 0 }));
  first.open = halves;
  for (let failures = 0; failures < 6; failures++)
    t.match(fail(second, 0, 2) ?? { next: 'keep' }, { next: 'keep' });
  first.open = halves.slice(1);
  t.match(fail(first, 0, 1), { next: 'last' });
  t.match(fail(second, 0, 2), { next: 'keep' }, 'its other event may be taken');
  t.match(fail(first, 1, 2), { next: 'last' });
  t.match(fail(second, 0, 2), { next: 'split' }, 'it has nothing smaller to offer');
  t.match(fail(newCourse({ events: 2 }), 0, 2) ?? { next: 'keep' }, { next: 'keep' }, 'one at a time');
  t.end();
});
