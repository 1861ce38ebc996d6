import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { createForebay } from '../../../lib/forebay.js';
import type { Forebay, ForebayOptions } from '../../../lib/forebay.js';
import { checkVersionForIds } from '../../../lib/logs/jetstream/server-checks.js';
import { headBytesOf, storedBytes } from '../../../lib/logs/jetstream/stream-message.js';
import { hasEvents, secretSubject } from '../../../lib/logs/jetstream/stream-names.js';
import { openStreamLog } from '../../../lib/open-log.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { CollectingSink } from '../../helpers/collecting-sink.js';
import { openHttpServer } from '../../helpers/http-door.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { codeOf, eventText, idsOf } from '../../helpers/running-forebay.js';
import { SEED } from '../../helpers/seed.js';
import { until } from '../../helpers/wait-for.js';
import { Random } from '../../simulation/random.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t, { servers: 3 }) : null;
const WINDOW_MS = 3_600_000;

t.setTimeout(900_000);

/** Instances that share a stream and a sink. */
class Fleet {
  readonly sink = new CollectingSink();
  readonly streams: LogStreams;
  readonly #t: Test;

  static async at(t: Test): Promise<Fleet> {
    if (starting === null) throw new Error(String(skip));
    return new Fleet(t, await LogStreams.at(t, await starting));
  }

  private constructor(t: Test, streams: LogStreams) {
    this.#t = t;
    this.streams = streams;
    t.teardown(() => this.sink.release());
  }

  async instance(options: Partial<ForebayOptions> = {}): Promise<Forebay> {
    const { url: logUrl, logName } = this.streams;
    const logUrls = await (starting as Promise<NatsCluster>).then(async (cluster) => cluster.urls());
    const ofLog = fromObject(LOG_SETTINGS, { logUrl: logUrls || logUrl, logName });
    const forebay = createForebay({
      sink: this.sink,
      batchWaitMs: 10,
      ackTimeoutMs: 60_000,
      backlogBytesMax: 2 ** 26,
      deadLettersBytesMax: 2 ** 20,
      idWindowMs: WINDOW_MS,
      idWindowMax: 100_000,
      ...options,
      openLog: async (context) => openStreamLog(context, ofLog, new AbortController().signal),
    });
    this.#t.teardown(async () => forebay.stop(0));
    await forebay.start();
    return forebay;
  }

  /** The events that wait for delivery, by what the stream says. */
  async waiting(): Promise<number> {
    const { names, jsm } = this.streams;
    const { state } = await jsm.streams.info(names.events, { subjects_filter: `${names.events}.*` });
    return Object.keys(state.subjects ?? {}).length;
  }

  /** How often each id was delivered. */
  get deliveries(): Map<string, number> {
    const deliveries = new Map<string, number>();
    for (const id of idsOf(this.sink.lines)) deliveries.set(id, (deliveries.get(id) ?? 0) + 1);
    return deliveries;
  }

  async settled(): Promise<void> {
    // while the servers elect a leader they do not answer
    const isSettled = async (): Promise<boolean> =>
      this.waiting().then(
        (events) => events === 0,
        () => false,
      );
    await until(isSettled, 'all is delivered');
  }
}

function isError(said: string | undefined): boolean {
  return said !== 'new' && said !== 'duplicate';
}

/** Events that were stored, by what the instances say. */
function accepted(...instances: readonly Forebay[]): number {
  return instances.reduce((sum, forebay) => sum + forebay.counts().accepted, 0);
}

void t.test('an event that one instance has stored is a duplicate at another one', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const [one, other] = [await fleet.instance(), await fleet.instance()];
  t.same(await one.write(eventText('a')), { duplicate: false });
  t.same(await other.write(eventText('a')), { duplicate: true });
  t.same(await other.write(eventText('a')), { duplicate: true }, 'it knows it by itself now');
  t.same(await other.write(eventText('b')), { duplicate: false });
  await fleet.settled();
  t.same(await one.write(eventText('a')), { duplicate: true }, 'after the delivery');
  const third = await fleet.instance();
  t.same(await third.write(eventText('a')), { duplicate: true }, 'at an instance that starts later');
  t.same(
    [...fleet.deliveries],
    [
      ['a', 1],
      ['b', 1],
    ],
  );
  t.equal(accepted(one, other, third), 2);
  t.same(
    [one, other, third].map((each) => each.idUsage()[0]?.duplicates),
    [1, 2, 1],
  );
  const { names, jsm } = fleet.streams;
  t.equal(
    (await jsm.streams.getMessage(names.events, { last_by_subj: secretSubject(names.events) }))?.data.length,
    16,
  );
});

