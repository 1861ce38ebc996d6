import { createHmac } from 'node:crypto';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { decodeUtf8, eventLine } from '../../lib/event/event.js';
import { ForebayError } from '../../lib/base/errors.js';
import { retryAfter } from '../../lib/seams/http-answer.js';
import type { HttpAnswer } from '../../lib/seams/http-answer.js';
import { EventBlock } from '../../lib/event/event-block.js';
import { BodyBuffer } from '../../lib/sources/body-buffer.js';
import { cloudeventsKind } from '../../lib/sources/cloudevents/cloudevents-source.js';
import { events } from '../../lib/sources/events/events-source.js';
import { SOURCE_KINDS, SOURCES } from '../../lib/sources/registry.js';
import { WEBHOOK_KINDS } from '../../lib/sources/webhook/webhook-kinds.js';
import type { EventReader, Limits, Source } from '../../lib/seams/source.js';
import { event, hasTaken, openRaw, post, whole } from '../helpers/raw-door.js';
import { sourceOf } from '../helpers/read-source.js';
import { sourceContract } from '../helpers/source-contract.js';
import type { SourceSample } from '../helpers/source-contract.js';
import { nowSeconds, openSource, SECRET, secretFile, SENDERS } from '../helpers/webhook-senders.js';

const JSON_TYPE = { 'Content-Type': 'application/json' };
const NDJSON_TYPE = { 'Content-Type': 'application/x-ndjson' };
const UNTYPED = {
  headers: { 'Content-Type': 'text/plain' },
  body: 'x',
  status: 415,
  names: /Content-Type must be/,
};
const UNSIGNED = { cannot: 'nobody signs plain events' };
const counted = { status: 202, body: '{"status":"accepted","count":1}\n' };

const EVENTS: Readonly<Record<string, SourceSample>> = {
  'one event': {
    source: events,
    good: (id) => ({ headers: JSON_TYPE, body: event(id) }),
    accepted: { status: 202, body: '{"status":"accepted"}\n' },
    refusedByHead: UNTYPED,
    refusedByBody: { headers: JSON_TYPE, body: '{"id":"a"}', status: 400, names: /"field":"type"/ },
    forged: UNSIGNED,
  },
  'an array': {
    source: events,
    good: (id) => ({ headers: JSON_TYPE, body: `[${event(id)}]` }),
    accepted: counted,
    refusedByHead: UNTYPED,
    refusedByBody: {
      headers: JSON_TYPE,
      body: `[${event('a')},{}]`,
      status: 400,
      names: /"index":1,"field":"id"/,
    },
    forged: UNSIGNED,
  },
  NDJSON: {
    source: events,
    good: (id) => ({ headers: NDJSON_TYPE, body: `${event(id)}\n` }),
    accepted: counted,
    refusedByHead: UNTYPED,
    refusedByBody: { headers: NDJSON_TYPE, body: `${event('a')}\n{`, status: 400, names: /"line":2/ },
    forged: UNSIGNED,
  },
};

const ce = sourceOf(cloudeventsKind);
const ceEvent = (id: string): string =>
  JSON.stringify({ specversion: '1.0', id, source: '/s', type: 't', data: 1 });
const ceHeaders = (id: string) => ({
  'ce-specversion': '1.0',
  'ce-id': id,
  'ce-source': '/s',
  'ce-type': 't',
});
const STRUCTURED = { 'Content-Type': 'application/cloudevents+json' };
const BATCH = { 'Content-Type': 'application/cloudevents-batch+json' };

/** Of each source that takes CloudEvents. */
const CLOUDEVENTS: Readonly<Record<string, Omit<SourceSample, 'source' | 'forged'>>> = {
  'a structured CloudEvent': {
    good: (id) => ({ headers: STRUCTURED, body: ceEvent(id) }),
    accepted: { status: 202, body: '{"status":"accepted"}\n' },
    refusedByHead: { ...UNTYPED, headers: { 'Content-Type': 'application/cloudevents+xml' }, names: /\+xml/ },
    refusedByBody: { headers: STRUCTURED, body: ceEvent(''), status: 400, names: /"field":"id"/ },
  },
  'a batch of CloudEvents': {
    good: (id) => ({ headers: BATCH, body: `[${ceEvent(id)}]` }),
    accepted: counted,
    refusedByHead: {
      ...UNTYPED,
      headers: { 'Content-Type': 'application/cloudevents-batch' },
      names: /-batch\b/,
    },
    refusedByBody: {
      headers: BATCH,
      body: `[${ceEvent('a')},{"specversion":"1.0","id":"b","source":"/"}]`,
      status: 400,
      names: /"index":1,"field":"type"/,
    },
  },
  'a binary CloudEvent': {
    good: (id) => ({ headers: ceHeaders(id), body: '{ "a": 1.0 }' }),
    accepted: { status: 202, body: '{"status":"accepted"}\n' },
    refusedByHead: {
      headers: ceHeaders(''),
      body: '{}',
      status: 400,
      names: /Header ce-id must be.*"field":"id"/,
    },
    refusedByBody: { headers: ceHeaders('a'), body: '{', status: 400, names: /JSON by its Content-Type/ },
  },
};

