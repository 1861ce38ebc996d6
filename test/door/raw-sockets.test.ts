import { setImmediate as nextTurn } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import tap from 'tap';
import type { Test } from 'tap';
import { LINGER_MS } from '../../lib/door/answers.js';
import { RawClient } from '../helpers/raw-client.js';
import type { RawAnswer } from '../helpers/raw-client.js';
import {
  ACCEPTED,
  chunk,
  CHUNKED,
  event,
  FULL,
  GET_HEALTH,
  hasTaken,
  ids,
  openRaw as open,
  post,
  whole,
} from '../helpers/raw-door.js';
import type { Door } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';

const MIB = 2 ** 20;

// clients that still send when they are answered are read on ten times as long: this process may stand still
const after = globalThis.setTimeout;
tap.intercept(globalThis, 'setTimeout', {
  value: (run: (...given: unknown[]) => void, ms?: number, ...given: unknown[]) =>
    after(run, ms === LINGER_MS ? 10 * LINGER_MS : ms, ...given),
});

/** The answer is an error as JSON, of this status and code. */
function isError(t: Test, { status, headers, body }: RawAnswer, expected: number, code: string): void {
  t.equal(status, expected);
  t.equal(headers['content-type'], 'application/json');
  t.match(JSON.parse(body), { error: /./, code });
}

void tap.test('a request in pieces', async (group) => {
  const text = event('é', 'aé€😀');
  const bytes = Buffer.from(text);
  const chunks = (size: number): Buffer[] => {
    const parts: Buffer[] = [];
    for (let at = 0; at < bytes.length; at += size) {
      const part = bytes.subarray(at, at + size);
      parts.push(Buffer.from(`${part.length.toString(16)};name="value"\r\n`), part, Buffer.from('\r\n'));
    }
    return parts;
  };
  const end = Buffer.from('0\r\nX-Trailer: 1\r\n\r\n');
  const wire: Record<string, Buffer> = {
    'with a declared length': Buffer.concat([Buffer.from(post({ 'Content-Length': bytes.length })), bytes]),
    'in one chunk': Buffer.concat([Buffer.from(post(CHUNKED)), ...chunks(10_000), end]),
    'in chunks of 7 bytes': Buffer.concat([Buffer.from(post(CHUNKED)), ...chunks(7), end]),
    'in chunks of one byte': Buffer.concat([Buffer.from(post(CHUNKED)), ...chunks(1), end]),
  };
  for (const [how, sent] of Object.entries(wire)) {
    void group.test(`${how}, is taken as it is`, async (t) => {
      const { connect, sink } = await open(t);
      const client = await connect();
      await client.send(sent);
      t.equal((await client.answer()).body, ACCEPTED);
      await sink.received(1);
      t.same(sink.lines, [text]);
    });
    void group.test(`${how}, one byte at a time, too`, async (t) => {
      const { connect, sink } = await open(t);
      const client = await connect();
      for (const byte of sent) {
        await client.send(Buffer.of(byte));
        await nextTurn();
      }
      t.equal((await client.answer()).body, ACCEPTED);
      await sink.received(1);
      t.same(sink.lines, [text]);
    });
  }

  void group.test('takes memory for its bytes, however small the pieces', async (t) => {
    setFlagsFromString('--expose-gc');
    const gc = runInNewContext('gc') as () => void;
    const { connect, forebay } = await open(t, { queueBytes: 2 * MIB });
    const held = (): number => {
      gc();
      const { heapUsed, external } = process.memoryUsage();
      return heapUsed + external;
    };
    const client = await connect();
    const body = 256 * 1024;
    await client.send(post(CHUNKED));
    const pieces = Buffer.from('1\r\nx\r\n'.repeat(1024));
    await client.send(pieces);
    const before = held();
    for (let sent = 1024; sent < body; sent += 1024) await client.send(pieces);
    // the server has read it all when there is no room for the same again, and it says so
    const watcher = await connect();
    const declared = 2 * MIB - body;
    await until(() => client.socket.writableLength === 0, 'all is sent');
    for (let full = false; !full;) {
      await watcher.send(post({ 'Content-Length': declared, Expect: '100-continue', Connection: 'close' }));
      full = (await watcher.answer()).status !== 100;
    }
    t.ok(held() - before < 8 * body, `${held() - before} bytes held for a body of ${body}`);
    t.equal(forebay.counts().accepted, 0);
  });
});

