import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import type { Socket } from 'node:net';
import tap from 'tap';
import type { RawAnswer } from '../helpers/raw-client.js';
import { events } from '../../lib/sources/events/events-source.js';
import type { Source } from '../../lib/seams/source.js';
import { event, hasTaken, openRaw, post, whole } from '../helpers/raw-door.js';
import { until } from '../helpers/wait-for.js';

/** A header that means nothing to the door, but sends the request to `node:http`. */
const NOT_PLAIN = { Prefer: 'respond-async' };

/** An answer without what no two answers share. */
function timeless({ status, headers: all, body }: RawAnswer): object {
  const { date, 'x-request-id': id, ...headers } = all;
  return { status, headers, body, hasDate: date?.endsWith('GMT') === true, hasId: id !== undefined };
}

void tap.test('the answer is the one that comes through node:http', async (group) => {
  const ndjson = { 'Content-Type': 'application/x-ndjson' };
  const requests: Record<string, { status: number; body: string; headers?: Record<string, string> }> = {
    'one event': { status: 202, body: event('a') },
    'an array': { status: 202, body: `[${event('a')},${event('b')}]` },
    NDJSON: { status: 202, body: `${event('a')}\n${event('b')}\n`, headers: ndjson },
    'no JSON': { status: 400, body: '{' },
    'a field that is missing': { status: 400, body: '{"id":"é"}' },
    'a line that is wrong': { status: 400, body: `${event('a')}\n{"id":1}\n`, headers: ndjson },
    'no body': { status: 400, body: '' },
    'a body that is too large': { status: 413, body: event('a', 'x'.repeat(2000)) },
    'more than the queue can hold': { status: 413, body: `${event('a')}\n`.repeat(11), headers: ndjson },
    'another type': { status: 415, body: 'x', headers: { 'Content-Type': 'text/plain' } },
  };
  for (const [what, { status, body, headers }] of Object.entries(requests)) {
    void group.test(what, async (t) => {
      const { connect, server } = await openRaw(t, { bodyBytesMax: 1000, queueSize: 10 });
      const answers: RawAnswer[] = [];
      for (const extra of [{}, NOT_PLAIN]) {
        const before = server.handedOverConnections;
        const client = await connect();
        await client.send(whole(body, { ...headers, ...extra }));
        answers.push(await client.answer());
        await client.send(whole(event('next'), extra));
        t.equal((await client.answer()).status, 202, 'the connection stays');
        const isFast = extra !== NOT_PLAIN && status !== 415;
        t.equal(server.handedOverConnections - before, isFast ? 0 : 1);
      }
      const [fast, slow] = answers;
      if (fast === undefined || slow === undefined) throw new Error('an answer is missing');
      t.equal(fast.status, status);
      t.same(timeless(fast), timeless(slow));
    });
  }

  void group.test('a full queue', async (t) => {
    const { connect, disk } = await openRaw(t, { queueSize: 1 });
    disk.hold();
    const first = await connect();
    await first.send(whole(event('a')));
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    const answers: object[] = [];
    for (const extra of [{}, NOT_PLAIN]) {
      const client = await connect();
      await client.send(whole(event('b'), extra));
      const answer = await client.answer();
      t.equal(answer.status, 429);
      t.match(answer.headers['retry-after'], /^[1-9]/);
      answers.push(timeless(answer));
    }
    t.same(answers[0], answers[1]);
    disk.release();
    t.equal((await first.answer()).status, 202);
  });

  void group.test('a disk that fails', async (t) => {
    const { connect, disk } = await openRaw(t);
    disk.fail('open', 'ENOSPC');
    const answers: object[] = [];
    for (const extra of [{}, NOT_PLAIN]) {
      const client = await connect();
      await client.send(whole(event('a'), extra));
      const answer = await client.answer();
      t.equal(answer.status, 503);
      answers.push(timeless(answer));
    }
    t.same(answers[0], answers[1]);
  });
});

