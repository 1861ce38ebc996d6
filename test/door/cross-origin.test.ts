import tap from 'tap';
import type { Test } from 'tap';
import { Authority, noOpenssl, PairFiles } from '../helpers/certificates.js';
import type { RawAnswer } from '../helpers/raw-client.js';
import { chunk, CHUNKED, event, hasTaken, openRaw, post, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';

const APP = 'https://app.example';
const ALLOWED = { corsOrigins: [APP] };
const PAGE = { Origin: APP };

async function ask({ connect }: Door, bytes: string): Promise<RawAnswer> {
  const client = await connect();
  await client.send(bytes);
  return client.answer();
}

function preflight(headers: Readonly<Record<string, string>>, path = '/events'): string {
  const all = { Host: 'localhost', 'Access-Control-Request-Method': 'POST', ...headers };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `OPTIONS ${path} HTTP/1.1\r\n${lines.join('')}\r\n`;
}

/** The page can read the answer, and when to come again. */
function isForPage(t: Test, { status, headers }: RawAnswer, expected: number): void {
  t.equal(status, expected);
  t.match(headers, {
    'access-control-allow-origin': APP,
    'access-control-allow-credentials': 'true',
    'access-control-expose-headers': 'Retry-After, X-Request-Id',
    vary: 'Origin',
  });
}

void tap.test('a preflight of an allowed page says what may be sent, and is counted', async (t) => {
  const door = await openRaw(t, ALLOWED);
  const asked = 'authorization, ce-id,CE-Type , x-evil, ce-, ce-a_b, ce-traceparent';
  const { status, headers, body } = await ask(
    door,
    preflight({ ...PAGE, 'Access-Control-Request-Headers': asked }),
  );
  t.equal(status, 204);
  t.equal(body, '');
  t.match(headers, {
    'access-control-allow-origin': APP,
    'access-control-allow-credentials': 'true',
    'access-control-allow-methods': 'POST',
    'access-control-allow-headers':
      'Content-Type, Content-Encoding, Prefer, X-Request-Id, Authorization, Idempotency-Key, ce-id, ce-type, ce-traceparent',
    'access-control-max-age': '600',
    vary: 'Origin, Access-Control-Request-Headers, Access-Control-Request-Private-Network',
  });
  t.equal(headers['access-control-allow-private-network'], undefined);
  const network = { ...PAGE, 'Access-Control-Request-Private-Network': 'true' };
  t.equal((await ask(door, preflight(network))).headers['access-control-allow-private-network'], 'true');
  t.equal(door.server.counts.answered.get('/events')?.get(204), 2);
});

void tap.test('one of another page allows nothing, nor is there one without --cors-origin', async (t) => {
  const door = await openRaw(t, ALLOWED);
  for (const origin of ['https://evil.example', 'null', 'http://app.example', 'https://app.example:8443']) {
    const { status, headers } = await ask(
      door,
      preflight({ Origin: origin, 'Access-Control-Request-Private-Network': 'true' }),
    );
    t.equal(status, 204);
    t.same(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
      origin,
    );
    t.match(headers['vary'], /^Origin,/);
  }
  const closed = await openRaw(t);
  const { status, headers } = await ask(closed, preflight(PAGE));
  t.equal(status, 405);
  t.equal(headers['vary'], undefined);
});

void tap.test('with * all pages may send, but not with what the browser knows of its user', async (t) => {
  const door = await openRaw(t, { corsOrigins: ['*'] });
  for (const origin of ['https://any.example', 'null']) {
    for (const bytes of [preflight({ Origin: origin }), whole(event('a'), { Origin: origin })]) {
      const { headers } = await ask(door, bytes);
      t.equal(headers['access-control-allow-origin'], origin);
      t.equal(headers['access-control-allow-credentials'], undefined);
    }
  }
  await hasTaken(t, door, ['a', 'a']);
});

void tap.test('an allowed page can read each answer, refusals too', async (t) => {
  const door = await openRaw(t, {
    ...ALLOWED,
    bodyBytesMax: 2000,
    requestTimeoutMs: 1000,
    headersTimeoutMs: 1000,
  });
  isForPage(t, await ask(door, whole(event('a'), PAGE)), 202);
  isForPage(t, await ask(door, post({ ...CHUNKED, ...PAGE }, `${chunk(event('b'))}0\r\n\r\n`)), 202);
  isForPage(t, await ask(door, whole('{', PAGE)), 400);
  isForPage(t, await ask(door, whole('x', { ...PAGE, 'Content-Type': 'text/html' })), 415);
  isForPage(t, await ask(door, whole('x'.repeat(3000), PAGE)), 413);
  isForPage(t, await ask(door, post({ 'Content-Length': 10, ...PAGE }, '{')), 408);
  isForPage(t, await ask(door, post({ 'Content-Length': 10, ...PAGE, Expect: 'more' }, '{')), 417);
  isForPage(t, await ask(door, whole('x', { ...PAGE, Host: 'other.example' })), 421);
  isForPage(t, await ask(door, `GET /events HTTP/1.1\r\nHost: localhost\r\nOrigin: ${APP}\r\n\r\n`), 405);
  const many = whole('x', PAGE).replace('\r\n', `\r\n${'a:\r\n'.repeat(2500)}`);
  isForPage(t, await ask(door, many), 431);
  door.disk.fail('write', 'EIO');
  isForPage(t, await ask(door, whole(event('x'), PAGE)), 503);
  door.disk.fail('write', null);
  await until(() => door.server.refusal() === null, 'the disk takes events again');
  await hasTaken(t, door, ['a', 'b']);

  const full = await openRaw(t, { ...ALLOWED, queueSize: 1 });
  full.disk.hold();
  const first = await full.connect();
  await first.send(whole(event('a')));
  await until(() => full.disk.flushes === 1, 'the event waits for the disk');
  const answer = await ask(full, whole(event('b'), PAGE));
  isForPage(t, answer, 429);
  t.match(answer.headers['retry-after'], /^[1-9]/);
  full.disk.release();
  t.equal((await first.answer()).status, 202);
});

void tap.test('text is JSON if an allowed page sends it, and nobody else', async (t) => {
  const door = await openRaw(t, ALLOWED);
  const text = { 'Content-Type': 'text/plain;charset=UTF-8' };
  t.equal((await ask(door, whole(event('a'), { ...text, ...PAGE }))).status, 202);
  t.equal((await ask(door, whole(`[${event('b')}]`, { 'Content-Type': 'Text/Plain', ...PAGE }))).status, 202);
  t.equal(
    (await ask(door, whole(`${event('x')}\n${event('x')}`, { ...text, ...PAGE }))).status,
    400,
    'no NDJSON',
  );
  t.equal((await ask(door, whole('hello', { ...text, ...PAGE }))).status, 400);
  const other = { 'Content-Type': 'text/plain;charset=iso-8859-1' };
  t.equal((await ask(door, whole(event('x'), { ...other, ...PAGE }))).status, 415);
  t.equal((await ask(door, whole(event('x'), text))).status, 415, 'no page');
  t.equal(
    (await ask(door, whole(event('x'), { ...text, Origin: 'http://localhost' }))).status,
    415,
    'its own page',
  );
  t.equal((await ask(door, whole(event('x'), { ...text, Origin: 'https://evil.example' }))).status, 403);
  await hasTaken(t, door, ['a', 'b']);
});

void tap.test("a page of the door's own host may send", async (t) => {
  const plain = await openRaw(t);
  const cases: [string, string, number, number][] = [
    // host, origin, status without TLS and with it
    ['localhost', 'https://localhost', 202, 202],
    ['localhost:8443', 'https://localhost:8443', 202, 202],
    ['localhost:443', 'https://localhost', 202, 202],
    ['LOCALHOST:8443', 'https://localhost:8443', 202, 202],
    ['localhost', 'http://localhost', 202, 403],
    ['localhost:80', 'http://localhost', 202, 403],
    ['localhost:8443', 'https://localhost', 403, 403],
    ['localhost', 'https://localhost:8443', 403, 403],
    ['localhost', 'null', 403, 403],
    ['localhost', 'file://', 403, 403],
  ];
  const doors = [plain];
  if (noOpenssl === false) doors.push(await openRaw(t, new PairFiles(t, new Authority(t).issue()).settings));
  else t.comment(noOpenssl);
  for (const [index, door] of doors.entries()) {
    for (const [host, origin, ...statuses] of cases) {
      const { status } = await ask(door, whole(event('a'), { Host: host, Origin: origin }));
      t.equal(status, statuses[index], `${host}, ${origin}, ${index === 0 ? 'plain' : 'TLS'}`);
    }
  }
});
