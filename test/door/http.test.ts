import { Readable } from 'node:stream';
import tap from 'tap';
import type { Test } from 'tap';
import { Client, Pool } from 'undici';
import type { Dispatcher } from 'undici';
import { createForebay } from '../../lib/forebay.js';
import type { Forebay, ForebayOptions } from '../../lib/forebay.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { heldDisk } from '../helpers/held-disk.js';
import type { HeldDisk } from '../helpers/held-disk.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const MIB = 2 ** 20;
const JSON_TYPE = { 'content-type': 'application/json' };

interface Door {
  readonly disk: HeldDisk;
  readonly sink: CollectingSink;
  readonly forebay: Forebay;
  readonly server: IngestionServer;
  readonly pool: Pool;
  /** What the server told as errors. */
  readonly errors: string[];
}

interface DoorOptions extends Partial<Omit<ForebayOptions, 'sink' | 'fs'>> {
  readonly bodyBytesMax?: number;
}

async function open(t: Test, { bodyBytesMax = MIB, ...pipeline }: DoorOptions = {}): Promise<Door> {
  const disk = heldDisk();
  const sink = new CollectingSink();
  const forebay = createForebay({ logDir: tempDir(t), batchWaitMs: 10, ...pipeline, sink, fs: disk.fs });
  await forebay.start();
  const errors: string[] = [];
  const error = (_fields: object, text: string): void => {
    errors.push(text);
  };
  const server = new IngestionServer({
    forebay,
    logger: { ...silentLogger, error },
    host: '127.0.0.1',
    port: 0,
    bodyBytesMax,
    eventBytesMax: MIB,
    connectionsMax: 1000,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 65_000,
  });
  await server.start();
  const pool = new Pool(`http://127.0.0.1:${server.port}`);
  t.teardown(async () => {
    sink.release();
    disk.release();
    await pool.destroy();
    await server.stop(0);
    await forebay.stop(0);
  });
  return { disk, sink, forebay, server, pool, errors };
}

interface Answer {
  readonly status: number;
  readonly headers: Dispatcher.ResponseData['headers'];
  readonly text: string;
}

async function ask(via: Dispatcher, options: Partial<Dispatcher.RequestOptions>): Promise<Answer> {
  const { statusCode, headers, body } = await via.request({ path: '/', method: 'GET', ...options });
  return { status: statusCode, headers, text: await body.text() };
}

async function post(
  via: Dispatcher,
  body: string | Buffer,
  headers: Record<string, string> = JSON_TYPE,
): Promise<Answer> {
  return ask(via, { path: '/events', method: 'POST', headers, body });
}

function event(id: string, data: unknown = null): string {
  return JSON.stringify({ id, type: 'test', data, timestamp: 1 });
}

function ids(lines: readonly string[]): string[] {
  return lines.map((line) => (JSON.parse(line) as { id: string }).id);
}

/** Batches are delivered in order: what is there before an event that was posted last is all there will be. */
async function hasTaken(t: Test, { pool, sink, forebay }: Door, taken: readonly string[]): Promise<void> {
  t.equal((await post(pool, event('last'))).status, 202);
  while (!ids(sink.lines).includes('last')) await sink.received(sink.lines.length + 1);
  t.same(
    ids(sink.lines).toSorted(),
    [...taken, 'last'].toSorted(),
    'the sink got what was accepted, nothing else',
  );
  t.equal(forebay.counts().accepted, taken.length + 1);
}

