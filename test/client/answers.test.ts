import t from 'tap';
import type { Test } from 'tap';
import { ERRORS } from '../../lib/base/errors.js';
import { ForebayClient, ForebayClientError } from '../../lib/client/index.js';
import type { ClientEvent, ForebayClientOptions } from '../../lib/client/index.js';
import { verdictOf } from '../../lib/client/verdict.js';
import { until } from '../helpers/wait-for.js';
import { accepts, cutsOff, idsIn, isSilent, resets, says, scripted } from './scripted-server.js';
import type { Act, ScriptedServer } from './scripted-server.js';
import { VirtualClock } from './virtual-clock.js';

interface Sender extends ScriptedServer {
  readonly client: ForebayClient;
  readonly clock: VirtualClock;
  readonly retried: { readonly error: ForebayClientError; readonly waitMs: number }[];
  readonly refused: { readonly event: ClientEvent; readonly error: ForebayClientError }[];
}

/** A client of a server that answers as it is written. */
async function sender(
  t: Test,
  acts: readonly Act[],
  options: Partial<ForebayClientOptions> = {},
): Promise<Sender> {
  const server = await scripted(t, ...acts);
  const clock = new VirtualClock();
  const retried: Sender['retried'] = [];
  const refused: Sender['refused'] = [];
  const client = new ForebayClient(
    {
      url: server.url,
      waitMs: 0,
      onRetry: (error, waitMs) => retried.push({ error, waitMs }),
      onRefused: (event, error) => refused.push({ event, error }),
      ...options,
    },
    clock,
  );
  t.teardown(async () => client.stop({ timeoutMs: 0 }));
  return { ...server, client, clock, retried, refused };
}

function numbered(count: number): { id: string; type: string; data: number }[] {
  return Array.from({ length: count }, (_, index) => ({ id: `e${index + 1}`, type: 't', data: index }));
}

/** Why an event was refused. */
async function refusal(sending: Promise<void>): Promise<ForebayClientError | null> {
  return sending.then(
    () => null,
    (error: unknown) => (error instanceof ForebayClientError ? error : null),
  );
}

const IN_DOUBT = { error: 'The disk did not say', code: 'IN_DOUBT' };

void t.test('what may not have arrived is sent again, byte for byte, with the same ids', async (t) => {
  const acts = [
    resets,
    cutsOff,
    says(503, IN_DOUBT),
    says(500, { error: 'x', code: 'INTERNAL' }),
    says(408, { error: 'x', code: 'REQUEST_TIMEOUT' }),
    says(502, '<html>', { 'content-type': 'text/html' }),
    says(504, '', {}),
  ];
  const { client, clock, asked, retried } = await sender(t, acts);
  const all = [client.send({ type: 't', data: 'ä' }), client.send({ id: 'mine', type: 't', data: 2 })];
  for (const ms of [100, 200, 400, 800, 1600, 3200, 6400]) await clock.pass(ms);
  await Promise.all(all);
  t.equal(asked.length, acts.length + 1);
  t.equal(new Set(asked.map(({ body }) => body)).size, 1, 'the same bytes');
  const [first] = asked;
  t.match(first && idsIn(first), [
    /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/,
    'mine',
  ]);
  t.same(
    retried.map(({ error: { code } }) => code),
    ['UNREACHABLE', 'UNREACHABLE', 'IN_DOUBT', 'INTERNAL', 'REQUEST_TIMEOUT', 'HTTP_502', 'HTTP_504'],
  );
  t.match(client, { sent: 2, accepted: 2, refused: 0, retries: 7, bufferedEvents: 0, bufferedBytes: 0 });
});

void t.test('a server that never answers, or not to the end, is given up after timeoutMs', async (t) => {
  const halfWay: Act = (res) => {
    res.writeHead(202, { 'content-type': 'application/json' }).write('{"status":');
  };
  const { client, clock, asked, retried } = await sender(t, [isSilent, halfWay], { timeoutMs: 7000 });
  const sending = client.send({ id: 'a', type: 't', data: 1 });
  await until(() => asked.length === 1, 'the request is there');
  await clock.pass(7000);
  await clock.pass(100);
  await until(() => asked.length === 2, 'it comes again');
  await clock.pass(7000);
  await clock.pass(200);
  await sending;
  t.same(
    retried.map(({ error: { code } }) => code),
    ['TIMEOUT', 'TIMEOUT'],
  );
  t.same(asked.map(idsIn), [['a'], ['a'], ['a']]);
});