void tap.test('requests behind each other on one connection', async (group) => {
  void group.test('100 of them are each answered, in their order', async (t) => {
    const { connect, sink } = await open(t);
    const client = await connect();
    const all = Array.from({ length: 100 }, (_, n) => n);
    await client.send(all.map((n) => (n % 3 === 1 ? whole(`{"id":${n}}`) : whole(event(`e${n}`)))).join(''));
    const statuses: number[] = [];
    while (statuses.length < 100) statuses.push((await client.answer()).status);
    t.same(
      statuses,
      all.map((n) => (n % 3 === 1 ? 400 : 202)),
    );
    const taken = all.filter((n) => n % 3 !== 1).map((n) => `e${n}`);
    await sink.received(taken.length);
    t.same(ids(sink.lines), taken, 'delivered in the same order');
    t.equal(client.unread, '');
  });

  const broken: Record<string, { bytes: string; status: number; code: string }> = {
    'what is no HTTP': { bytes: 'garbage\r\n\r\n', status: 400, code: 'BAD_REQUEST' },
    'a bad chunk': { bytes: `${post(CHUNKED)}5\r\n{"id"\r\nxyz\r\n`, status: 400, code: 'BAD_REQUEST' },
    'too many headers': {
      bytes: `GET /health HTTP/1.1\r\nHost: localhost\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`,
      status: 431,
      code: 'HEADERS_TOO_LARGE',
    },
  };
  for (const [what, { bytes, status, code }] of Object.entries(broken)) {
    for (const together of [true, false]) {
      const how = together ? 'in the same packet' : 'later';
      void group.test(`${what} behind an event gets its ${status} after the 202 (${how})`, async (t) => {
        const door = await open(t);
        const client = await door.connect();
        door.disk.hold();
        if (together) {
          await client.send(whole(event('a')) + bytes);
          await until(() => door.disk.flushes === 1, 'the event waits for the disk');
        } else {
          await client.send(whole(event('a')));
          await until(() => door.disk.flushes === 1, 'the event waits for the disk');
          await client.send(bytes);
        }
        // another connection's answer: the server has read what was sent before
        const other = await door.connect();
        await other.send(GET_HEALTH);
        t.equal((await other.answer()).status, 200);
        t.equal(client.unread, '', 'no answer before the event is on disk');
        door.disk.release();
        t.equal((await client.answer()).body, ACCEPTED);
        isError(t, await client.answer(), status, code);
        await client.closed;
        t.equal(client.unread, '', 'nothing more');
        await hasTaken(t, door, ['a']);
      });
    }
  }

  void group.test(
    'what stands behind "Connection: close" changes nothing for the event before',
    async (t) => {
      const door = await open(t);
      const client = await door.connect();
      await client.send(`${whole(event('a'), { Connection: 'close' })}garbage\r\n\r\n`);
      t.equal((await client.answer()).status, 202);
      await client.end();
      t.equal(client.unread, '');
      await hasTaken(t, door, ['a']);
    },
  );

  void group.test('two breaks after an event get one answer', async (t) => {
    const door = await open(t, { headersTimeoutMs: 100, requestTimeoutMs: 100 });
    const client = await door.connect();
    door.disk.hold();
    await client.send(`${whole(event('a'))}GET / HT`);
    await until(() => door.disk.flushes === 1, 'the event waits for the disk');
    await client.send('garbage\r\n\r\n');
    const slow = await door.connect();
    t.equal((await slow.answer()).status, 408, 'the time of the first is up too');
    door.disk.release();
    t.equal((await client.answer()).status, 202);
    isError(t, await client.answer(), 400, 'BAD_REQUEST');
    await client.closed;
    t.equal(client.unread, '');
  });
});

