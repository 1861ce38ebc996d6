import { once } from 'node:events';
import { readdirSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import tap from 'tap';
import type { Test } from 'tap';
import { Pool } from 'undici';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import type { IngestionServerOptions } from '../../lib/door/ingestion-server.js';
import type { Forebay } from '../../lib/forebay.js';
import type { Batch } from '../../lib/seams/batch.js';
import type { Sink } from '../../lib/seams/sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import { madeKey, openKeys } from '../helpers/keys-file.js';
import { post as rawPost } from '../helpers/raw-door.js';
import { RawClient } from '../helpers/raw-client.js';
import { addsUp, eventText, idsOf, startWith, until } from '../helpers/running-forebay.js';
import type { RunningOptions } from '../helpers/running-forebay.js';
import { stopClock } from '../helpers/stop-clock.js';

tap.jobs = 1; // each test has a door of its own, and some wait for a Retry-After

const GREEDY = '192.0.2.1';
const MODEST = '192.0.2.2';

interface Answer {
  readonly status: number;
  readonly code: string | null;
  readonly error: string;
  /** In seconds. */
  readonly retryAfter: number | null;
}

interface Place<S extends Sink> {
  readonly forebay: Forebay;
  readonly sink: S;
  readonly dir: string;
  readonly server: IngestionServer;
  readonly said: readonly { readonly text: string }[];
  /** Posts what a client at this address sends, which a proxy says. Each line is an event. */
  readonly post: (from: string, ...events: readonly string[]) => Promise<Answer>;
  readonly request: (
    headers: Readonly<Record<string, string>>,
    body: string,
    path?: string,
  ) => Promise<Answer>;
}

/** A server that trusts the proxy on this machine. */
async function open<S extends Sink>(
  t: Test,
  sink: S,
  options: RunningOptions = {},
  door: Partial<IngestionServerOptions> = {},
): Promise<Place<S>> {
  const { forebay, dir, said } = await startWith(t, sink, options);
  const server = new IngestionServer({
    forebay,
    port: 0,
    bodyBytesMax: 2 ** 20,
    trustedProxies: ['127.0.0.1'],
    ...door,
  });
  await server.start();
  const pool = new Pool(`http://127.0.0.1:${server.port}`, { connections: 600 });
  t.teardown(async () => {
    await pool.destroy();
    await server.stop(0);
  });
  const request: Place<S>['request'] = async (given, body, path = '/events') => {
    const headers = { 'content-type': 'application/x-ndjson', ...given };
    const method = body === '' ? 'GET' : 'POST';
    const {
      statusCode: status,
      headers: got,
      body: text,
    } = await pool.request({ path, method, headers, body });
    const { code = null, error = '' } = (await text.json()) as { code?: string; error?: string };
    const after = got['retry-after'];
    return { status, code, error, retryAfter: after === undefined ? null : Number(after) };
  };
  const post: Place<S>['post'] = async (from, ...events) =>
    request({ 'x-forwarded-for': from }, events.join('\n'));
  return { forebay, sink, dir, server, said, post, request };
}

function eventsOf(name: string, count: number, bytes: number = 1): string[] {
  return Array.from({ length: count }, (_each, index) => eventText(`${name}-${index}`, 'x'.repeat(bytes)));
}

const taken = (answers: readonly Answer[]): number => answers.filter(({ status }) => status === 202).length;

void tap.test('a flood of events leaves room for who sends few', async (t) => {
  const disk = heldDisk();
  const place = await open(t, new CollectingSink(), { fs: disk.fs, queueSize: 100 });
  const { forebay, post, sink } = place;
  disk.hold();
  const flood = eventsOf('flood', 300).map(async (event) => post(GREEDY, event));
  await until(() => forebay.statistics()?.queuedEvents === 90, 'the flood has its share');
  const few = eventsOf('few', 5).map(async (event) => post(MODEST, event));
  await until(() => forebay.statistics()?.queuedEvents === 95, 'all of the few are in the queue');
  const late = await post(GREEDY, eventText('late'));
  t.match(late, { status: 429, code: 'CLIENT_SHARE', retryAfter: Number });
  t.match(late.error, /share of the queue \(--client-share 0\.9/);
  t.match(forebay.clientUsage(), { clients: 2, largest: { queue: 0.9 } });
  disk.release();
  t.equal(taken(await Promise.all(few)), 5);
  t.equal(taken(await Promise.all(flood)), 90);
  await sink.received(95);
  t.equal((await post(GREEDY, eventText('again'))).status, 202);
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.match(
    forebay.clientUsage(),
    { clients: 0, largest: { queue: 0, backlog: 0 } },
    'nothing is left on an account',
  );
  addsUp(t, forebay);
});

void tap.test('a flood of large requests does, too', async (t) => {
  const disk = heldDisk();
  const queueBytes = 2 ** 20;
  const place = await open(t, new CollectingSink(), { fs: disk.fs, queueBytes }, { bodyBytesMax: 500_000 });
  const { forebay, post } = place;
  disk.hold();
  const flood = eventsOf('flood', 100, 50_000).map(async (event) => post(GREEDY, event));
  await until(() => (forebay.statistics()?.queuedBytes ?? 0) > 850_000, 'the flood has its share');
  const few = eventsOf('few', 4, 20_000).map(async (event) => post(MODEST, event));
  await until(() => forebay.statistics()?.queuedEvents === 22, 'all of the few are in the queue');
  t.match(await post(GREEDY, ...eventsOf('late', 1, 50_000)), { status: 429, code: 'CLIENT_SHARE' });
  disk.release();
  t.equal(taken(await Promise.all(few)), 4);
  t.equal(taken(await Promise.all(flood)), 18);
});

void tap.test('greedy clients have equal parts, and something is still free', async (t) => {
  const disk = heldDisk();
  const { forebay, post } = await open(t, new CollectingSink(), { fs: disk.fs, queueSize: 1000 });
  disk.hold();
  const greedy = [GREEDY, '192.0.2.3', '192.0.2.4'];
  const answers = greedy.map(() => [] as Promise<Answer>[]);
  for (let round = 0; round < 190; round++)
    for (const [index, from] of greedy.entries()) answers[index]?.push(post(from, ...eventsOf('e', 2)));
  const lastOf = Promise.race(greedy.map(async (from) => post(from, ...eventsOf('last', 400))));
  t.match(await lastOf, { status: 429, code: 'CLIENT_SHARE' });
  await until(
    () => (forebay.statistics()?.queuedEvents ?? 0) > 950,
    'the queue is as full as they can make it',
  );
  const few = eventsOf('few', 5).map(async (event) => post(MODEST, event));
  await until(() => forebay.clientUsage()?.clients === 4, 'the first of the few is in the queue');
  disk.release();
  t.equal(taken(await Promise.all(few)), 5);
  for (const each of answers) {
    const parts = 2 * taken(await Promise.all(each));
    t.ok(Math.abs(parts - 321) < 30, `${parts} of 1000`); // 0.9 / (1 + 3 * 0.9 / 0.1) * 10
  }
});

void tap.test('an only client may fill nearly everything, and small queues', async (t) => {
  for (const [queueSize, most] of [
    [1, 1],
    [2, 2],
    [10, 9],
    [100, 90],
  ] as const) {
    const disk = heldDisk();
    const place = await open(t, new CollectingSink(), { fs: disk.fs, queueSize }, { trustedProxies: [] });
    const { forebay, request } = place;
    disk.hold();
    const flood = eventsOf('flood', most).map(async (event) => request({}, event));
    await until(() => forebay.statistics()?.queuedEvents === most, `${most} fit`);
    const one = await request({}, eventText('late'));
    t.match(one, { status: 429, code: null, error: 'Queue full, please retry later', retryAfter: 1 });
    disk.release();
    t.equal(taken(await Promise.all(flood)), most);
    const whole = await request({}, eventsOf('whole', queueSize).join('\n'));
    t.match(whole, { status: 202 }, 'a request that takes the whole queue');
  }
});

void tap.test('requests that take the whole queue wait while others find no room', async (t) => {
  const passMs = stopClock(t);
  const disk = heldDisk();
  const { forebay, post } = await open(t, new CollectingSink(), { fs: disk.fs, queueSize: 100 });
  const whole = (): Promise<Answer> => post(GREEDY, ...eventsOf('whole', 100));
  disk.hold();
  const first = whole();
  await until(() => forebay.statistics()?.queuedEvents === 100, 'it has all of the queue');
  t.match(await post(MODEST, ...eventsOf('one', 1)), {
    status: 429,
    error: 'Queue full, please retry later',
  });
  disk.release();
  t.equal((await first).status, 202);
  t.equal((await whole()).status, 429, 'the next one, just after that');
  t.equal((await post(GREEDY, ...eventsOf('part', 90))).status, 202, 'its share is still there');
  t.equal((await post(MODEST, ...eventsOf('two', 1))).status, 202);
  passMs(5001);
  t.equal((await whole()).status, 202, 'once nobody was turned away for a while');
});

void tap.test('slow bodies of one client make no room beside those of another', async (t) => {
  const place = await open(t, new CollectingSink(), { queueBytes: 2 ** 22 }, { bodyBytesMax: 2 ** 20 });
  const { server, post } = place;
  const slow: RawClient[] = [];
  const openSlow = async (from: string): Promise<RawClient> => {
    const client = await RawClient.connect(server.port);
    t.teardown(() => client.socket.destroy());
    const headers = { 'X-Forwarded-For': from, 'Content-Length': 200_000 };
    await client.send(rawPost(headers, 'x'.repeat(150_000)));
    return client;
  };
  // the slowest of all
  const modest = await RawClient.connect(server.port);
  t.teardown(() => modest.socket.destroy());
  const whole = eventText('modest', 'x'.repeat(20_000));
  const headers = { 'X-Forwarded-For': MODEST, 'Content-Length': whole.length, Expect: '100-continue' };
  const passMs = stopClock(t);
  await modest.send(rawPost(headers));
  t.equal((await modest.answer()).status, 100, 'it is being read');
  await modest.send(whole.slice(0, 10_000));
  passMs(1100); // from then on it could be the one that is too slow
  for (let n = 0; n < 20; n++) slow.push(await openSlow(GREEDY));
  const refused = await slow.at(-1)?.answer();
  t.equal(refused?.status, 429);
  t.match(JSON.parse(refused?.body ?? ''), { code: 'CLIENT_SHARE' });
  t.match(
    await post(MODEST, ...eventsOf('large', 1, 1_000_000)),
    { status: 202 },
    'a body of the largest size',
  );
  await modest.send(whole.slice(10_000));
  t.equal((await modest.answer()).status, 202);
});

/** Delivers as many batches as it is allowed to. */
class PacedSink extends CollectingSink {
  #allowed = 0;

  allow(batches: number): void {
    this.#allowed += batches;
    this.emit('allowed');
  }

  override async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    while (this.#allowed === 0) await once(this, 'allowed', { signal });
    this.#allowed--;
    await super.deliver(batch, signal);
  }
}

void tap.test(
  'who fills the backlog while the sink is down is refused alone, and comes again in time',
  async (t) => {
    const sink = new PacedSink();
    const settings = { backlogBytesMax: 2 ** 20, batchSize: 10, fileEvents: 1, batchWaitMs: 100 };
    const { forebay, post, said, request, server } = await open(t, sink, settings, { bodyBytesMax: 100_000 });
    let refused = await post(GREEDY, ...eventsOf('flood', 10, 2000));
    for (let n = 0; refused.status === 202; n++)
      refused = await post(GREEDY, ...eventsOf(`flood-${n}`, 10, 2000));
    t.match(refused, { status: 429, code: 'CLIENT_SHARE', retryAfter: 300 });
    t.match(refused.error, /bytes on disk that wait for the sink, its share of --backlog-max/);
    for (const [index, event] of eventsOf('few', 20).entries())
      t.match(await post(MODEST, event), { status: 202 }, `the ${index}. of the few`);
    t.match(forebay.clientUsage(), { clients: 2 });
    const lines = said.filter(({ text }) => text.includes(GREEDY));
    t.match(lines, [{ text: /^192\.0\.2\.1 gets 429/ }], 'one line says who');
    t.match(await request({ 'x-forwarded-for': GREEDY }, '', '/ready'), { status: 200 }, 'for who asks');
    t.equal(server.refusal(), null);
    t.match(server.refusal({ id: GREEDY, limits: { eventsPerSecond: null, bytesPerSecond: null } }), {
      code: 'CLIENT_SHARE',
    });
    sink.allow(15);
    await until(() => forebay.counts().delivered >= 150, 'the sink has taken some');
    let again = await post(GREEDY, ...eventsOf('again', 10, 2000));
    for (let n = 0; again.status === 202; n++)
      again = await post(GREEDY, ...eventsOf(`again-${n}`, 10, 2000));
    t.match(again, { status: 429, code: 'CLIENT_SHARE' });
    const after = again.retryAfter ?? 0;
    t.ok(after >= 1 && after < 30, `its own pace: ${after} s`);
    sink.allow(10);
    await until(() => forebay.counts().delivered >= 250, 'at that pace, as much is free by then');
    t.match(await post(GREEDY, ...eventsOf('in time', 10, 2000)), { status: 202 });
    sink.allow(10_000);
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.match(forebay.clientUsage(), { clients: 0 });
    addsUp(t, forebay);
  },
);

void tap.test(
  'a request that is larger than any share of the backlog is taken while it is empty',
  async (t) => {
    const settings = { backlogBytesMax: 300_000, batchSize: 1000 };
    const { post } = await open(t, new PacedSink(), settings, { bodyBytesMax: 280_000 });
    t.match(await post(GREEDY, ...eventsOf('large', 11, 25_000)), { status: 202 });
    t.match(await post(GREEDY, eventText('more')), { status: 429, code: 'CLIENT_SHARE' });
    t.match(await post(MODEST, eventText('little')), { status: 202 }, 'another one still has room');
    t.match(await post('192.0.2.3', ...eventsOf('large', 11, 25_000)), { status: 429, code: 'BACKLOG_FULL' });
  },
);

/** Refuses events whose id starts with `bad`. */
class PickySink implements Sink {
  readonly taken: string[] = [];

  async deliver({ bytes }: Batch): Promise<void> {
    const ids = idsOf(bytes.toString('utf8').split('\n').slice(0, -1));
    const refused = ids.flatMap((id, index) =>
      id.startsWith('bad') ? [{ index, reason: 'bad', status: 422 }] : [],
    );
    this.taken.push(...ids.filter((id) => !id.startsWith('bad')));
    if (refused.length > 0) throw new SinkError('some are bad', { status: 207, refused });
    return Promise.resolve();
  }
}

/** Rounds after which it is known that the sink refuses what a client sends. */
const KNOWN_AFTER = 10;

void tap.test('who sends what the sink refuses cannot fill the dead letters', async (t) => {
  const settings = { deadLettersBytesMax: 2 ** 21, batchSize: 10 };
  const { forebay, dir, post, sink } = await open(t, new PickySink(), settings);
  let refused: Answer | undefined;
  for (let n = 0; refused?.status !== 429 && n < 1000; n++) {
    const [first, ...flood] = [1, 2, 3, 4].map(async (each) =>
      post(GREEDY, ...eventsOf(`bad-${n}-${each}`, 10, 200)),
    );
    refused = await first;
    await Promise.all(flood);
    // before the sink has refused some, nobody knows what is on its way
    if (n < KNOWN_AFTER) await until(() => forebay.counts().pending === 0, 'the sink has refused them');
  }
  t.match(refused, { status: 429, code: 'CLIENT_SHARE', retryAfter: 60 });
  t.match(refused?.error, /dead letters have their share of --dead-letters-max/);
  t.match(await post(MODEST, eventText('good'), eventText('bad-modest')), { status: 202 });
  await until(() => forebay.counts().pending === 0, 'each dead letter has room');
  const share = forebay.clientUsage()?.largest.dead_letters ?? 0;
  t.ok(share > 0.4 && share < 0.95, `${share}`);
  t.match(forebay.sinkState(), { batchesAside: 0, deadLettersFull: false });
  t.same(sink.taken, ['good']);
  const letters = join(dir, 'dead-letters');
  for (const name of readdirSync(letters)) if (name.endsWith('.jsonl')) unlinkSync(join(letters, name));
  const isTaken = async (): Promise<boolean> => (await post(GREEDY, eventText('good again'))).status === 202;
  await until(isTaken, 'once someone has dropped them it may send again');
  addsUp(t, forebay);
});

void tap.test('batches aside are charged to who sent what the sink refuses', async (t) => {
  const sink = new PickySink();
  const settings = { deadLettersBytesMax: 1024, batchSize: 50, backlogBytesMax: 2 ** 22 };
  const { forebay, post } = await open(t, sink, settings, { bodyBytesMax: 100_000 });
  // most of it is good, so it is not refused for its dead letters; and each batch has events of the other
  const refusals: Answer[] = [];
  const isOfOther = (id: string): boolean => id.startsWith('good');
  const ofOther = (): number => sink.taken.filter(isOfOther).length;
  for (let round = 0; round < 600; round++) {
    // a slow disk would leave the other with much that waits
    await until(() => ofOther() >= 3 * (round - 5), 'what it sent before is delivered');
    const [mixed, ...answers] = await Promise.all([
      post(GREEDY, eventText(`bad-${round}`), ...eventsOf(`mixed-${round}`, 2)),
      ...eventsOf(`good-${round}`, 3, 4000).map(async (event) => post(MODEST, event)),
    ]);
    if (taken(answers) < 3) t.fail(`the other was refused in round ${round}: ${JSON.stringify(answers)}`);
    if (mixed.status === 429) refusals.push(mixed);
  }
  t.match(refusals.slice(0, 1), [{ code: 'CLIENT_SHARE', error: /its share of --backlog-max/ }]);
  t.ok((forebay.sinkState()?.batchesAside ?? 0) > 0);
  await until(() => ofOther() >= 1800, 'all of the other is delivered');
  t.equal(new Set(sink.taken.filter(isOfOther)).size, 1800);
  addsUp(t, forebay);
});

void tap.test('each client has a rate of its own, and comes again in time', async (t) => {
  const limits = { clientEventsPerSecond: 10, clientBytesPerSecond: 100_000 };
  const { post, forebay, server } = await open(t, new CollectingSink(), {}, limits);
  const passMs = stopClock(t);
  t.equal(taken(await Promise.all(eventsOf('burst', 10).map(async (event) => post(GREEDY, event)))), 10);
  const refused = await post(GREEDY, eventText('late'));
  t.match(refused, { status: 429, code: 'CLIENT_RATE', retryAfter: 1 });
  t.match(refused.error, /10 events and 100000 bytes a second \(--client-rate-events, /);
  t.match(
    await post(MODEST, ...eventsOf('large', 25)),
    { status: 202 },
    'more than a burst, from a full bucket',
  );
  t.match(await post(MODEST, eventText('late')), { status: 429, code: 'CLIENT_RATE', retryAfter: 2 });
  t.match(await post('192.0.2.3', ...eventsOf('bytes', 2, 100_000)), { status: 202 });
  t.match(await post('192.0.2.3', ...eventsOf('bytes', 2, 100_000)), { status: 429, retryAfter: 3 });
  t.match(await post('192.0.2.4', ...eventsOf('six', 6)), { status: 202 });
  t.match(
    await post('192.0.2.4', ...eventsOf('six', 6)),
    { status: 429, retryAfter: 1 },
    'all that it holds',
  );
  t.equal(server.refusal(), null, 'a rate is no matter of readiness');
  passMs(1000);
  t.match(await post(GREEDY, eventText('in time')), { status: 202 });
  await until(() => forebay.counts().pending === 0, 'all is delivered');
  t.equal(server.counts.refusedFor('CLIENT_RATE'), 9, 'three unread, and one of six');
});

void tap.test('keys are told apart, from whatever address', async (t) => {
  const disk = heldDisk();
  const [greedy, modest] = [madeKey('greedy'), madeKey('modest', { eventsPerSecond: 5 })];
  const { keys } = openKeys(t, [greedy.line, modest.line]);
  const settings = { fs: disk.fs, queueSize: 100 };
  const { request, forebay } = await open(t, new CollectingSink(), settings, {
    keys,
    clientEventsPerSecond: 1,
  });
  const send = async (key: string, event: string): Promise<Answer> =>
    request({ authorization: `Bearer ${key}`, 'x-forwarded-for': GREEDY }, event);
  stopClock(t);
  disk.hold();
  const flood = eventsOf('flood', 200).map(async (event) => send(greedy.key, event));
  await until(() => forebay.statistics()?.queuedEvents === 90, 'one key has its share');
  const few = eventsOf('few', 5).map(async (event) => send(modest.key, event));
  await until(() => forebay.statistics()?.queuedEvents === 95, 'the other one has room');
  t.match(await send(greedy.key, eventText('late')), { status: 429, code: 'CLIENT_SHARE' });
  t.match(await send(modest.key, eventText('late')), { status: 429, code: 'CLIENT_RATE', retryAfter: 1 });
  disk.release();
  t.equal(taken(await Promise.all(few)), 5);
  t.equal(taken(await Promise.all(flood)), 90);
});

void tap.test('peers after a trusted proxy are told apart, and nobody can pass for another', async (t) => {
  const limits = { clientEventsPerSecond: 1 };
  stopClock(t);
  const { request } = await open(t, new CollectingSink(), {}, limits);
  const send = async (headers: Record<string, string>): Promise<number> =>
    (await request(headers, eventText('e'))).status;
  t.equal(await send({ 'x-forwarded-for': `${MODEST}, ${GREEDY}` }), 202);
  t.equal(
    await send({ 'x-forwarded-for': `192.0.2.9, ${GREEDY}` }),
    429,
    'the last one is what the proxy has seen',
  );
  t.equal(await send({ 'x-forwarded-for': `${GREEDY}, 127.0.0.1` }), 429, 'but for proxies');
  t.equal(await send({ forwarded: `for=192.0.2.9, for="${GREEDY}:1234";proto=http` }), 429);
  t.equal(await send({ forwarded: `for=${MODEST}` }), 202, 'nobody has sent as this one yet');
  t.equal(await send({ forwarded: `for="[2001:db8:1:2::1]"` }), 202);
  t.equal(await send({ forwarded: `for="[2001:db8:1:2::ffff]:80"` }), 429, 'a network of IPv6 is one client');
  t.equal(await send({}), 202, 'the proxy itself');
  t.equal(
    await send({ forwarded: 'for=192.0.2.77', 'x-forwarded-for': '192.0.2.78' }),
    429,
    'ambiguous: the proxy',
  );
  t.equal(await send({ 'x-forwarded-for': 'nonsense' }), 429, 'malformed: the proxy');
  const { request: strangers } = await open(
    t,
    new CollectingSink(),
    {},
    { ...limits, trustedProxies: ['127.0.0.2'] },
  );
  t.equal((await strangers({ 'x-forwarded-for': MODEST }, eventText('e'))).status, 202);
  t.equal(
    (await strangers({ 'x-forwarded-for': '192.0.2.9' }, eventText('e'))).status,
    429,
    'it says so itself',
  );
});

void tap.test('the connections of a trusted proxy are those of many clients', async (t) => {
  const options = { connectionsPerPeer: 2 };
  const { request } = await open(t, new CollectingSink(), {}, options);
  const answers = Array.from({ length: 20 }, async (_each, index) => request({}, eventText(`e${index}`)));
  t.equal(taken(await Promise.all(answers)), 20);
});