void tap.test('POST /events', async (group) => {
  void group.test('202 says that the event is on disk, and comes no earlier', async (t) => {
    const { disk, pool } = await open(t);
    disk.hold();
    let answered = false;
    const answer = post(pool, event('a')).then((got) => {
      answered = true;
      return got;
    });
    await until(() => disk.flushes === 1, 'the event waits for the disk');
    t.equal((await ask(pool, { path: '/health' })).status, 200, 'other requests are answered meanwhile');
    t.equal(answered, false, 'no 202 while the flush runs');
    disk.release();
    const { status, headers, text } = await answer;
    t.equal(status, 202);
    t.equal(text, '{"status":"accepted"}\n');
    t.equal(headers['content-type'], 'application/json');
  });

  void group.test('no request waits for the sink', async (t) => {
    const door = await open(t, { batchSize: 2 });
    door.sink.held = true;
    for (let n = 0; n < 20; n++) t.equal((await post(door.pool, event(`e${n}`))).status, 202);
    t.equal(door.sink.lines.length, 0, 'nothing is delivered yet');
    t.equal(door.forebay.counts().pending, 20);
    door.sink.release();
    await door.sink.received(20);
    t.same(
      ids(door.sink.lines),
      Array.from({ length: 20 }, (_, n) => `e${n}`),
    );
  });

  const types = [
    'application/json',
    'Application/JSON; charset=UTF-8',
    'application/json;charset="utf-8"',
    'application/vnd.api+json',
  ];
  for (const type of types) {
    void group.test(`a body of type ${type} is taken`, async (t) => {
      const { pool } = await open(t);
      t.equal((await post(pool, event('a'), { 'content-type': type })).status, 202);
    });
  }

  void group.test('a query string does not change the path', async (t) => {
    const { pool } = await open(t);
    const headers = { 'content-type': 'application/json' };
    const request = { path: '/events?source=a/b?c', method: 'POST', headers, body: event('a') } as const;
    t.equal((await ask(pool, request)).status, 202);
  });

  void group.test('a body of exactly the largest size is taken, one byte more is not', async (t) => {
    const door = await open(t, { bodyBytesMax: 1000 });
    const body = (bytes: number, id: string): string => event(id, 'x'.repeat(bytes - event(id, '').length));
    t.equal((await post(door.pool, body(1000, 'a'))).status, 202);
    t.equal((await post(door.pool, body(1001, 'b'))).status, 413);
    await hasTaken(t, door, ['a']);
  });
});

void tap.test('byte fidelity', async (group) => {
  const asSent: Record<string, string> = {
    'a big integer': '{"id":"a","type":"t","data":12345678901234567890123,"timestamp":1}',
    'numbers that a double does not keep as written':
      '{"id":"a","type":"t","data":[1.0,-0,1e400,-1E-400,0.10,1e2],"timestamp":1}',
    escapes: '{"id":"\\u0061\\/","type":"t","data":"\\u00e9\\n\\t\\"\\\\\\ud83d\\ude00","timestamp":1}',
    'lone surrogates': '{"id":"a","type":"t","data":"\\ud800 \\udfff","timestamp":1}',
    'U+2028 and U+2029, unescaped': '{"id":"a","type":"t","data":"\u2028\u2029","timestamp":1}',
    'every width of UTF-8': '{"id":"é","type":"t","data":"aé€😀\ufffd\ufeff","timestamp":1}',
    'duplicate keys': '{"id":"a","id":"b","type":"t","data":1,"data":2,"timestamp":1}',
    'other members, and their order':
      '{"z":1,"timestamp":"then","data":{"b":1,"a":2},"type":"t","id":"a","":[]}',
    'a member named __proto__': '{"id":"a","type":"t","data":1,"__proto__":{"x":1},"timestamp":1}',
    'timestamp null': '{"id":"a","type":"t","data":false,"timestamp":null}',
    'spaces and tabs between tokens': '{ "id" : "a",\t"type" : "t", "data" : { } , "timestamp":1 }',
    'NUL and DEL as escapes': '{"id":"\\u0000","type":"\\u007f","data":"\u007f","timestamp":1}',
    'deep data': `{"id":"a","type":"t","data":${'['.repeat(127)}${']'.repeat(127)},"timestamp":1}`,
  };
  for (const [what, text] of Object.entries(asSent)) {
    void group.test(`the sink gets ${what} as sent`, async (t) => {
      const { pool, sink } = await open(t);
      t.equal((await post(pool, text)).status, 202);
      await sink.received(1);
      t.ok(sink.lines[0] === text, 'byte for byte');
    });
  }

  void group.test('line breaks between tokens become spaces, those in strings stay escaped', async (t) => {
    const { pool, sink } = await open(t);
    const pretty = JSON.stringify({ id: 'a', type: 't', data: 'x\ny\r', timestamp: 1 }, null, 2);
    t.equal((await post(pool, `\n ${pretty.replaceAll('\n', '\r\n')}\r\n`)).status, 202);
    await sink.received(1);
    t.equal(sink.batches[0]?.text, `${pretty.replaceAll('\n', '  ')}\n`);
  });

  void group.test('a missing timestamp is added before the closing brace, in milliseconds', async (t) => {
    const { pool, sink } = await open(t);
    const before = Date.now();
    t.equal((await post(pool, '{"id":"a","type":"t",\n"data":{"timestamp":7}\n}\n')).status, 202);
    await sink.received(1);
    const stamp = Number(
      /^\{"id":"a","type":"t", "data":\{"timestamp":7\} ,"timestamp":(\d+)\}$/.exec(sink.lines[0] ?? '')?.[1],
    );
    t.ok(stamp >= before && stamp <= Date.now(), sink.lines[0] ?? '');
  });
});