function cloudEventsAt(source: Source): Readonly<Record<string, SourceSample>> {
  const samples = Object.entries(CLOUDEVENTS);
  return Object.fromEntries(samples.map(([name, sample]) => [name, { ...sample, source, forged: UNSIGNED }]));
}

/** A webhook whose sender signs what it sends: all that there is to it. */
class HookReader implements EventReader {
  readonly block = new EventBlock();
  readonly #body = new BodyBuffer();
  readonly #id: string;
  readonly #limits: Limits;

  constructor(id: string, limits: Limits) {
    this.#id = id;
    this.#limits = limits;
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
    if (this.#body.length > this.#limits.eventBytesMax) throw new ForebayError('EVENT_TOO_LARGE');
  }

  end(): void {
    const text = `{"id":${JSON.stringify(this.#id)},"type":"hook","data":${decodeUtf8(this.#body.take())}}`;
    this.block.addText(eventLine(text, Date.now(), this.#limits.depthMax));
  }

  accepted(): HttpAnswer {
    return { status: 200, headers: { 'Content-Type': 'text/plain' }, body: 'thank you é\n' };
  }
}

const sign = (body: string | Buffer): string => createHmac('sha256', 'secret').update(body).digest('hex');
const FORGED = 'the signature is wrong';

const hook: Source = {
  name: 'hook',
  path: '/hooks/x',
  limits: { eventBytesMax: null, bodyBytesMax: null },
  isFast: true,
  readerFor: (head, limits) => {
    const id = head.header('x-hook-id');
    if (id === undefined) throw new ForebayError('EVENT_FIELD', { message: 'X-Hook-Id is missing' });
    return () => new HookReader(id, limits);
  },
  verify: (head, body) => {
    if (head.header('x-hook-signature') !== sign(body))
      throw new ForebayError('BAD_REQUEST', { message: FORGED });
  },
  refused: (error) => ({
    status: error.message === FORGED ? 401 : (error.status ?? 500),
    headers: { 'Content-Type': 'text/plain', ...retryAfter(error) },
    body: `no: ${error.message}\n`,
  }),
};

const signed = (id: string, body: string) => ({
  headers: { 'X-Hook-Id': id, 'X-Hook-Signature': sign(body) },
  body,
});

const HOOK: SourceSample = {
  source: hook,
  good: (id) => signed(id, '{ "a": 1.0 }'),
  accepted: { status: 200, body: 'thank you é\n' },
  refusedByHead: { headers: {}, body: '{}', status: 400, names: /X-Hook-Id/ },
  refusedByBody: { ...signed('a', '{"a":'), status: 400, names: /not valid JSON/ },
  // no JSON: it is verified first
  forged: { ...signed('a', '{}'), body: '{', status: 401, names: /^no: the signature is wrong\n$/ },
};

const LARGEST = 700;
const TOO_LARGE = { status: 413, names: /larger than 700 bytes \(--event-max\)/ };
const LONG_BODY = JSON.stringify('x'.repeat(1000));
/** Shorter than the largest event, and written as text it is not. */
const ESCAPED_BODY = '\u0001'.repeat(150);

/** A webhook, unsigned or from one of the known senders. */
function webhookSample(kind: string): SourceSample {
  const sender = SENDERS[kind];
  const settings = sender === undefined ? 'id=header:x-id' : `secret-file=${secretFile(t, SECRET)}`;
  const id = kind === 'hmac' ? ',id=/id' : '';
  const about = `hook=/in/hook,format=${kind},event-max=${LARGEST},${settings}${id}`;
  const sent = (name: string, body = sender?.body(name) ?? '{ "a": 1.0 }') => ({
    headers: { ...JSON_TYPE, ...(sender?.headers(name, body, SECRET, nowSeconds()) ?? { 'X-Id': name }) },
    body,
  });
  const good = sent('a');
  return {
    source: openSource(t, about),
    good: sent,
    accepted: kind === 'slack' ? { status: 200, body: '' } : { status: 202, body: '{"status":"accepted"}\n' },
    refusedByHead: { ...sent('a', LONG_BODY), ...TOO_LARGE },
    refusedByBody: { ...sent('a', ESCAPED_BODY), ...TOO_LARGE },
    forged:
      sender === undefined
        ? { cannot: 'nobody signs it' }
        : {
            headers: good.headers,
            body: good.body.replace('{', '['),
            status: 401,
            names: /"The signature is missing or wrong, .*","code":"SIGNATURE_WRONG"/,
          },
  };
}

const KINDS: Readonly<Record<string, Readonly<Record<string, SourceSample>>>> = {
  events: EVENTS,
  cloudevents: cloudEventsAt(ce),
  ...Object.fromEntries(WEBHOOK_KINDS.map(({ name }) => [name, { [name]: webhookSample(name) }])),
};

void t.test('each kind of source is held to the contract', (t) => {
  t.same(
    SOURCE_KINDS.map(({ name }) => name).toSorted(),
    Object.keys(KINDS).toSorted(),
    'a new one gets its samples here',
  );
  t.same(SOURCES, [events]);
  t.end();
});
for (const samples of Object.values(KINDS))
  for (const [name, sample] of Object.entries(samples)) sourceContract(name, sample);
for (const [name, sample] of Object.entries(cloudEventsAt(events)))
  sourceContract(`${name} at ${events.path}`, sample);
sourceContract('a source of 50 lines', HOOK);

void t.test('a signature is over the bytes that were sent, in front of their coding', async (t) => {
  const { connect, sink, server } = await openRaw(t, { sources: [events, hook] });
  const body = gzipSync(JSON.stringify('x'.repeat(100)));
  const headers = { 'X-Hook-Id': 'a', 'Content-Encoding': 'gzip', 'Content-Length': body.length };
  for (const [signature, status] of [
    [sign(body), 200],
    [sign(JSON.stringify('x'.repeat(100))), 401],
  ] as const) {
    const client = await connect();
    await client.send(post({ ...headers, 'X-Hook-Signature': signature }, '', hook.path));
    for (const byte of body) await client.send(Buffer.of(byte));
    t.equal((await client.answer()).status, status);
  }
  const bomb = gzipSync(Buffer.alloc(2 ** 19, ' '));
  const client = await connect();
  const bombed = { ...headers, 'Content-Length': bomb.length, 'X-Hook-Signature': sign(bomb) };
  await client.send(Buffer.concat([Buffer.from(post(bombed, '', hook.path)), bomb]));
  t.match(
    await client.answer(),
    { status: 413, body: /inflates to more than/ },
    'what is signed is bounded, too',
  );
  await sink.received(1);
  t.match(JSON.parse(sink.lines[0] ?? ''), { id: 'a', type: 'hook', data: 'x'.repeat(100) });
  t.equal(server.counts.refusedFor('BAD_REQUEST'), 1);
});

void t.test('sources stand beside each other on one connection', async (t) => {
  const door = await openRaw(t, { sources: [events, hook] });
  const client = await door.connect();
  const { headers, body } = signed('h', '1');
  await client.send(whole(event('a')));
  t.equal((await client.answer()).status, 202);
  await client.send(post({ ...headers, 'Content-Length': 1 }, body, hook.path));
  t.equal((await client.answer()).status, 200);
  t.equal(door.server.handedOverConnections, 0);
  await hasTaken(t, door, ['a', 'h']);
  t.same(
    [...(door.server.counts.answered.get('/hooks/x') ?? [])],
    [
      [202, 0],
      [429, 0],
      [500, 0],
      [503, 0],
      [200, 1],
    ],
  );
});

void t.test('a source sees the same head on both ways', async (t) => {
  const seen: object[] = [];
  const names = 'x-forwarded-for via accept user-agent x-hook-id authorization cookie x-none'.split(' ');
  const curious: Source = {
    ...hook,
    readerFor: (head, limits) => {
      seen.push([head.target, ...names.map((name) => head.header(name))]);
      return hook.readerFor(head, limits);
    },
  };
  const { connect, server } = await openRaw(t, { sources: [curious] });
  const { headers, body } = signed('a', '1');
  const twice =
    'Via: \t1 \r\nvia:2\r\nX-Forwarded-For: 1\r\nX-Forwarded-For: 2\r\nAccept:\r\nCookie: a=1\r\n';
  for (const extra of ['', 'Prefer: respond-async\r\n', 'Cookie: b=2\r\n']) {
    const client = await connect();
    const bytes = post({ ...headers, Authorization: 'Bearer x', 'Content-Length': 1 }, body, hook.path);
    await client.send(bytes.replace('\r\n\r\n', `\r\n${twice}${extra}\r\n`));
    t.equal((await client.answer()).status, 200);
  }
  t.equal(server.handedOverConnections, 2, 'two cookies are not joined like other headers');
  const [fast, slow] = seen;
  t.same(fast, slow);
  t.match(fast, ['/hooks/x', '1, 2', '1, 2', '', undefined, 'a', 'Bearer x', 'a=1', undefined]);
});

void t.test('a rule wraps a source: a key that is revoked is asked for each request', async (t) => {
  const keys = new Set(['k1']);
  const error = (): ForebayError =>
    new ForebayError('ORIGIN_NOT_ALLOWED', { message: 'The key is not known' });
  const keyed = (source: Source): Source => ({
    ...source,
    readerFor: (head, limits) => {
      const newReader = source.readerFor(head, limits);
      const key = head.header('x-key') ?? '';
      return (length) => {
        if (!keys.has(key)) throw error();
        return newReader(length);
      };
    },
  });
  const door = await openRaw(t, { sources: [keyed(events)] });
  const client = await door.connect();
  const bytes = whole(event('a'), { 'X-Key': 'k1' });
  await client.send(bytes);
  t.equal((await client.answer()).status, 202);
  keys.clear();
  await client.send(bytes);
  t.match(await client.answer(), { status: 403, body: /The key is not known/ });
  t.equal(door.server.handedOverConnections, 0, 'its head was read before');
});
