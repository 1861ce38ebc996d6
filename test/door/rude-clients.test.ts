import type { ServerResponse } from 'node:http';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import { setImmediate as nextTurn } from 'node:timers/promises';
import tap from 'tap';
import type { Test } from 'tap';
import { peerOf } from '../../lib/door/peer-address.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import type { Route } from '../../lib/door/router.js';
import { turns } from '../../lib/door/turns.js';
import { OperatorRoutes } from '../../lib/observe/operator-routes.js';
import { CHUNKED, event, GET_HEALTH, hasTaken, openRaw, post, whole } from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import type { RawAnswer } from '../helpers/raw-client.js';
import { RawClient } from '../helpers/raw-client.js';
import { stopClock } from '../helpers/stop-clock.js';
import { until } from '../helpers/wait-for.js';

/** A door with all that a server has. */
async function open(t: Test, options: Parameters<typeof openRaw>[1] = {}): Promise<Door> {
  const door = await openRaw(t, options);
  const operator = new OperatorRoutes({ forebay: door.forebay, door: door.server });
  door.server.addRoutes(operator.routes);
  return door;
}

function code({ body }: RawAnswer): unknown {
  return (JSON.parse(body) as { code?: unknown }).code;
}

async function ask(client: RawClient, bytes: string | Buffer): Promise<RawAnswer> {
  await client.send(bytes);
  return client.answer();
}

/** Everything that comes until the connection is closed. */
async function answers(client: RawClient): Promise<RawAnswer[]> {
  const all: RawAnswer[] = [];
  await client.closed;
  for (;;) {
    try {
      all.push(await client.answer());
    } catch {
      return all;
    }
  }
}

void tap.test('a body that breaks is answered once, whatever the path does', async (t) => {
  const door = await open(t);
  const paths = ['/', '/metrics', '/health', '/ready', '/page/page.css', '/events', '/nothing'];
  const breakOne = async (head: string, size: string, isOnePiece: boolean): Promise<void> => {
    const client = await door.connect();
    await client.send(isOnePiece ? `${head}${size}\r\n` : head);
    if (!isOnePiece) await client.send(`${size}\r\n`);
    client.halfClose();
    await client.closed;
    const { length } = client.unread.match(/HTTP\/1\.1 \d{3} /g) ?? [];
    if (length !== 1) t.fail(`${JSON.stringify(head + size)} got ${length} answers`);
  };
  const all: Promise<void>[] = [];
  for (const method of ['GET', 'HEAD', 'POST', 'OPTIONS'])
    for (const path of paths) {
      const head = `${method} ${path} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n`;
      for (const size of ['', '0_2e', 'zz', '-1', '5\r\nabcdefgh'])
        all.push(breakOne(head, size, true), breakOne(head, size, false));
    }
  await Promise.all(all);
  const { status } = await ask(await door.connect(), GET_HEALTH);
  t.equal(status, 200);
  await hasTaken(t, door, []);
});