interface BadInput {
  readonly path?: string;
  readonly method?: Dispatcher.HttpMethod;
  readonly headers?: Record<string, string>;
  readonly body?: string | Buffer;
  readonly status: number;
  readonly answer: Readonly<Record<string, unknown>>;
  readonly allow?: string;
}

const notJson = (body: string | Buffer, position: number, message: RegExp): BadInput => ({
  body,
  status: 400,
  answer: { error: message, code: 'EVENT_NOT_JSON', position },
});
const notObject = (body: string, what: string): BadInput => ({
  body,
  status: 400,
  answer: { error: `The event must be a JSON object, not ${what}`, code: 'EVENT_NOT_OBJECT' },
});
const field = (body: string, name: string, what: string): BadInput => ({
  body,
  status: 400,
  answer: { error: `Field "${name}" ${what}`, code: 'EVENT_FIELD', field: name },
});
const notUtf8 = (hex: string, position: number): BadInput => ({
  body: Buffer.from(hex, 'hex'),
  status: 400,
  answer: {
    error: `The body is not valid UTF-8 at byte ${position}`,
    code: 'BODY_NOT_UTF8',
    position,
  },
});
const notFound = (path: string): BadInput => ({
  path,
  method: 'GET',
  status: 404,
  answer: { error: `There is nothing at ${path}`, code: 'NOT_FOUND' },
});
const notAllowed = (method: Dispatcher.HttpMethod, path: string, allow: string): BadInput => ({
  path,
  method,
  status: 405,
  answer: { error: `${path} takes ${allow}, not ${method}`, code: 'METHOD_NOT_ALLOWED' },
  allow,
});
const notUnderstood = (headers: Record<string, string>, error: RegExp): BadInput => ({
  headers,
  status: 415,
  answer: { error, code: 'UNSUPPORTED_MEDIA_TYPE' },
});