void t.test('an id that comes to all instances at the same time is stored once', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const instances = await Promise.all([fleet.instance(), fleet.instance(), fleet.instance()]);
  const random = new Random(SEED);
  let duplicates = 0;
  const rounds = 150;
  for (let round = 0; round < rounds; round++) {
    const id = `twin-${round}`;
    const answers = await Promise.all(
      random.shuffled(instances).map(async (each) => {
        if (random.chance(0.5)) await sleep(random.spread(0, 4));
        return each.write(eventText(id));
      }),
    );
    duplicates += answers.filter(({ duplicate }) => duplicate).length;
  }
  t.equal(duplicates, 2 * rounds);
  t.equal(accepted(...instances), rounds);
  await fleet.settled();
  t.ok([...fleet.deliveries.values()].every((times) => times === 1));
  t.equal(fleet.deliveries.size, rounds);
});

void t.test('requests of many events share ids, and those that are new are stored', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const instances = await Promise.all([fleet.instance(), fleet.instance()]);
  const ports = await Promise.all(instances.map(async (each) => (await openHttpServer(t, each)).port));
  const post = async (at: number, ids: readonly number[]): Promise<object> => {
    const body = ids.map((id) => eventText(`many-${id}`)).join('\n');
    const headers = { 'content-type': 'application/x-ndjson' };
    const answer = await fetch(`http://127.0.0.1:${ports[at]}/events`, { method: 'POST', headers, body });
    return { ...((await answer.json()) as object), status: answer.status };
  };
  const from = (first: number, count: number): number[] => Array.from({ length: count }, (_, n) => first + n);
  t.match(await post(0, from(0, 1500)), { status: 202, count: 1500, duplicates: undefined });
  t.match(await post(1, from(1000, 1500)), { status: 202, count: 1500, duplicates: 500 });
  t.match(await post(0, from(2400, 200)), { status: 202, count: 200, duplicates: 100 });
  const [left, right] = await Promise.all([post(0, from(3000, 1000)), post(1, from(3000, 1000))]);
  const sum = [left, right].reduce<number>(
    (total, said) => total + ((said as { duplicates?: number }).duplicates ?? 0),
    0,
  );
  t.equal(sum, 1000, 'at the same time');
  t.equal(accepted(...instances), 3600);
  await fleet.sink.received(3600);
  await fleet.settled();
  t.equal(fleet.deliveries.size, 3600);
  t.ok([...fleet.deliveries.values()].every((times) => times === 1));
});

void t.test('other content under an id is known at each instance', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const accepting = await fleet.instance();
  const rejecting = await fleet.instance({ idConflict: 'reject' });
  await accepting.write(eventText('a', 'first'));
  await rejecting.write(eventText('b', 'first'));
  t.same(await accepting.write(eventText('b', 'other')), { duplicate: true });
  t.match(accepting.idUsage(), [{ duplicates: 1, conflicts: 1 }]);
  await t.rejects(rejecting.write(eventText('a', 'other')), { code: 'ID_CONFLICT', status: 409 });
  t.same(
    await rejecting.write(eventText('a', 'first')),
    { duplicate: true },
    'the first content is not refused',
  );
  await fleet.settled();
  t.same([...fleet.deliveries.keys()], ['a', 'b']);
  t.equal(accepted(accepting, rejecting), 2);
});

void t.test(
  'of many events, one with the id of another is refused alone, or with all',
  { skip },
  async (t) => {
    const fleet = await Fleet.at(t);
    const [accepting, rejecting] = [await fleet.instance(), await fleet.instance({ idConflict: 'reject' })];
    await accepting.write(eventText('a', 'first'));
    await accepting.write(eventText('b', 'first'));
    const { port } = await openHttpServer(t, rejecting);
    const post = async (prefer: string): Promise<object> => {
      const body = [eventText('c'), eventText('a', 'other'), eventText('b', 'first')].join('\n');
      const headers = { 'content-type': 'application/x-ndjson', prefer };
      const answer = await fetch(`http://127.0.0.1:${port}/events`, { method: 'POST', headers, body });
      return { ...((await answer.json()) as object), status: answer.status };
    };
    t.match(await post('handling=strict'), { status: 409, code: 'ID_CONFLICT', index: 1 });
    t.equal(rejecting.counts().accepted, 0, 'nothing of it is stored');
    t.match(await post('handling=lenient'), {
      status: 202,
      count: 2,
      duplicates: 1,
      duplicateEvents: [{ line: 3 }],
      refused: [{ line: 2, code: 'ID_CONFLICT' }],
    });
    t.equal(rejecting.counts().accepted, 1);
    await fleet.settled();
    t.same([...fleet.deliveries.keys()], ['a', 'b', 'c']);
  },
);