void tap.test(
  'an exception of a route is a 500, or the end of the connection once something was sent',
  async (t) => {
    const door = await open(t);
    door.server.addRoutes([
      [
        '/throws',
        {
          methods: ['GET'],
          handle: () => {
            throw new Error('broken');
          },
        },
      ],
      ['/rejects', { methods: ['GET'], handle: async () => Promise.reject(new Error('broken')) }],
      [
        '/half',
        {
          methods: ['GET'],
          handle: (_req, res) => {
            res.writeHead(200).write('x');
            throw new Error('broken');
          },
        },
      ],
    ]);
    const client = await door.connect();
    for (const path of ['/throws', '/rejects']) {
      const answer = await ask(client, `GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
      t.equal(answer.status, 500, path);
      t.equal(code(answer), 'INTERNAL');
    }
    await client.send('GET /half HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await client.closed;
    await hasTaken(t, door, []);
  },
);

void tap.test('many wrong events are counted, and the first ones listed', async (t) => {
  const door = await open(t, { queueSize: 1000 });
  const headers = { 'Content-Type': 'application/x-ndjson', Prefer: 'handling=lenient' };
  const some = await ask(await door.connect(), whole(`1\n`.repeat(300) + event('a'), headers));
  t.equal(some.status, 202);
  const { count, refused, refusedMore } = JSON.parse(some.body) as Record<string, unknown>;
  t.equal(count, 1);
  t.equal((refused as unknown[]).length, 100);
  t.match(refused, [{ line: 1, code: 'EVENT_NOT_OBJECT', error: /^Line 1: / }]);
  t.equal(refusedMore, 200);
  t.equal(door.server.counts.refusedFor('EVENT_NOT_OBJECT'), 300);
  for (const [type, body] of [
    ['application/x-ndjson', '1\n'.repeat(1001)],
    ['application/json', `[${Array<number>(1001).fill(1).join()}]`],
    ['application/json', `[${Array<string>(1001).fill('{"id":"a","type":"t","data":1}').join()}]`],
  ] as const) {
    const many = await ask(await door.connect(), whole(body, { ...headers, 'Content-Type': type }));
    t.equal(many.status, 413);
    t.equal(code(many), 'BODY_TOO_LARGE');
  }
  await hasTaken(t, door, ['a']);
});

void tap.test('an event may be nested so deep, and no deeper', async (t) => {
  const door = await open(t);
  const nested = (depth: number, id: string): string =>
    event(id, 'DATA').replace('"DATA"', '['.repeat(depth) + ']'.repeat(depth));
  for (const [depth, status] of [
    [20, 202],
    [127, 202],
    [128, 400],
    [100_000, 400],
  ] as const) {
    const one = await ask(await door.connect(), whole(nested(depth, `one${depth}`)));
    const many = await ask(await door.connect(), whole(`[${nested(depth, `many${depth}`)}]`));
    const lines = await ask(
      await door.connect(),
      whole(nested(depth, `lines${depth}`), { 'Content-Type': 'application/x-ndjson' }),
    );
    for (const answer of [one, many, lines]) {
      t.equal(answer.status, status);
      if (status === 400) t.equal(code(answer), 'EVENT_TOO_DEEP');
    }
  }
  const open127 = await ask(await door.connect(), whole('['.repeat(2 ** 19)));
  t.equal(open127.status, 400);
  await hasTaken(
    t,
    door,
    [20, 127].flatMap((depth) => [`one${depth}`, `many${depth}`, `lines${depth}`]),
  );
});

void tap.test('what stands behind a coded body is an error, in one piece and in two', async (t) => {
  const door = await open(t);
  const coders = { gzip: gzipSync, deflate: deflateSync, br: brotliCompressSync };
  for (const [coding, compress] of Object.entries(coders)) {
    const body = compress(event('a'));
    for (const pause of [false, true]) {
      const client = await door.connect();
      await client.send(post({ 'Content-Encoding': coding, 'Content-Length': body.length + 3 }));
      await client.send(pause ? body : Buffer.concat([body, Buffer.from('xyz')]));
      if (pause) {
        await new Promise((resolve) => setTimeout(resolve, 20));
        await client.send('xyz');
      }
      const answer = await client.answer();
      t.equal(answer.status, 400, `${coding} ${pause}`);
      t.equal(code(answer), 'BODY_NOT_DECODED');
    }
  }
  const small = gzipSync('x'.repeat(500_000));
  const bomb = await ask(
    await door.connect(),
    Buffer.concat([Buffer.from(post({ 'Content-Encoding': 'gzip', 'Content-Length': small.length })), small]),
  );
  t.equal(code(bomb), 'BODY_TOO_LARGE');
  await hasTaken(t, door, []);
});

void tap.test('a byte order mark in front of a body is no part of it', async (t) => {
  const door = await open(t);
  const ndjson = { 'Content-Type': 'application/x-ndjson' };
  t.equal((await ask(await door.connect(), whole(`\ufeff${event('a')}`))).status, 202);
  t.equal((await ask(await door.connect(), whole(`\ufeff[${event('b')}]`))).status, 202);
  t.equal(
    (await ask(await door.connect(), whole(`\ufeff${event('c')}\n${event('d')}\n`, ndjson))).status,
    202,
  );
  t.equal(
    (await ask(await door.connect(), whole(`${event('e')}\n\ufeff${event('f')}\n`, ndjson))).status,
    400,
  );
  await hasTaken(t, door, ['a', 'b', 'c', 'd']);
});

void tap.test('nothing behind an answer that closes its connection is taken', async (t) => {
  const door = await open(t);
  const closing: Record<string, string> = {
    'another expectation': post({ Expect: 'miracles', 'Content-Length': 0 }),
    'a chunked body for nothing': `POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n`,
    'a chunked body for another method': `PUT /events HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    'no host': 'GET /health HTTP/1.1\r\n\r\n',
    'two hosts': 'GET /health HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n\r\n',
    'a chunked body of another type': post({ 'Content-Type': 'text/plain', ...CHUNKED }, '0\r\n\r\n'),
    'a wish to close': 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    'HTTP/1.0': 'GET /health HTTP/1.0\r\nHost: localhost\r\n\r\n',
    'an upgrade': 'GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n',
  };
  for (const [what, bytes] of Object.entries(closing)) {
    const client = await door.connect();
    await client.send(bytes + whole(event(what)));
    const all = await answers(client);
    t.ok(all.length <= 1 || all[1]?.status !== 202, `${what}: ${all.map(({ status }) => status).join()}`);
    t.equal(all[0]?.headers['connection'], 'close', what);
  }
  await hasTaken(t, door, []);
});

void tap.test('what is broken gets its 400 behind the answers in front of it', async (group) => {
  const broken = 'POST /events HTTP/1.1\r\nX-A\r\n\r\n';
  const early: Record<string, string> = {
    'another path': whole(event('a')).replace('/events', '/nothing'),
    'another type': whole(event('a'), { 'Content-Type': 'text/plain' }),
    'another method': whole(event('a')).replace('POST', 'PUT'),
    'another origin': whole(event('a'), { Origin: 'http://evil.example' }),
  };
  for (const [what, bytes] of Object.entries(early)) {
    void group.test(`behind one that came before the end of its request: ${what}`, async (t) => {
      const door = await open(t);
      const client = await door.connect();
      t.equal((await ask(client, GET_HEALTH)).status, 200);
      await client.send(bytes + broken);
      client.halfClose();
      const [first, second, ...more] = await answers(client);
      t.match(first?.status, /40[345]|415/);
      t.equal(second?.status, 400);
      t.equal(second && code(second), 'BAD_REQUEST');
      t.same(more, []);
    });
  }

  void group.test(
    'behind one that the fast path still has, to a client that has closed its side',
    async (t) => {
      const door = await open(t);
      const client = await door.connect({ allowHalfOpen: true });
      door.disk.hold();
      await client.send(whole(event('a')));
      await until(() => door.disk.flushes === 1, 'a flush');
      await client.send(whole('{') + broken);
      client.halfClose();
      t.equal((await ask(await door.connect(), GET_HEALTH)).status, 200);
      door.disk.release();
      const all = await answers(client);
      t.same(
        all.map(({ status }) => status),
        [202, 400, 400],
      );
      await hasTaken(t, door, ['a']);
    },
  );

  void group.test('behind some that wait for the disk, to a client that has closed its side', async (t) => {
    const door = await open(t);
    const client = await door.connect({ allowHalfOpen: true });
    door.disk.hold();
    await client.send(whole(event('a')) + whole(event('b')) + broken);
    client.halfClose();
    await until(() => door.disk.flushes === 1, 'a flush');
    t.equal((await ask(await door.connect(), GET_HEALTH)).status, 200);
    door.disk.release();
    const all = await answers(client);
    t.same(
      all.map(({ status }) => status),
      [202, 202, 400],
    );
    await hasTaken(t, door, ['a', 'b']);
  });
});

void tap.test('requests sent at once are answered in order, so many at a time', async (t) => {
  const door = await open(t);
  const client = await door.connect();
  let atWork = 0;
  let most = 0;
  const route: Route = {
    methods: ['GET'],
    handle: async (_req, res) => {
      most = Math.max(most, ++atWork);
      await nextTurn();
      atWork--;
      res.end();
    },
  };
  door.server.addRoutes([['/slow', route]]);
  const count = 3000;
  await client.send('GET /slow HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(count) + whole(event('a')));
  for (let n = 0; n < count; n++) {
    const { status } = await client.answer();
    if (status !== 200) t.fail(`answer ${n} is ${status}`);
  }
  t.equal((await client.answer()).status, 202);
  t.equal(most, 4);
  await hasTaken(t, door, ['a']);
});

void tap.test('a 100 Continue comes behind the answers in front of it', async (t) => {
  const door = await open(t);
  door.disk.hold();
  const client = await door.connect();
  const body = event('b');
  await client.send(
    GET_HEALTH + whole(event('a')) + post({ Expect: '100-continue', 'Content-Length': body.length }),
  );
  t.equal((await client.answer()).status, 200);
  await until(() => door.disk.flushes === 1, 'the first event waits for the disk');
  t.equal(client.unread, '', 'no 100 in front of the 202');
  door.disk.release();
  t.equal((await client.answer()).status, 202);
  t.equal((await client.answer()).status, 100);
  await client.send(body);
  t.equal((await client.answer()).status, 202);
  await hasTaken(t, door, ['a', 'b']);
});

void tap.test('bodies that never end make room for others', async (t) => {
  const door = await open(t, { bodyBytesMax: 2 ** 20, queueBytes: 2 ** 22 });
  const passMs = stopClock(t);
  const slow: RawClient[] = [];
  for (let n = 0; n < 30; n++) {
    const client = await door.connect();
    await client.send(post({ 'Content-Length': 100_000 }, 'x'.repeat(90_000)));
    slow.push(client);
  }
  const newest = await slow.at(-1)?.answer();
  t.equal(newest?.status, 429, 'all have just begun: the newest has to go');
  t.ok(door.server.refusal() === null, 'events are still taken');
  t.equal((await ask(await door.connect(), whole(event('a')))).status, 202);
  passMs(1100);
  const large = await ask(await door.connect(), whole(event('b', 'x'.repeat(500_000))));
  t.equal(large.status, 202);
  t.equal((await slow[0]?.answer())?.status, 429, 'the slowest has to go');
  await hasTaken(t, door, ['a', 'b']);
});

tap.jobs = 5; // from here on each test has a door of its own, and mostly waits

void tap.test('a body that comes too slowly is refused', async (t) => {
  const door = await open(t, { bodyRateMin: 100_000 });
  const client = await door.connect();
  await client.send(post({ 'Content-Length': 1000 }, 'x'));
  const answer = await client.answer();
  t.equal(answer.status, 408);
  t.match(answer.body, /--body-rate-min/);
  await client.closed;
  await hasTaken(t, door, []);
});

void tap.test('a head that is not HTTP/1.1 as it should be is refused', async (t) => {
  const door = await open(t);
  const body = event('x');
  const rest = `Content-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
  const heads: Record<string, readonly [string, number]> = {
    'two hosts': ['HTTP/1.1\r\nHost: localhost\r\nHost: localhost\r\n', 400],
    'an empty host': ['HTTP/1.1\r\nHost:\r\n', 400],
    'a host with a path': ['HTTP/1.1\r\nHost: localhost/x\r\n', 400],
    'a host with a space': ['HTTP/1.1\r\nHost: local host\r\n', 400],
    'a user': ['HTTP/1.1\r\nHost: me@localhost\r\n', 400],
    'HTTP/2.0': ['HTTP/2.0\r\nHost: localhost\r\n', 505],
    'another host': ['HTTP/1.1\r\nHost: evil.example\r\n', 421],
    'another host that ends like loopback': ['HTTP/1.1\r\nHost: notlocalhost\r\n', 421],
    'another address': ['HTTP/1.1\r\nHost: 10.0.0.1:80\r\n', 421],
    'more lines than a head may have': [`HTTP/1.1\r\nHost: localhost\r\n${'a:\r\n'.repeat(3000)}`, 431],
    'a tab in front of a value': ['HTTP/1.1\r\nHost: localhost\r\nX:\t1\r\n', 202],
  };
  for (const [what, [head, status]] of Object.entries(heads)) {
    for (const isFast of [true, false]) {
      const client = await door.connect();
      if (!isFast) t.equal((await ask(client, GET_HEALTH)).status, 200);
      const answer = await ask(client, `POST /events ${head}${rest}`);
      t.equal(answer.status, status, `${what}: ${answer.body}`);
    }
  }
  for (const host of ['localhost', 'LOCALHOST.:8081', '127.9.9.9:1', '[::1]:8081', 'app.localhost']) {
    const answer = await ask(await door.connect(), `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    t.equal(answer.status, 200, host);
  }
  await hasTaken(t, door, ['x', 'x']);
});

void tap.test('the host in the target counts, not the header', async (t) => {
  const door = await open(t);
  for (const [target, host, status] of [
    ['http://localhost/health', 'localhost', 200],
    ['http://localhost/health', 'evil.example', 200],
    ['http://evil.example/health', 'localhost', 421],
    ['HTTPS://evil.example?x', 'localhost', 421],
    ['http:///health', 'localhost', 400],
    ['http://me@localhost/health', 'localhost', 400],
  ] as const) {
    const answer = await ask(await door.connect(), `GET ${target} HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    t.equal(answer.status, status, `${target} for ${host}`);
  }
});

void tap.test('hosts that are named are served', async (t) => {
  const door = await open(t, { allowedHosts: ['events.example', '[fd00::1]'] });
  for (const [host, status] of [
    ['events.example', 200],
    ['Events.Example:443', 200],
    ['[FD00::1]:8081', 200],
    ['localhost', 200],
    ['example', 421],
  ] as const) {
    const answer = await ask(await door.connect(), `GET /health HTTP/1.1\r\nHost: ${host}\r\n\r\n`);
    t.equal(answer.status, status, host);
  }
  const any = await open(t, { allowedHosts: ['*'] });
  t.equal((await ask(await any.connect(), 'GET /health HTTP/1.1\r\nHost: a.b\r\n\r\n')).status, 200);
});

void tap.test('a web page sends events only if its origin is named', async (t) => {
  const door = await open(t, { corsOrigins: ['https://app.example'] });
  const cases: readonly (readonly [Record<string, string>, number])[] = [
    [{ 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ Origin: 'https://evil.example', 'Sec-Fetch-Site': 'cross-site' }, 403],
    [{ Origin: 'https://evil.example' }, 403],
    [{ Origin: 'null' }, 403],
    [{ Origin: 'https://app.example', 'Sec-Fetch-Site': 'cross-site' }, 202],
    [{ Origin: 'http://localhost' }, 202],
    [{ 'Sec-Fetch-Site': 'same-origin' }, 202],
    [{ 'Sec-Fetch-Site': 'none' }, 202],
  ];
  for (const [headers, status] of cases) {
    const answer = await ask(await door.connect(), whole(event('a'), headers));
    t.equal(answer.status, status, JSON.stringify(headers));
    const allowed = headers['Origin'] === 'https://app.example' ? headers['Origin'] : undefined;
    t.equal(answer.headers['access-control-allow-origin'], allowed);
  }
  const preflight = (origin: string): string =>
    `OPTIONS /events HTTP/1.1\r\nHost: localhost\r\nOrigin: ${origin}\r\nAccess-Control-Request-Method: POST\r\n\r\n`;
  const yes = await ask(await door.connect(), preflight('https://app.example'));
  t.equal(yes.status, 204);
  t.equal(yes.headers['access-control-allow-origin'], 'https://app.example');
  const no = await ask(await door.connect(), preflight('https://evil.example'));
  t.equal(no.headers['access-control-allow-origin'], undefined);
  // as sendBeacon and fetch with a Blob send it: no preflight asks first
  const untyped = whole(event('a')).replace('Content-Type: application/json\r\n', '');
  const answer = await ask(await door.connect(), untyped);
  t.equal(answer.status, 415);
  t.match(answer.body, /is missing/);
  await hasTaken(t, door, ['a', 'a', 'a', 'a']);
});

void tap.test('one client cannot take all connections, and idle ones make room', async (t) => {
  const door = await open(t, { connectionsMax: 4, connectionsPerPeer: 3 });
  const held: RawClient[] = [];
  for (let n = 0; n < 3; n++) held.push(await door.connect());
  for (const client of held) t.equal((await ask(client, GET_HEALTH)).status, 200);
  t.equal((await ask(await door.connect(), whole(event('x')))).status, 429);
  t.equal(
    (await ask(await door.connect(), GET_HEALTH)).status,
    200,
    'who asks whether it lives is never refused',
  );
  const late = async (): Promise<number> => (await ask(await door.connect(), whole(event('a')))).status;
  await until(async () => (await late()) === 202, 'the longest idle one is closed');
  await until(() => held.some(({ ended }) => ended), 'one of them is gone');
});

void tap.test('a client is an address, or a network of IPv6', (t) => {
  t.equal(peerOf('10.1.2.3'), '10.1.2.3');
  t.equal(peerOf('::ffff:10.1.2.3'), '10.1.2.3');
  t.equal(peerOf('2001:db8:1:2:3:4:5:6'), '2001:db8:1:2');
  t.equal(peerOf('2001:db8:1:2::9'), '2001:db8:1:2');
  t.equal(peerOf('2001:db8::9'), '2001:db8:0:0');
  t.equal(peerOf('fe80::1%eth0'), peerOf('fe80::2%eth0'));
  t.end();
});

void tap.test('a client that does not take its answers is closed', async (t) => {
  const door = await open(t, { headersTimeoutMs: 3000, requestTimeoutMs: 3000 });
  const client = await door.connect();
  client.socket.pause();
  const requests = 'GET /page/uplot.js HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(3000);
  await Promise.race([client.send(requests), client.closed]);
  await until(() => door.server.connections === 0, 'its connection is closed');
  t.equal((await ask(await door.connect(), GET_HEALTH)).status, 200);
});

void tap.test('a client that has closed its side is read to its end, however crowded it is', async (t) => {
  const door = await open(t);
  const work = (): void => {
    for (const endMs = performance.now() + 2; performance.now() < endMs;);
  };
  const client = await door.connect({ allowHalfOpen: true });
  const request = post({ 'Content-Length': event('late').length, 'X-Through': 'node:http' }, event('late'));
  await client.send(request.slice(0, -5));
  await new Promise((resolve) => setTimeout(resolve, 100)); // nothing shows that it is read
  for (let count = 0; count < 100; count++) turns.wait(() => work()); // others, in front of it
  client.socket.end(request.slice(-5));
  const answer = await client.answer();
  t.equal(answer.status, 202);
  await hasTaken(t, door, ['late']);
});

void tap.test('what was told 408 is not taken, whatever follows', async (t) => {
  const door = await open(t, { headersTimeoutMs: 5000, requestTimeoutMs: 6000 });
  const late = whole(event('late'));
  const isLate = async (before: string, cut: number): Promise<void> => {
    const client = await door.connect({ allowHalfOpen: true });
    await client.send(before + late.slice(0, cut));
    if (before !== '') t.equal((await client.answer()).status, 200);
    t.equal((await client.answer()).status, 408, `${cut}`);
    await client.send(late.slice(cut));
    client.halfClose();
    await client.closed;
  };
  const cuts = [10, late.indexOf('\r\n\r\n') + 6];
  await Promise.all(['', GET_HEALTH].flatMap((before) => cuts.map(async (cut) => isLate(before, cut))));
  await hasTaken(t, door, []);
});

void tap.test('nor is it when the 408 waits behind another answer', async (t) => {
  const door = await open(t, { headersTimeoutMs: 3000, requestTimeoutMs: 3000 });
  const held: ServerResponse[] = [];
  let isLate = false;
  const handle: Route['handle'] = ({ socket }, res) => {
    held.push(res);
    const pause = socket.pause.bind(socket);
    socket.pause = () => {
      isLate = true; // the first thing that is done about a request that takes too long
      return pause();
    };
  };
  door.server.addRoutes([['/held', { methods: ['GET'], handle }]]);
  const client = await door.connect();
  const late = whole(event('late'));
  const cut = late.indexOf('\r\n\r\n') + 6;
  const get = 'GET /held HTTP/1.1\r\nHost: localhost\r\n\r\n';
  await client.send(`${get}${get}${late.slice(0, cut)}`);
  await until(() => isLate, 'the last request is late');
  held[0]?.end('first'); // it reads on now
  t.equal((await client.answer()).status, 200);
  await client.send(late.slice(cut));
  await new Promise((resolve) => setTimeout(resolve, 200)); // nothing shows that it is read
  held[1]?.end('second');
  t.equal((await client.answer()).status, 200);
  t.equal((await client.answer()).status, 408);
  await client.closed;
  await hasTaken(t, door, []);
});

void tap.test('a stop ends also with a client that has asked for a CONNECT and reads nothing', async (t) => {
  const { forebay } = await openRaw(t);
  const server = new IngestionServer({ forebay, port: 0 });
  let isAsked = false;
  const handle: Route['handle'] = (_req, res) => {
    isAsked = true;
    res.end(Buffer.alloc(16 * 2 ** 20));
  };
  server.addRoutes([['/large', { methods: ['GET'], handle }]]);
  await server.start();
  const client = await RawClient.connect(server.port);
  client.socket.pause();
  await client.send('GET /large HTTP/1.1\r\nHost: localhost\r\n\r\nCONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n');
  await until(() => isAsked, 'it has asked');
  await server.stop(200);
  await until(() => server.connections === 0, 'its connection is closed');
  client.socket.destroy();
});

void tap.test('what follows a CONNECT is read by nobody', async (t) => {
  const door = await open(t);
  const connect = 'CONNECT localhost:1 HTTP/1.1\r\nHost: localhost:1\r\n\r\n';
  for (const before of ['', GET_HEALTH, whole(event('before'))])
    for (const pause of [false, true]) {
      const client = await door.connect({ allowHalfOpen: true });
      await client.send(before + connect + (pause ? '' : whole(event('behind'))));
      if (before !== '') await client.answer();
      if (pause) t.equal((await client.answer()).status, 405);
      await client.send(whole(event('behind')).repeat(100));
      client.halfClose();
      await client.closed;
    }
  await hasTaken(t, door, ['before', 'before']);
});

void tap.test('whoever holds all connections keeps no probe out', async (t) => {
  const { forebay } = await openRaw(t);
  const server = new IngestionServer({ forebay, port: 0, connectionsMax: 2, refusedMax: 3 });
  await server.start();
  t.teardown(() => server.stop(0));
  const silent: RawClient[] = [];
  t.teardown(() => {
    for (const { socket } of silent) socket.destroy();
  });
  for (let n = 0; n < 100; n++) {
    silent.push(await RawClient.connect(server.port));
    if (n % 10 !== 9) continue;
    const probe = await RawClient.connect(server.port);
    t.equal((await ask(probe, GET_HEALTH)).status, 200, `beside ${n + 1} connections`);
    await probe.closed;
  }
  await until(() => silent.filter(({ ended }) => !ended).length <= 5, 'the others are closed');
});