void t.test('Retry-After is obeyed, in seconds or as a date, up to 5 minutes', async (t) => {
  const date = new Date(Date.UTC(2026, 0, 2)).toUTCString();
  const later = new Date(Date.UTC(2026, 0, 2, 0, 0, 9)).toUTCString();
  const full = { error: 'Queue full, please retry later' };
  const { client, clock, retried } = await sender(t, [
    says(429, full, { 'retry-after': '2' }),
    says(503, IN_DOUBT, { 'retry-after': later, date }),
    says(429, full, { 'retry-after': '86400' }),
    says(429, full, { 'retry-after': '0' }),
    says(503, IN_DOUBT, { 'retry-after': 'Fri, 02 Jan 2025 00:00:00 GMT' }),
    says(429, full, { 'retry-after': 'soon' }),
    says(429, full, { 'retry-after': '-5' }),
  ]);
  const sending = client.send({ type: 't', data: 1 });
  for (const ms of [2000, 9000, 300_000, 100, 100, 3200, 6400]) await clock.pass(ms);
  await sending;
  t.equal(retried[0]?.error.code, 'QUEUE_FULL');
  t.equal(client.retries, 7);
});

void t.test('without it waits double up to 30 seconds, are jittered, and start small again', async (t) => {
  const { client, clock, retried } = await sender(t, [...Array<Act>(12).fill(resets), accepts, resets]);
  const sending = client.send({ type: 't', data: 1 });
  for (let tries = 0; tries < 12; tries++) {
    clock.chance = tries % 2 === 0 ? 0 : 0.5;
    await until(() => retried.length > tries, 'it fails');
    await clock.pass(retried[tries]?.waitMs ?? NaN);
  }
  await sending;
  t.same(
    retried.map(({ waitMs }) => waitMs),
    [100, 300, 400, 1200, 1600, 4800, 6400, 19_200, 15_000, 22_500, 15_000, 22_500],
  );
  clock.chance = 0;
  const next = client.send({ type: 't', data: 1 });
  await clock.pass(100);
  await next;
});

void t.test('a key or an address that is wrong is not the fault of the events: they wait', async (t) => {
  const { client, clock, retried, asked } = await sender(
    t,
    [
      says(401, { error: 'The key is not one of this server', code: 'KEY_WRONG' }),
      says(403, { error: 'no', code: 'KEY_NOT_FOR_SOURCE' }),
      says(404, '', { 'content-type': 'text/html' }),
      says(400, { error: 'Use https', code: 'TLS_REQUIRED' }),
    ],
    { key: 'secret', timeoutMs: 7000 },
  );
  const sending = client.send({ type: 't', data: 1 });
  for (let tries = 0; tries < 4; tries++) await clock.pass(30_000);
  await sending;
  t.same(
    retried.map(({ error: { code, status } }) => [code, status]),
    [
      ['KEY_WRONG', 401],
      ['KEY_NOT_FOR_SOURCE', 403],
      ['HTTP_404', 404],
      ['TLS_REQUIRED', 400],
    ],
  );
  t.match(client, { accepted: 1, refused: 0 });
  t.equal(asked[0]?.headers.authorization, 'Bearer secret');
});

void t.test('the key is in no error, even if the server repeats it', async (t) => {
  const echoes: Act = (res, req, body) => {
    says(400, { line: 1, error: `wrong: ${req.headers.authorization}`, code: 'EVENT_FIELD' })(res, req, body);
  };
  const { client } = await sender(t, [echoes], { key: 'se.cret' });
  const error = await refusal(client.send({ type: 't', data: 1 }));
  t.match(error, { message: 'wrong: Bearer [key]', code: 'EVENT_FIELD' });
  for (const key of ['se cret', 'secret\n', ''])
    t.throws(
      () => new ForebayClient({ url: 'http://localhost/', key }),
      { code: 'SETTING_INVALID', message: /^key must be printable ASCII without spaces$/ },
      JSON.stringify(key),
    );
});

void t.test('only a 202 of Forebay is believed', async (t) => {
  const acts = [
    says(200, { status: 'accepted', count: 1 }),
    says(200, '<html>Log in</html>', { 'content-type': 'text/html' }),
    says(202, '', { 'content-type': 'text/plain' }),
    says(202, 'queued'),
    says(202, { status: 'queued' }),
    says(202, 'null'),
    says(202, { status: 'accepted', refused: [{ line: 2, code: 'X' }] }),
    says(202, { status: 'accepted', refused: [null] }),
    says(202, { status: 'accepted', refused: [], refusedMore: 1 }),
    says(400, { status: 'refused', count: 0, refused: [] }),
    says(204, ''),
  ];
  const { client, clock, retried } = await sender(t, acts);
  const sending = client.send({ id: 'a', type: 't', data: 1 });
  for (const index of acts.keys()) {
    await until(() => retried.length > index, `answer ${index} is not believed`);
    await clock.pass(retried[index]?.waitMs ?? NaN);
  }
  await sending;
  t.ok(retried.every(({ error: { code } }) => ['NOT_FOREBAY', 'HTTP_400'].includes(code)));
  t.equal(client.accepted, 1);
});