void tap.test('Expect: 100-continue', async (group) => {
  void group.test('gets 100 before the body, and 202 after it', async (t) => {
    const door = await open(t);
    const client = await door.connect();
    const body = event('a');
    await client.send(post({ Expect: '100-continue', 'Content-Length': body.length }));
    t.equal((await client.answer()).status, 100);
    await client.send(body);
    t.equal((await client.answer()).status, 202);
    await hasTaken(t, door, ['a']);
  });

  void group.test('with a length that is too large gets 413, and no 100', async (t) => {
    const { connect } = await open(t, { bodyBytesMax: 1000 });
    const client = await connect();
    await client.send(post({ Expect: '100-continue', 'Content-Length': 1001 }));
    const answer = await client.answer();
    isError(t, answer, 413, 'BODY_TOO_LARGE');
    t.equal(answer.headers['connection'], 'close');
    await client.closed;
    t.equal(client.error, null);
  });

  void group.test('with a full queue gets 429, and no 100', async (t) => {
    const { connect, disk } = await open(t, { queueSize: 1 });
    disk.hold();
    const first = await connect();
    await first.send(whole(event('a')));
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    const client = await connect();
    await client.send(post({ Expect: '100-continue', 'Content-Length': 100 }));
    const { status, headers, body } = await client.answer();
    t.same({ status, body }, { status: 429, body: FULL });
    t.match(headers['retry-after'], /^[1-9]\d*$/);
    t.equal(headers['connection'], 'close', 'whether the body still comes is for the client to know');
  });

  void group.test('is the only expectation that is met', async (t) => {
    const { connect } = await open(t);
    const client = await connect();
    await client.send(post({ Expect: 'miracles', 'Content-Length': 2 }, '{}'));
    isError(t, await client.answer(), 417, 'EXPECTATION_FAILED');
  });
});

void tap.test(
  'what is not valid HTTP gets an error as JSON, leaves no trace, and is closed',
  async (group) => {
    const body = event('a');
    const bad: Record<string, { bytes: string | Buffer; status?: number; code?: string }> = {
      'both Content-Length and Transfer-Encoding': {
        bytes: post({ 'Content-Length': body.length, ...CHUNKED }, `${chunk(body)}0\r\n\r\n`),
      },
      'two different lengths': {
        bytes: `POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      },
      'a length that is no number': { bytes: post({ 'Content-Length': '0x10' }, body) },
      'a negative length': { bytes: post({ 'Content-Length': -1 }, body) },
      'a length beyond 64 bits': { bytes: post({ 'Content-Length': '99999999999999999999' }, body) },
      'a chunk whose size is no number': { bytes: post(CHUNKED, `zz\r\n${body}\r\n0\r\n\r\n`) },
      'a chunk that is longer than its size': { bytes: post(CHUNKED, `2\r\n${body}\r\n0\r\n\r\n`) },
      'no method': { bytes: '\u0000\r\n\r\n' },
      'a TLS handshake': { bytes: Buffer.from('16030100c8010000c40303', 'hex') },
      'no Host': { bytes: `POST /events HTTP/1.1\r\nContent-Length: ${body.length}\r\n\r\n${body}` },
      'headers of 20 kB': {
        bytes: post({ 'X-Long': 'x'.repeat(20_000) }),
        status: 431,
        code: 'HEADERS_TOO_LARGE',
      },
    };
    for (const [what, { bytes, status = 400, code = 'BAD_REQUEST' }] of Object.entries(bad)) {
      void group.test(what, async (t) => {
        const door = await open(t);
        const client = await door.connect();
        await client.send(bytes);
        const answer = await client.answer();
        isError(t, answer, status, code);
        t.equal(answer.headers['connection'], 'close');
        await client.closed;
        t.equal(client.unread, '');
        await hasTaken(t, door, []);
      });
    }
  },
);

void tap.test('other ways to ask', async (group) => {
  void group.test('an absolute URI is its path', async (t) => {
    const { connect } = await open(t);
    const client = await connect();
    const body = event('a');
    const head = `Host: localhost\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n`;
    for (const [target, status] of [
      ['http://localhost/events', 202],
      ['http://localhost:8081/events?a=b', 202],
      ['http://localhost/event', 404],
      ['http://localhost', 404],
      ['*', 404],
    ] as const) {
      await client.send(`POST ${target} HTTP/1.1\r\n${head}${body}`);
      t.equal((await client.answer()).status, status, target);
    }
  });

  void group.test('a client of HTTP/1.0 gets its answer, and the end of the connection', async (t) => {
    const door = await open(t);
    const client = await door.connect();
    const body = event('a');
    await client.send(
      `POST /events HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
    );
    t.equal((await client.answer()).status, 202);
    await client.closed;
    await hasTaken(t, door, ['a']);
  });

  void group.test('an offer to change the protocol is passed over', async (t) => {
    const { connect } = await open(t);
    const client = await connect();
    await client.send(
      whole(event('a'), { Connection: 'Upgrade, HTTP2-Settings', Upgrade: 'h2c', 'HTTP2-Settings': '' }),
    );
    t.equal((await client.answer()).status, 202);
  });

  void group.test('a request for something else keeps the connection', async (t) => {
    const { connect } = await open(t);
    const client = await connect();
    for (let n = 0; n < 3; n++) {
      await client.send('GET /nothing HTTP/1.1\r\nHost: localhost\r\n\r\n');
      isError(t, await client.answer(), 404, 'NOT_FOUND');
      await client.send(`DELETE /events HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n12345`);
      isError(t, await client.answer(), 405, 'METHOD_NOT_ALLOWED');
      await client.send(whole('{}', { 'Content-Type': 'text/plain' }));
      isError(t, await client.answer(), 415, 'UNSUPPORTED_MEDIA_TYPE');
    }
  });
});