/** With a body under another method the client closes the connection itself. */
const BODY_METHODS = new Set<string>(['POST', 'PUT', 'PATCH']);
const MISSING = 'is missing';
const NOT_STRING = 'must be a non-empty string';
const BAD_INPUT: Record<string, BadInput> = {
  'an empty body': notJson('', 0, /the body is empty$/),
  'a body of spaces': notJson(' \n\t ', 4, /the body is empty$/),
  'a trailing comma': notJson('{"id":"a",}', 10, /at position 10 \(line 1, column 11\)$/),
  'a mistake in a later line': notJson(
    '{\n  "id": "a",\n  oops\n}',
    17,
    /at position 17 \(line 3, column 3\)$/,
  ),
  'an object that ends too early': notJson('{"id":"a"', 9, /ends too early, at position 9$/),
  'text after the object': notJson(`${event('a')} ${event('b')}`, event('a').length + 1, /at position/),
  'a raw line break in a string': notJson('{"id":"a\nb"}', 6, /at position 6 /),
  'two byte order marks': notJson(`\ufeff\ufeff${event('a')}`, 0, /at position 0 /),
  'a string of 1 MiB without an end': notJson(`{"id":"${'a'.repeat(MIB - 7)}`, 6, /at position 6 /),
  '100 brackets that nobody closes': notJson(`{"data":${'['.repeat(100)}`, 108, /ends too early/),
  '100,000 brackets that nobody closes': {
    body: '['.repeat(100_000),
    status: 400,
    answer: { code: 'EVENT_TOO_DEEP', error: /Event 0: .* 128 levels deep \(--depth-max\)/ },
  },
  'NaN as data': notJson('{"id":"a","type":"t","data":NaN}', 28, /at position 28 /),
  null: notObject('null', 'null'),
  'an array in an array': {
    body: '[[1]]',
    status: 400,
    answer: {
      error: 'Event 0: The event must be a JSON object, not an array',
      code: 'EVENT_NOT_OBJECT',
      index: 0,
    },
  },
  'a string': notObject('"a"', 'a string'),
  'a number': notObject('1', 'a number'),
  'a boolean': notObject('true', 'a boolean'),
  'no id': field('{"type":"t","data":1}', 'id', MISSING),
  'an id that is inherited only': field('{"__proto__":{"id":"a","type":"t","data":1}}', 'id', MISSING),
  'an empty id': field('{"id":"","type":"t","data":1}', 'id', NOT_STRING),
  'no type': field('{"id":"a","data":1}', 'type', MISSING),
  'an empty type': field('{"id":"a","type":"","data":1}', 'type', NOT_STRING),
  'no data': field('{"id":"a","type":"t"}', 'data', MISSING),
  'a byte that is never UTF-8': notUtf8('7b2261ff', 3),
  'an overlong form': notUtf8('22c0af22', 1),
  'a surrogate in UTF-8': notUtf8('22eda08022', 1),
  'a bad byte behind a good U+FFFD': notUtf8('22efbfbd8022', 4),
  'a character that is cut off': notUtf8('22c3', 1),
  'the root': notFound('/'),
  'a path below /events': notFound('/events/'),
  'the name of a method of objects': notFound('/constructor'),
  'the name of the prototype': notFound('/__proto__'),
  'POST /health': notAllowed('POST', '/health', 'GET, HEAD'),
  'DELETE /ready': notAllowed('DELETE', '/ready', 'GET, HEAD'),
  'plain text': notUnderstood({ 'content-type': 'text/plain' }, /not text\/plain$/),
  'JSON in another charset': notUnderstood(
    { 'content-type': 'application/json; charset=latin1' },
    /charset=latin1$/,
  ),
  'a body that is compressed': notUnderstood({ ...JSON_TYPE, 'content-encoding': 'compress' }, /compress/),
};
for (const name of ['id', 'type']) {
  for (const value of ['1', 'true', 'null', '{}', '["a"]']) {
    const other = name === 'id' ? 'type' : 'id';
    BAD_INPUT[`${value} as ${name}`] = field(
      `{"${name}":${value},"${other}":"x","data":1}`,
      name,
      NOT_STRING,
    );
  }
}
for (const method of ['GET', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'] as const) {
  BAD_INPUT[`${method} /events`] = notAllowed(method, '/events', 'POST');
}

void tap.test('bad input', async (group) => {
  for (const [what, { path = '/events', method = 'POST', headers, body, ...expected }] of Object.entries(
    BAD_INPUT,
  )) {
    void group.test(
      `${what} gets ${expected.status}, leaves no trace, and the connection stays`,
      async (t) => {
        const door = await open(t);
        const client = new Client(`http://127.0.0.1:${door.server.port}`);
        t.teardown(async () => client.destroy());
        let disconnects = 0;
        client.on('disconnect', () => disconnects++);
        const sent = body ?? (BODY_METHODS.has(method) ? event('refused') : null);
        const answer = await ask(client, { path, method, headers: headers ?? JSON_TYPE, body: sent });
        t.equal(answer.status, expected.status);
        t.match(JSON.parse(answer.text), expected.answer);
        t.equal(answer.headers.allow, expected.allow);
        t.equal(answer.headers['content-type'], 'application/json');
        t.equal((await post(client, event('next'))).status, 202);
        if ((sent?.length ?? 0) <= 65_536) t.equal(disconnects, 0, 'the same connection');
        await hasTaken(t, door, ['next']);
      },
    );
  }

  void group.test('HEAD /events gets 405 with Allow and no body', async (t) => {
    const { pool } = await open(t);
    const { status, headers, text } = await ask(pool, { path: '/events', method: 'HEAD' });
    t.equal(status, 405);
    t.equal(headers.allow, 'POST');
    t.equal(text, '');
  });
});

void tap.test('a body that is too large', async (group) => {
  for (const [how, declared] of [
    ['declared', true],
    ['chunked', false],
  ] as const) {
    void group.test(`gets a 413 that the client can read while it still sends (${how})`, async (t) => {
      const door = await open(t, { bodyBytesMax: 10_000 });
      for (let n = 0; n < 5; n++) {
        const chunks = Array.from({ length: 8 }, () => Buffer.alloc(MIB, ' '));
        const body = declared ? Buffer.concat(chunks) : Readable.from(chunks);
        const headers = { 'content-type': 'application/json' };
        const { status, text } = await ask(door.pool, { path: '/events', method: 'POST', headers, body });
        t.equal(status, 413);
        t.match(JSON.parse(text), { error: /larger than 10000 bytes/, code: 'BODY_TOO_LARGE' });
      }
      await hasTaken(t, door, []);
    });
  }
});

void tap.test('a full queue', async (group) => {
  void group.test(
    'takes exactly --queue-size events; the next gets 429 at once and is never delivered',
    async (t) => {
      const door = await open(t, { queueSize: 5 });
      const { disk, pool, forebay } = door;
      disk.hold();
      const taken = ['a', 'b', 'c', 'd', 'e'];
      const answers = taken.map(async (id) => post(pool, event(id)));
      await until(() => forebay.refusal(1, 1) !== null, 'the queue is full');
      for (const id of ['f', 'g', 'h']) {
        const { status, headers, text } = await post(pool, event(id));
        t.equal(status, 429);
        t.equal(text, '{"error":"Queue full, please retry later"}\n');
        t.match(headers['retry-after'], /^[1-9]\d*$/);
      }
      t.equal(forebay.counts().accepted, 0, 'the disk still holds the accepted ones');
      disk.release();
      for (const answer of answers) t.equal((await answer).status, 202);
      await hasTaken(t, door, taken);
    },
  );

  void group.test('is also one with --queue-bytes of events', async (t) => {
    const data = 'x'.repeat(30_000);
    const bytes = event('a', data).length + 1;
    const queueBytes = 3 * bytes + 200;
    const door = await open(t, { queueBytes, batchBytes: 3 * bytes, clientShare: 1 });
    const { disk, pool, forebay } = door;
    disk.hold();
    const answers = ['a', 'b', 'c'].map(async (id) => post(pool, event(id, data)));
    await until(() => forebay.refusal(1, bytes) !== null, 'there is no room for the next one');
    t.equal((await post(pool, event('d', data))).status, 429);
    answers.push(post(pool, event('e')));
    await until(() => forebay.refusal(1, event('f').length + 1) !== null, 'nor for a small one');
    t.equal((await post(pool, event('f'))).status, 429);
    disk.release();
    for (const answer of answers) t.equal((await answer).status, 202);
    await hasTaken(t, door, ['a', 'b', 'c', 'e']);
  });

  void group.test('refuses many at once, and each answer is true', async (t) => {
    const door = await open(t, { queueSize: 10, batchSize: 7 });
    const all = Array.from({ length: 300 }, (_, n) => `e${n}`);
    const answers = await Promise.all(
      all.map(async (id) => ({ id, status: (await post(door.pool, event(id))).status })),
    );
    const taken = answers.filter(({ status }) => status === 202).map(({ id }) => id);
    t.ok(taken.length >= 10, `${taken.length} of 300 were taken`);
    t.ok(answers.every(({ status }) => status === 202 || status === 429));
    await hasTaken(t, door, taken);
  });

  void group.test('is not the answer to an event that could never fit: that is 413', async (t) => {
    const door = await open(t, { queueBytes: 2000 });
    t.equal((await post(door.pool, event('a', 'x'.repeat(3000)))).status, 413);
    await hasTaken(t, door, []);
  });
});

void tap.test('a disk that fails', async (group) => {
  for (const [method, code] of [
    ['fdatasync', 'EIO'],
    ['write', 'ENOSPC'],
    ['open', 'ENOSPC'],
  ] as const) {
    void group.test(
      `${code} from ${method} gets 503 with Retry-After, and the server recovers`,
      async (t) => {
        const door = await open(t, { batchSize: 1 });
        const { disk, pool, sink } = door;
        t.equal((await post(pool, event('before'))).status, 202);
        await sink.received(1);
        disk.fail(method, code);
        const refused = await Promise.all(['x', 'y', 'z'].map(async (id) => post(pool, event(id))));
        for (const { status, headers, text } of refused) {
          t.equal(status, 503);
          t.match(headers['retry-after'], /^[1-9]\d*$/);
          // where the cut of the failed end cannot be flushed either, nobody knows what the disk has
          t.match(JSON.parse(text), { code: method === 'fdatasync' ? 'IN_DOUBT' : 'LOG_FAILED' });
          t.notMatch(text, code, 'what is inside stays inside');
        }
        t.equal((await ask(pool, { path: '/health' })).status, code === 'ENOSPC' ? 200 : 503);
        disk.fail(method, null);
        t.equal((await post(pool, event('after'))).status, 202);
        t.equal((await ask(pool, { path: '/health' })).status, 200);
        await hasTaken(t, door, ['before', 'after']);
      },
    );
  }

  void group.test('does not take back what the same file acknowledged before', async (t) => {
    const door = await open(t, { batchSize: 100, batchWaitMs: 600_000 });
    const { disk, pool, sink } = door;
    t.equal((await post(pool, event('before'))).status, 202);
    disk.fail('fdatasync', 'EIO');
    t.equal((await post(pool, event('refused'))).status, 503);
    disk.fail('fdatasync', null);
    await sink.received(1);
    t.same(sink.lines, [event('before')]);
  });
});

void tap.test('GET /health and GET /ready', async (group) => {
  void group.test('say that all is well, and what became of the events', async (t) => {
    const { pool, sink } = await open(t);
    t.equal((await post(pool, event('a'))).status, 202);
    await sink.received(1);
    const health = await ask(pool, { path: '/health' });
    t.equal(health.status, 200);
    t.match(JSON.parse(health.text), { status: 'ok', events: { accepted: 1, deadLettered: 0 } });
    const ready = await ask(pool, { path: '/ready' });
    t.equal(ready.status, 200);
    t.same(JSON.parse(ready.text), { status: 'ready', sink: { breaker: 'closed' } });
    for (const path of ['/health', '/ready']) {
      const { status, text } = await ask(pool, { path, method: 'HEAD' });
      t.same({ status, text }, { status: 200, text: '' });
    }
  });

  void group.test('a sink that is down is shown, and changes neither', async (t) => {
    const { forebay, pool, sink } = await open(t);
    sink.error = new SinkError('too busy', { status: 503, retryAfterMs: 3_000_000 });
    t.equal((await post(pool, event('a'))).status, 202);
    await until(() => forebay.sinkState()?.breaker === 'open', 'the sink is left alone');
    const health = await ask(pool, { path: '/health' });
    const ready = await ask(pool, { path: '/ready' });
    t.equal(health.status, 200);
    t.equal(ready.status, 200);
    const shown = { breaker: 'open', lastError: 'too busy' };
    t.match(JSON.parse(health.text), { status: 'ok', sink: { ...shown, failuresInARow: 1, openings: 1 } });
    t.same(
      JSON.parse(ready.text),
      { status: 'ready', sink: { breaker: 'open' } },
      'its errors are for operators',
    );
    t.equal((await post(pool, event('b'))).status, 202);
  });

  void group.test('a sink that is set up wrongly is told by both, and changes neither', async (t) => {
    const { forebay, pool, sink } = await open(t);
    sink.error = new SinkError('no such user', { status: 401, misconfigured: true });
    t.equal((await post(pool, event('a'))).status, 202);
    await until(() => forebay.sinkState()?.breaker === 'open', 'the sink is left alone');
    const health = await ask(pool, { path: '/health' });
    const ready = await ask(pool, { path: '/ready' });
    t.same([health.status, ready.status], [200, 200]);
    t.match(JSON.parse(health.text), { sink: { misconfigured: true, lastError: 'no such user' } });
    t.same(JSON.parse(ready.text), {
      status: 'ready',
      sink: { breaker: 'open', code: 'SINK_MISCONFIGURED' },
    });
  });

  void group.test('a full queue is healthy, and not ready', async (t) => {
    const { disk, forebay, pool } = await open(t, { queueSize: 1 });
    disk.hold();
    const answer = post(pool, event('a'));
    await until(() => forebay.refusal(1, 1) !== null, 'the queue is full');
    t.equal((await ask(pool, { path: '/health' })).status, 200);
    const ready = await ask(pool, { path: '/ready' });
    t.equal(ready.status, 503);
    t.match(JSON.parse(ready.text), { status: 'not ready', code: 'QUEUE_FULL' });
    t.match(ready.headers['retry-after'], /^[1-9]\d*$/);
    disk.release();
    t.equal((await answer).status, 202);
    t.equal((await ask(pool, { path: '/ready' })).status, 200);
  });

  void group.test(
    'a disk that fails is neither healthy nor ready; one that is full gets well by itself',
    async (t) => {
      const { disk, pool } = await open(t);
      const health = async (): Promise<unknown> => {
        const { status: code, text } = await ask(pool, { path: '/health' });
        return { code, ...(JSON.parse(text) as object) };
      };
      t.match(await health(), { code: 200, status: 'ok', log: { writable: true } });
      for (const [why, code, status] of [
        ['EIO', 503, 'failed'],
        ['ENOSPC', 200, 'ok'],
      ] as const) {
        disk.fail('write', why);
        t.equal((await post(pool, event('a'))).status, 503);
        t.match(await health(), { code, status, log: { writable: false, reason: new RegExp(why) } });
        t.equal((await ask(pool, { path: '/ready' })).status, 503);
        disk.fail('write', null);
        t.equal((await post(pool, event('b'))).status, 202);
        t.match(await health(), { code: 200, status: 'ok', log: { writable: true } });
      }
    },
  );

  void group.test('a stopped pipeline is not ready, and its 503 says when to retry', async (t) => {
    const { forebay, pool } = await open(t);
    await forebay.stop(0);
    t.equal((await ask(pool, { path: '/ready' })).status, 503);
    const { status, headers, text } = await post(pool, event('a'));
    t.equal(status, 503);
    t.equal(headers['retry-after'], '1');
    t.match(JSON.parse(text), { code: 'NOT_RUNNING' });
  });
});

void tap.test('an error of the server itself is 500, never 4xx', async (t) => {
  const door = await open(t);
  const { forebay, pool, errors } = door;
  const write = forebay.take.bind(forebay);
  forebay.take = (_lines, answer) => {
    answer(new TypeError('a mistake'));
  };
  const { status, text } = await post(pool, event('a'));
  t.equal(status, 500);
  t.same(JSON.parse(text), { error: 'An unexpected error in the server', code: 'INTERNAL' });
  t.same(errors, ['POST /events failed'], 'and the log has it');
  forebay.take = write;
  await hasTaken(t, door, []);
});

void tap.test('a port that is taken stops the start with its number', async (t) => {
  const { forebay, server } = await open(t);
  const second = new IngestionServer({
    forebay,
    host: '127.0.0.1',
    port: server.port,
    bodyBytesMax: MIB,
    eventBytesMax: MIB,
    connectionsMax: 10,
    headersTimeoutMs: 1000,
    requestTimeoutMs: 1000,
    keepAliveTimeoutMs: 1000,
  });
  await t.rejects(second.start(), {
    code: 'PORT_UNAVAILABLE',
    message: `Cannot listen on 127.0.0.1, port ${server.port}: it is in use`,
  });
});

void tap.test('a door in process has the limits of the server, unless it is given others', async (t) => {
  const { forebay } = await open(t);
  const server = new IngestionServer({ forebay, port: 0 });
  await server.start();
  t.teardown(() => server.stop(0));
  const url = `http://127.0.0.1:${server.port}/events`;
  const body = `{"id":"a","type":"t","data":"${'x'.repeat(2 ** 20)}"}`;
  const answer = await fetch(url, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
  t.equal(answer.status, 413);
  t.match(await answer.json(), { code: 'EVENT_TOO_LARGE' });
  t.throws(() => new IngestionServer({ forebay, bodyBytesMax: 0 }), {
    code: 'SETTING_INVALID',
    message: /bodyBytesMax/,
  });
});