void t.test('an answer without an end that is not JSON is not waited for', async (t) => {
  const pours: Act = (res) => {
    res.writeHead(200, { 'content-type': 'text/html' }).write('<html>');
  };
  const { client, clock } = await sender(t, [pours]);
  const sending = client.send({ type: 't', data: 1 });
  await clock.pass(100);
  await sending;
});

void t.test('a redirect is not followed: the other server gets neither key nor events', async (t) => {
  const other = await scripted(t);
  const { client, clock, asked, retried } = await sender(
    t,
    [says(307, '', { location: other.url }), says(301, '', { location: other.url })],
    { key: 'secret' },
  );
  const sending = client.send({ type: 't', data: 1 });
  await clock.pass(100);
  await clock.pass(200);
  await sending;
  t.equal(other.asked.length, 0);
  t.equal(asked.length, 3);
  t.match(retried[0]?.error.code, 'UNREACHABLE');
});

void t.test('duplicates are accepted, and counted', async (t) => {
  const { client } = await sender(t, [says(202, { status: 'accepted', count: 3, duplicates: 2 })]);
  await Promise.all(numbered(3).map(async (event) => client.send(event)));
  t.match(client, { accepted: 3, duplicates: 2 });
});

void t.test('413 splits a batch in halves, in order, and refuses one event alone', async (t) => {
  const tooLarge = says(413, { error: 'The body is larger', code: 'BODY_TOO_LARGE' });
  const small: Act = (res, req, body) => {
    (body.split('\n').length > 3 || body.includes('"e2"') ? tooLarge : accepts)(res, req, body);
  };
  const { client, asked, refused, retried } = await sender(t, Array<Act>(20).fill(small));
  const outcomes = await Promise.all(numbered(5).map(async (event) => refusal(client.send(event))));
  t.same(asked.map(idsIn), [
    ['e1', 'e2', 'e3', 'e4', 'e5'],
    ['e1', 'e2', 'e3'],
    ['e1', 'e2'],
    ['e1'],
    ['e2'],
    ['e3'],
    ['e4', 'e5'],
  ]);
  t.same(
    outcomes.map((error) => error?.code ?? null),
    [null, 'BODY_TOO_LARGE', null, null, null],
  );
  t.match(refused, [{ event: { id: 'e2', type: 't', data: 1 }, error: { status: 413 } }]);
  t.same(retried, [], 'nothing waits');
  const { client: other } = await sender(t, [says(413, '<html>', { 'content-type': 'text/html' })]);
  t.match(await refusal(other.send({ type: 't', data: 1 })), { code: 'HTTP_413' }, 'of a proxy');
});

void t.test('if one is wrong, the server is asked about each, at most as many as it lists', async (t) => {
  const names = says(400, { error: 'Line 7: wrong', code: 'EVENT_FIELD', line: 7, field: 'id' });
  const lists = says(202, {
    status: 'accepted',
    count: 99,
    refused: [{ line: 7, error: 'Line 7: wrong', code: 'EVENT_FIELD', field: 'id' }],
  });
  const { client, asked, refused, retried } = await sender(t, [names, lists]);
  const outcomes = await Promise.all(numbered(250).map(async (event) => refusal(client.send(event))));
  t.same(
    asked.map(({ headers, body }) => [headers.prefer, body.split('\n').length - 1]),
    [
      [undefined, 250],
      ['handling=lenient', 100],
      ['handling=lenient', 100],
      ['handling=lenient', 50],
    ],
  );
  t.same(
    outcomes.flatMap((error, index) => (error === null ? [] : [[index, error.code, error.field]])),
    [[6, 'EVENT_FIELD', 'id']],
  );
  t.match(refused, [{ event: { id: 'e7' } }]);
  t.same(retried, []);
  t.match(client, { accepted: 249, refused: 1 });
});

void t.test('a lenient request that is refused for one event is halved until that is alone', async (t) => {
  const isWrong: Act = (res, req, body) => {
    const line = body.split('\n').findIndex((each) => each.includes('"e2"')) + 1;
    (line === 0 ? accepts : says(413, { error: 'large', code: 'EVENT_TOO_LARGE', line }))(res, req, body);
  };
  const { client, asked } = await sender(t, Array<Act>(20).fill(isWrong));
  const outcomes = await Promise.all(numbered(4).map(async (event) => refusal(client.send(event))));
  t.same(
    outcomes.map((error) => error?.code ?? null),
    [null, 'EVENT_TOO_LARGE', null, null],
  );
  t.same(asked.map(idsIn), [
    ['e1', 'e2', 'e3', 'e4'],
    ['e1', 'e2', 'e3', 'e4'],
    ['e1', 'e2'],
    ['e1'],
    ['e2'],
    ['e3', 'e4'],
  ]);
});