void tap.test('a client that goes away', async (group) => {
  for (const how of ['half-close', 'abort', 'silence'] as const) {
    void group.test(`in the middle of its body leaves no trace, nor takes room (${how})`, async (t) => {
      const door = await open(t, {
        queueBytes: 10_000,
        ...(how === 'silence' && { requestTimeoutMs: 500, headersTimeoutMs: 500 }),
      });
      const client = await door.connect();
      await client.send(post({ 'Content-Length': 9000 }, event('a', 'x'.repeat(8000)).slice(0, 8000)));
      const other = await door.connect();
      const probe = whole(event('b', 'x'.repeat(5000)));
      // on a slow machine its time may be up before it is seen to take room
      for (let status = 202; status !== 429 && client.unread === ''; status = (await other.answer()).status)
        await other.send(probe);
      if (how === 'abort') {
        client.abort();
      } else if (how === 'half-close') {
        client.halfClose();
        isError(t, await client.answer(), 400, 'BAD_REQUEST');
      } else {
        isError(t, await client.answer(), 408, 'REQUEST_TIMEOUT');
      }
      await client.closed;
      for (let status = 429; status !== 202; status = (await other.answer()).status) await other.send(probe);
      t.equal(ids(door.sink.lines).includes('a'), false);
    });
  }

  void group.test(
    'in the middle of a body, behind an event that waits for the disk, takes no room either',
    async (t) => {
      const door = await open(t, { queueBytes: 10_000 });
      const hasRoom = async (): Promise<boolean> => {
        const probe = await door.connect();
        await probe.send(post({ 'Content-Length': 5000, Expect: '100-continue' }));
        const { status } = await probe.answer();
        probe.abort();
        return status === 100;
      };
      door.disk.hold();
      const client = await door.connect();
      const upload = post({ 'Content-Length': 9000 }, event('b', 'x'.repeat(8000)).slice(0, 8000));
      await client.send(whole(event('a')) + upload);
      await until(async () => !(await hasRoom()), 'the body takes room');
      client.abort();
      await until(hasRoom, 'its room is free again');
      door.disk.release();
      await hasTaken(t, door, ['a']);
    },
  );

  void group.test('after its request, but only with its own side, gets its answer', async (t) => {
    const door = await open(t);
    door.disk.hold();
    const client = await door.connect({ allowHalfOpen: true });
    await client.send(whole(event('a')) + whole(event('b')));
    client.halfClose();
    await until(() => door.disk.flushes === 1, 'the event waits for the disk');
    door.disk.release();
    t.equal((await client.answer()).status, 202);
    t.equal((await client.answer()).status, 202);
    await client.closed;
    await hasTaken(t, door, ['a', 'b']);
  });

  void group.test('before its answer harms nobody: the event is accepted', async (t) => {
    const door = await open(t);
    door.disk.hold();
    const client = await door.connect();
    await client.send(whole(event('a')));
    await until(() => door.disk.flushes === 1, 'the event waits for the disk');
    client.abort();
    await client.closed;
    door.disk.release();
    await hasTaken(t, door, ['a']);
  });
});