void t.test('older servers have no id window, and say so', (t) => {
  for (const version of ['2.11.9', '2.12.1'])
    t.throws(() => checkVersionForIds(version), { code: 'LOG_UNUSABLE', message: /at least 2\.12\.2/ });
  for (const version of ['2.12.2', '2.15.1', '3.0.0']) t.doesNotThrow(() => checkVersionForIds(version));
  t.end();
});

void t.test('an Idempotency-Key is known at each instance', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const instances = await Promise.all([fleet.instance(), fleet.instance(), fleet.instance()]);
  const ports = await Promise.all(instances.map(async (each) => (await openHttpServer(t, each)).port));
  const post = async (at: number, ids: readonly string[]): Promise<object> => {
    const headers = { 'content-type': 'application/x-ndjson', 'idempotency-key': 'k-1' };
    const body = ids.map((id) => eventText(id)).join('\n');
    const answer = await fetch(`http://127.0.0.1:${ports[at]}/events`, { method: 'POST', headers, body });
    return { ...((await answer.json()) as object), status: answer.status };
  };
  const first = await post(0, ['a', 'b']);
  t.match(first, { status: 202, count: 2 });
  t.same(await post(1, ['a', 'b']), first, 'the same answer');
  t.match(await post(2, ['a', 'c', 'd']), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
  t.match(await post(1, ['a', 'c']), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
  t.match(await post(1, ['a', 'b', 'c']), { status: 422, code: 'IDEMPOTENCY_KEY_REUSED' });
  await fleet.settled();
  t.same(
    [...fleet.deliveries],
    [
      ['a', 1],
      ['b', 1],
    ],
    'nothing of a refused request is delivered',
  );
});

void t.test('sources and holders of keys do not swallow events of others', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const idRules = ['events', 'other'].map(
    (source) => ({ source, windowMs: WINDOW_MS, conflict: 'accept' }) as const,
  );
  const [one, other] = [await fleet.instance({ idRules }), await fleet.instance({ idRules })];
  const { blockOf } = await import('../../../lib/event/written-event.js');
  const write = async (at: Forebay, source: string, holder: string | null): Promise<number> => {
    const block = blockOf(eventText('a'), 100, at.idsFor(source, holder, null));
    await new Promise<void>((resolve, reject) => {
      at.take(block, (error) => (error === null ? resolve() : reject(error)));
    });
    return block.ids?.duplicates ?? NaN;
  };
  const all = [
    ['events', null],
    ['events', 'ann'],
    ['other', null],
    ['other', 'ann'],
    ['other', 'bob'],
  ] as const;
  for (const [source, holder] of all) t.equal(await write(one, source, holder), 0, `${source} ${holder}`);
  for (const [source, holder] of all) t.equal(await write(other, source, holder), 1, `${source} ${holder}`);
  await fleet.settled();
  t.equal(fleet.deliveries.get('a'), all.length);
});

void t.test(
  'ids outlive all servers and instances, whether their events are delivered or not',
  { skip },
  async (t) => {
    const fleet = await Fleet.at(t);
    const cluster = await (starting as Promise<NatsCluster>);
    const first = await fleet.instance();
    for (let n = 0; n < 20; n++) await first.write(eventText(`old-${n}`));
    await fleet.settled();
    fleet.sink.held = true;
    for (let n = 20; n < 40; n++) await first.write(eventText(`old-${n}`));
    // in order, so that the servers do not find it in their logs again; then at once
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      await Promise.all(cluster.servers.map(async (server) => server.end(signal)));
      for (const server of cluster.servers) server.start();
      await cluster.ready();
      const { events } = fleet.streams.names;
      await cluster.leading(events);
      const second = await fleet.instance();
      const isKnown = async (): Promise<boolean> => (await codeOf(second.write(eventText('old-0')))) === null;
      await until(isKnown, 'the servers take events again');
      for (let n = 0; n < 40; n++)
        t.same(await second.write(eventText(`old-${n}`)), { duplicate: true }, `${n}`);
      t.equal(second.counts().accepted, 0);
    }
    fleet.sink.release();
    await fleet.settled();
    t.equal(fleet.deliveries.size, 40);
  },
);