const CONFLICT = { error: 'The event has the id of another event', code: 'ID_CONFLICT', field: 'id' };

void t.test('an event with the id of another one is refused alone, and the others are taken', async (t) => {
  const names = says(409, { ...CONFLICT, index: 1 });
  const lists = says(202, { status: 'accepted', count: 2, refused: [{ ...CONFLICT, line: 2 }] });
  const { client, asked, refused, retried } = await sender(t, [names, lists]);
  const outcomes = await Promise.all(numbered(3).map(async (event) => refusal(client.send(event))));
  t.same(
    outcomes.map((error) => error && [error.code, error.field]),
    [null, ['ID_CONFLICT', 'id'], null],
  );
  t.same(
    asked.map(({ headers }) => headers.prefer),
    [undefined, 'handling=lenient'],
  );
  t.same(asked.map(idsIn), [
    ['e1', 'e2', 'e3'],
    ['e1', 'e2', 'e3'],
  ]);
  t.match(refused, [{ event: { id: 'e2' } }]);
  t.same(retried, [], 'nothing waits');
});

void t.test('a conflict of ids refuses an event that is alone, in a lenient request, too', async (t) => {
  const isKnown: Act = (res, req, body) => {
    (body.includes('"e2"') ? says(409, CONFLICT) : accepts)(res, req, body);
  };
  const { client, asked, retried } = await sender(t, Array<Act>(20).fill(isKnown));
  const [, second] = numbered(2);
  t.match(second && (await refusal(client.send(second))), { code: 'ID_CONFLICT', status: 409, field: 'id' });
  t.equal(asked.length, 1);
  const outcomes = await Promise.all(numbered(3).map(async (event) => refusal(client.send(event))));
  t.same(
    outcomes.map((error) => error?.code ?? null),
    [null, 'ID_CONFLICT', null],
  );
  t.same(retried, []);
});

void t.test('a 409 that is not of the id window refuses no event', async (t) => {
  const { client, clock, retried } = await sender(
    t,
    [says(409, '<html>', { 'content-type': 'text/html' }), says(409, { error: 'no', code: 'OTHER' })],
    { timeoutMs: 7000 },
  );
  const sending = client.send({ type: 't', data: 1 });
  for (let tries = 0; tries < 2; tries++) await clock.pass(30_000);
  await sending;
  t.same(
    retried.map(({ error: { code } }) => code),
    ['HTTP_409', 'OTHER'],
  );
});

/** What the server says of one event, with its place; all others are about the request, or about the server. */
const OF_AN_EVENT = ['BODY_NOT_UTF8', 'EVENT_NOT_JSON', 'EVENT_TOO_DEEP', 'EVENT_NOT_OBJECT', 'EVENT_FIELD'];
const OF_SIZE = ['BODY_TOO_LARGE', 'EVENT_TOO_LARGE'];
/** The server never takes the request of such a client, but no setting of the client changes that. */
const OF_THE_SERVER = ['HTTP_VERSION'];

void t.test(
  'each code of the server is about events that are refused, passes, or is a fault of setup',
  (t) => {
    const seen = new Set<string>();
    for (const [code, { status, retry, message }] of Object.entries(ERRORS)) {
      if (status === null) continue;
      const body = { error: message, code, ...(OF_AN_EVENT.includes(code) && { line: 1 }) };
      const verdict = (events: number): ReturnType<typeof verdictOf> =>
        verdictOf(new Response(null, { status }), JSON.stringify(body), events, 0);
      const isOfEvents = [...OF_AN_EVENT, ...OF_SIZE, 'ID_CONFLICT'].includes(code);
      seen.add(isOfEvents ? 'events' : retry ? 'passes' : 'setup');
      if (isOfEvents) {
        t.same(verdict(2), { kind: 'divide', isNamed: !OF_SIZE.includes(code) }, code);
        t.match(verdict(1), { kind: 'settled', refused: new Map([[0, { code, status }]]) }, code);
      } else {
        const isSetup = !retry && !OF_THE_SERVER.includes(code);
        for (const events of [1, 2])
          t.match(verdict(events), { kind: 'repeat', isSetup, error: { code } }, code);
      }
    }
    t.same([...seen].toSorted(), ['events', 'passes', 'setup']);
    t.end();
  },
);