void tap.test('bodies that are being read', async (group) => {
  void group.test(
    'count towards --queue-bytes, and a length that does not fit is refused unread',
    async (t) => {
      const door = await open(t, { queueBytes: 10_000 });
      const body = event('a', 'x'.repeat(7000));
      const slow = await door.connect();
      await slow.send(post({ 'Content-Length': body.length }, body.slice(0, 6900)));
      // it is read when an event no longer fits beside it
      const other = await door.connect();
      const probe = post({ 'Content-Length': 5000, Expect: '100-continue' });
      for (let status = 100; status !== 429;) {
        const client = await door.connect();
        await client.send(probe);
        ({ status } = await client.answer());
        client.abort();
      }
      await other.send(post({ 'Content-Length': 5000 }));
      const { status, body: answer } = await other.answer();
      t.same({ status, body: answer }, { status: 429, body: FULL }, 'no byte of the body was sent');
      const small = await door.connect();
      await small.send(whole(event('b')));
      t.equal((await small.answer()).status, 202, 'what fits is taken');
      await slow.send(body.slice(6900));
      t.equal((await slow.answer()).status, 202);
      await hasTaken(t, door, ['b', 'a']);
    },
  );

  void group.test('without a declared length are refused where they no longer fit', async (t) => {
    const door = await open(t, { queueBytes: 100_000 });
    const { disk } = door;
    disk.hold();
    const first = await door.connect();
    await first.send(whole(event('a', 'x'.repeat(60_000))));
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    const client = await door.connect();
    await client.send(post(CHUNKED, chunk(event('b', 'x'.repeat(60_000)).slice(0, 50_000))));
    t.equal((await client.answer()).body, FULL, 'before its end');
    disk.release();
    t.equal((await first.answer()).status, 202);
    await hasTaken(t, door, ['a']);
  });

  for (const [how, headers] of [
    ['declared', { 'Content-Length': 8 * MIB }],
    ['chunked', CHUNKED],
  ] as const) {
    void group.test(`and are too large: the 413 arrives while the client still sends (${how})`, async (t) => {
      const door = await open(t, { bodyBytesMax: 10_000 });
      const client = await door.connect();
      const part = 'x'.repeat(65_536);
      await client.send(post(headers));
      for (let sent = 0; sent < 8 * MIB; sent += part.length) {
        await client.send(how === 'chunked' ? chunk(part) : part);
      }
      const answer = await client.answer();
      isError(t, answer, 413, 'BODY_TOO_LARGE');
      t.equal(answer.headers['connection'], 'close');
      t.equal(client.error, null, 'no reset');
      await client.closed;
      await hasTaken(t, door, []);
    });
  }
});

tap.jobs = 2; // from here on each test has a door of its own, and mostly waits