void tap.test('a head that comes before its body is waited for, on the same connection again', async (t) => {
  const door = await openRaw(t);
  const client = await door.connect();
  for (const id of ['a', 'b']) {
    const body = event(id);
    await client.send(post({ 'Content-Length': body.length }));
    const other = await door.connect();
    await other.send('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
    t.equal((await other.answer()).status, 200, 'the head was read');
    await client.send(body);
    t.equal((await client.answer()).status, 202);
  }
  t.equal(door.server.handedOverConnections, 2, 'only those that ask for /health');
  await hasTaken(t, door, ['a', 'b']);
});

void tap.test('a request that waits keeps those behind it, and their order', async (t) => {
  const door = await openRaw(t);
  const client = await door.connect({ allowHalfOpen: true });
  door.disk.hold();
  await client.send(whole(event('a')));
  await until(() => door.disk.flushes === 1, 'the event waits for the disk');
  await client.send(whole(event('b')));
  await client.send(whole(event('c')) + whole(event('d')));
  client.halfClose();
  const other = await door.connect();
  await other.send('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
  t.equal((await other.answer()).status, 200);
  t.equal(client.unread, '');
  door.disk.release();
  for (let answers = 0; answers < 4; answers++) t.equal((await client.answer()).status, 202);
  await hasTaken(t, door, ['a', 'b', 'c', 'd']);
});

void tap.test('a client that closes its side', async (group) => {
  const ways: Record<string, { bytes: string; status: number | null }> = {
    'before a request is closed': { bytes: '', status: null },
    'behind a request gets its answer': { bytes: whole(event('a')), status: 202 },
    'in the middle of a head gets 400': { bytes: 'POST /events HTTP/1.1\r\nHo', status: 400 },
    'before the body gets 400': { bytes: post({ 'Content-Length': 10 }), status: 400 },
    'in the middle of a body gets 400': { bytes: post({ 'Content-Length': 10 }, '{"id'), status: 400 },
  };
  for (const [what, { bytes, status }] of Object.entries(ways)) {
    void group.test(what, async (t) => {
      const door = await openRaw(t);
      const client = await door.connect({ allowHalfOpen: true });
      if (bytes !== '') await client.send(bytes);
      client.halfClose();
      if (status !== null) {
        const answer = await client.answer();
        t.equal(answer.status, status);
        if (status === 400) t.match(JSON.parse(answer.body), { code: 'BAD_REQUEST' });
      }
      await client.closed;
      t.equal(client.unread, '');
      await hasTaken(t, door, status === 202 ? ['a'] : []);
    });
  }
});

void tap.test(
  'where an answer fills the buffer of its connection, the next request waits for room',
  async (t) => {
    const door = await openRaw(t);
    const ends: Socket[] = [];
    const onSocket = (message: unknown): void => {
      ends.push((message as { socket: Socket }).socket);
    };
    subscribe('net.server.socket', onSocket);
    const client = await door.connect();
    await until(() => ends.length > 0, 'the server has the connection');
    unsubscribe('net.server.socket', onSocket);
    const [end] = ends;
    if (end === undefined) throw new Error('the server has no socket');
    // the buffers of the system take megabytes: here the connection says of each answer that it was one too many
    const write = end.write.bind(end) as (bytes: string, encoding: BufferEncoding) => boolean;
    end.write = (bytes: string | Uint8Array, encoding?: unknown) => {
      write(String(bytes), encoding as BufferEncoding);
      return false;
    };
    await client.send(whole('{"id":"a"}'));
    t.equal((await client.answer()).status, 400);
    t.equal(end.isPaused(), true);
    await client.send(whole(event('b')));
    const other = await door.connect();
    await other.send(whole(event('c')));
    t.equal((await other.answer()).status, 202);
    t.equal(client.unread, '', 'it is not read');
    end.emit('drain');
    t.equal((await client.answer()).status, 202);
    t.equal(door.server.handedOverConnections, 0);
  },
);

void tap.test('the last answer before a stop closes the connection, whatever its client does', async (t) => {
  const door = await openRaw(t);
  const client = await door.connect({ allowHalfOpen: true });
  door.disk.hold();
  await client.send(whole(event('a')));
  await until(() => door.disk.flushes === 1, 'the event waits for the disk');
  const stopped = door.server.stop(60_000);
  door.disk.release();
  const { status, headers } = await client.answer();
  t.equal(status, 202);
  t.equal(headers['connection'], 'close');
  await client.send(whole(event('b')));
  await stopped;
  t.equal(door.forebay.counts().accepted, 1, 'nothing is taken behind it');
});

void tap.test('a line break behind a body changes nothing', async (t) => {
  const door = await openRaw(t, { headersTimeoutMs: 100 });
  const client = await door.connect();
  await client.send(whole(event('a')));
  t.equal((await client.answer()).status, 202);
  await client.send('\r\n');
  const silent = await door.connect();
  t.equal((await silent.answer()).status, 408, 'the time is up for who has begun');
  t.equal(client.unread, '');
  await client.send(whole(event('b')));
  t.equal((await client.answer()).status, 202);
  await hasTaken(t, door, ['a', 'b']);
});

void tap.test('connections that send the same head share what it says', async (t) => {
  const asked: (string | undefined)[] = [];
  const readerFor: Source['readerFor'] = (head, limits) => {
    asked.push(head.header('x-from'));
    return events.readerFor(head, limits);
  };
  const source = Object.create(events, { readerFor: { value: readerFor } }) as Source;
  const { connect, server } = await openRaw(t, { sources: [source] });
  const [one, other] = [await connect(), await connect()];
  for (const from of ['a', 'b', 'b', 'x'.repeat(2000), 'a']) {
    for (const client of [one, other]) {
      await client.send(whole(event('e'), { 'X-From': from, 'X-Request-Id': `of-${from.length}` }));
      const { status, headers } = await client.answer();
      t.match([status, headers['x-request-id']], [202, `of-${from.length}`]);
    }
  }
  t.same(
    asked.map((from) => from?.[0]),
    ['a', 'b', 'x', 'a'],
    'each head is read once while it is the last one',
  );
  t.equal(server.handedOverConnections, 0);
});