void t.test('a twin of an event that is in doubt at another instance is stored once', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const cluster = await (starting as Promise<NatsCluster>);
  const options = { ackTimeoutMs: 10_000 };
  const [one, other] = await Promise.all([fleet.instance(options), fleet.instance(options)]);
  const isTaken = async (): Promise<boolean> => (await codeOf(one.write(eventText('before')))) === null;
  await until(isTaken, 'the servers take events');
  const { events } = fleet.streams.names;
  for (let round = 0; round < 2; round++) {
    const leader = await cluster.leading(events);
    const ids = Array.from({ length: 60 }, (_, n) => `doubt-${round}-${n}`);
    const send = async (at: Forebay, id: string): Promise<string> =>
      at.write(eventText(id)).then(
        ({ duplicate }) => (duplicate ? 'duplicate' : 'new'),
        (error: unknown) => (error as { code: string }).code,
      );
    const sending = ids.map(async (id, n) => {
      await sleep(n);
      return send(one, id);
    });
    await sleep(30);
    const killed = leader.end('SIGKILL');
    const twins = ids.map(async (id) => send(other, id));
    await killed;
    const [answers, again] = [await Promise.all(sending), await Promise.all(twins)];
    leader.start();
    await cluster.ready();
    const stored = ids.filter((_id, n) => [answers[n], again[n]].every((said) => !isError(said)));
    const asNew = stored.map((id) => [answers, again].filter((all) => all[ids.indexOf(id)] === 'new').length);
    t.ok(
      asNew.every((times) => times === 1),
      'of two answers without an error, one says that it was new',
    );
    // who got an error sends again, to the other one
    for (const [n, id] of ids.entries()) {
      const answered = [answers[n], again[n]];
      if (answered.every(isError))
        await until(async () => !isError(await send(n % 2 === 0 ? one : other, id)), id);
    }
    t.comment(
      `${answers.filter((said) => said === 'new').length} new, ${answers.filter((said) => said === 'duplicate').length} duplicates, doubtful ${one.statistics()?.doubtful}`,
    );
  }
  await fleet.settled();
  t.equal(fleet.deliveries.size, 121);
  t.equal(
    (await fleet.streams.jsm.streams.info(events, { subjects_filter: `${events}.id.*` })).state.subjects ===
      undefined,
    false,
  );
  const idsKept = Object.keys(
    (await fleet.streams.jsm.streams.info(events, { subjects_filter: `${events}.id.*` })).state.subjects ??
      {},
  );
  t.equal(idsKept.length, 121, 'each id is kept once');
});

void t.test('too many ids: the oldest go, and the log says so', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  const warned: string[] = [];
  const warn = (_fields: object, text: string): void => void warned.push(text);
  const logger = { debug: () => undefined, info: () => undefined, warn, error: warn };
  const one = await fleet.instance({ idWindowMax: 50, logger });
  for (let n = 0; n < 120; n++) await one.write(eventText(`few-${n}`));
  const { names, jsm } = fleet.streams;
  const kept = async (): Promise<number> => {
    const { state } = await jsm.streams.info(names.events, { subjects_filter: `${names.events}.id.*` });
    return Object.keys(state.subjects ?? {}).length;
  };
  await until(async () => (await kept()) === 50, 'the oldest ids have gone');
  await until(() => (one.idUsage()[0]?.effectiveSeconds ?? Infinity) < 600, 'the metric says so');
  await until(
    () => warned.some((text) => /ids in the stream .*50 are kept at most/.test(text)),
    'the log says so, too',
  );
  const other = await fleet.instance({ idWindowMax: 50 });
  t.same(await other.write(eventText('few-119')), { duplicate: true });
  t.same(await other.write(eventText('few-0')), { duplicate: false });
});

void t.test('pending bytes are those of events, whatever ids take', { skip }, async (t) => {
  const fleet = await Fleet.at(t);
  fleet.sink.held = true;
  const [one, other] = [await fleet.instance(), await fleet.instance()];
  for (let n = 0; n < 50; n++) await one.write(eventText(`bytes-${n}`));
  const { names, jsm } = fleet.streams;
  const { last_seq: last } = (await jsm.streams.info(names.events)).state;
  let bytes = 0;
  for (let seq = 1; seq <= last; seq++) {
    const message = await jsm.streams.getMessage(names.events, { seq });
    if (message === null || !hasEvents(names.events, message.subject)) continue;
    const head = message.header.keys().map((name) => [name, message.header.get(name)] as const);
    bytes += storedBytes(message.subject, headBytesOf(head), message.data);
  }
  await until(() => other.counts().pending === 50, 'the other one has looked');
  t.equal(other.statistics()?.pendingBytes, bytes);
  fleet.sink.release();
  await fleet.settled();
  await until(
    () => other.statistics()?.pendingBytes === 0 && one.statistics()?.pendingBytes === 0,
    'nothing waits',
  );
});