void tap.test('a slow client', async (group) => {
  group.jobs = 5;
  const timeouts = { headersTimeoutMs: 100, requestTimeoutMs: 200 };
  const slow: Record<string, string> = {
    'that sends nothing': '',
    'that does not end its headers': 'POST /events HTTP/1.1\r\nHost: te',
    'that does not end its body': post({ 'Content-Length': 100 }, '{"id"'),
    'that does not end its chunks': post(CHUNKED, '5\r\n{"id"\r\n'),
    'that waits after 100 Continue': post({ 'Content-Length': 100, Expect: '100-continue' }),
  };
  for (const [what, bytes] of Object.entries(slow)) {
    void group.test(`${what} gets 408, and is closed though it stays open itself`, async (t) => {
      const door = await open(t, { ...timeouts, connectionsMax: 1 });
      const client = await door.connect({ allowHalfOpen: true });
      await client.send(bytes);
      let answer = await client.answer();
      if (answer.status === 100) answer = await client.answer();
      isError(t, answer, 408, 'REQUEST_TIMEOUT');
      t.equal(answer.headers['connection'], 'close');
      await client.end();
      t.equal(client.unread, '');
      await roomComesBack(t, door);
    });
  }

  void group.test('that trickles is no better', async (t) => {
    const { connect } = await open(t, timeouts);
    const client = await connect();
    await client.send(post(CHUNKED));
    const trickle = setInterval(() => client.socket.write(chunk(' ')), 20);
    t.teardown(() => {
      clearInterval(trickle);
    });
    isError(t, await client.answer(), 408, 'REQUEST_TIMEOUT');
    clearInterval(trickle);
  });

  void group.test('that was refused gets no second answer for the body it does not send', async (t) => {
    const door = await open(t, { ...timeouts, connectionsMax: 1 });
    const client = await door.connect({ allowHalfOpen: true });
    await client.send(post({ 'Content-Length': 100, 'Content-Type': 'text/plain' }, 'abc'));
    isError(t, await client.answer(), 415, 'UNSUPPORTED_MEDIA_TYPE');
    await client.end();
    t.equal(client.unread, '');
    await roomComesBack(t, door);
  });

  void group.test('behind an event that waits for the disk gets 408 after the 202', async (t) => {
    const { connect, disk } = await open(t, timeouts);
    disk.hold();
    const client = await connect();
    await client.send(`${whole(event('a'))}POST /ev`);
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    const silent = await connect();
    t.equal((await silent.answer()).status, 408, 'the time is up');
    t.equal(client.unread, '', 'a request that is complete has no limit');
    disk.release();
    t.equal((await client.answer()).status, 202);
    isError(t, await client.answer(), 408, 'REQUEST_TIMEOUT');
    await client.closed;
  });

  void group.test('that is idle between requests is closed after --keep-alive-timeout', async (t) => {
    const { connect } = await open(t, { keepAliveTimeoutMs: 1000 });
    const client = await connect();
    await client.send(whole(event('a')));
    const { status, headers } = await client.answer();
    t.equal(status, 202);
    t.equal(headers['connection'], 'keep-alive');
    t.equal(headers['keep-alive'], 'timeout=1');
    await client.closed;
    t.equal(client.unread, '');
  });
});

/** The one connection there may be is closed on the server's side: the next is served. */
async function roomComesBack(t: Test, { connect }: Door): Promise<void> {
  for (let served = false; !served;) {
    const next = await connect();
    await next.send(whole(event('room')));
    const answer = await next.answer().catch(() => null); // on a busy machine its own time may be up
    served = answer?.status === 202;
    if (!served) await next.closed;
  }
  t.pass('the connection is gone');
}

void tap.test('open connections', async (group) => {
  group.jobs = 5;
  void group.test('are bounded: one more gets 429, probes get theirs, and room comes back', async (t) => {
    const door = await open(t, { connectionsMax: 2 });
    const { connect, server } = door;
    const clients = [await connect(), await connect()];
    for (const client of clients) {
      await client.send(GET_HEALTH);
      t.equal((await client.answer()).status, 200);
    }
    const third = await connect();
    await third.send(whole(event('a')));
    const refused = await third.answer();
    t.match(refused, { status: 429, body: FULL, headers: { connection: 'close', 'retry-after': '1' } });
    await third.closed;
    t.equal(third.unread, '');
    t.equal(server.refusedConnections, 1);
    t.equal(server.droppedConnections, 0);
    const probe = await connect();
    await probe.send(GET_HEALTH);
    t.equal((await probe.answer()).status, 200, 'a probe is answered however many there are');
    await probe.closed;
    const head = await connect();
    await head.send('HEAD /ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await head.closed;
    t.match(head.unread, /^HTTP\/1\.1 503 [^]*\r\n\r\n$/, 'one more would be refused, and HEAD has no body');
    for (const client of clients) {
      await client.send(whole(event('a')));
      t.equal((await client.answer()).status, 202, 'those that were there stay');
    }
    clients[0]?.socket.end();
    await clients[0]?.closed;
    await roomComesBack(t, door);
  });

  void group.test('beyond the bound that send nothing are counted', async (t) => {
    const { connect, server } = await open(t, { connectionsMax: 1, headersTimeoutMs: 1000 });
    const first = await connect();
    await first.send(GET_HEALTH);
    t.equal((await first.answer()).status, 200);
    const silent = await connect();
    await silent.closed;
    t.equal(server.droppedConnections, 1);
    t.equal(server.refusedConnections, 0);
  });

  void group.test('beyond the bound that hang up before they send anything are counted, too', async (t) => {
    const { connect, server } = await open(t, { connectionsMax: 1 });
    const first = await connect();
    await first.send(GET_HEALTH);
    t.equal((await first.answer()).status, 200);
    for (const hangUp of ['end', 'destroy'] as const) {
      const client = await connect();
      client.socket[hangUp]();
      await client.closed;
    }
    await until(() => server.droppedConnections === 2, 'both are counted');
    t.equal(server.refusedConnections, 0);
  });

  void group.test('are not held by a client that sends garbage and never closes', async (t) => {
    const door = await open(t, { connectionsMax: 1 });
    const client = await door.connect({ allowHalfOpen: true });
    await client.send('garbage\r\n\r\n');
    isError(t, await client.answer(), 400, 'BAD_REQUEST');
    await client.end();
    await roomComesBack(t, door);
  });

  void group.test('with garbage that does not end are answered, not reset', async (t) => {
    const { connect } = await open(t);
    const client = await connect({ allowHalfOpen: true });
    client.socket.pause(); // it sends it all before it reads: a reset would take the answer away
    for (let sent = 0; sent < 64; sent++) await client.send(Buffer.alloc(65_536, 'garbage\r\n\r\n'));
    client.socket.resume();
    isError(t, await client.answer(), 400, 'BAD_REQUEST');
    await client.end();
    t.equal(client.error, null);
    t.equal(client.unread, '');
  });

  void group.test('are not held by a client that sends garbage and closes', async (t) => {
    const door = await open(t, { connectionsMax: 1 });
    const client = await door.connect();
    await client.send('garbage\r\n\r\n');
    isError(t, await client.answer(), 400, 'BAD_REQUEST');
    await client.closed;
    await roomComesBack(t, door);
  });
});

void tap.test('stop()', async (group) => {
  void group.test(
    'answers the requests in flight, closes their connections, and takes no new ones',
    async (t) => {
      const { connect, disk, server } = await open(t);
      const { port } = server;
      const idle = await connect();
      await idle.send(GET_HEALTH);
      t.equal((await idle.answer()).status, 200);
      disk.hold();
      const waiting = await connect();
      await waiting.send(whole(event('a')));
      const pipelined = await connect();
      await pipelined.send(whole(event('b')));
      await until(() => disk.flushes === 1, 'the event waits for the disk');
      const body = event('d');
      const uploading = await connect();
      await uploading.send(post({ 'Content-Length': body.length }, body.slice(0, 5)));
      const late = await connect();
      await late.send('POST /events HTTP/1.1\r\nHost: local');
      // an answer to another connection: the server has read all this
      const last = await connect();
      await last.send(GET_HEALTH);
      t.equal((await last.answer()).status, 200);
      let stopped = false;
      const stopping = server.stop(60_000).then(() => {
        stopped = true;
      });
      await idle.closed;
      t.equal(idle.unread, '');
      await t.rejects(RawClient.connect(port), { code: 'ECONNREFUSED' });
      await pipelined.send(whole(event('c')));
      await uploading.send(body.slice(5));
      await late.send(
        `host\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
      );
      t.equal(stopped, false, 'it waits for the requests in flight');
      disk.release();
      for (const client of [waiting, uploading, late]) {
        const { status, headers } = await client.answer();
        t.equal(status, 202);
        t.equal(headers['connection'], 'close');
        await client.closed;
      }
      t.equal((await pipelined.answer()).status, 202);
      const second = await pipelined.answer();
      t.equal(second.status, 202);
      t.equal(second.headers['connection'], 'close');
      await pipelined.closed;
      await stopping;
    },
  );

  void group.test('waits no longer than it was told to', async (t) => {
    const { connect, disk, server } = await open(t);
    disk.hold();
    const waiting = await connect();
    await waiting.send(whole(event('a')));
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    await server.stop(10);
    await waiting.closed;
    t.equal(waiting.unread, '');
  });
});
