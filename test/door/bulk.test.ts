import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import { Pool } from 'undici';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { createForebay } from '../../lib/forebay.js';
import type { Forebay, ForebayOptions } from '../../lib/forebay.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import { CollectingSink } from '../helpers/collecting-sink.js';
import { heldDisk } from '../helpers/held-disk.js';
import type { HeldDisk } from '../helpers/held-disk.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

interface Door {
  readonly forebay: Forebay;
  readonly sink: CollectingSink;
  readonly disk: HeldDisk;
  readonly post: (
    body: string | Buffer | AsyncIterable<Buffer>,
    headers?: Record<string, string>,
  ) => Promise<Answer>;
}

interface Answer {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: unknown;
}

const NDJSON = { 'content-type': 'application/x-ndjson' };
const JSON_TYPE = { 'content-type': 'application/json' };
const LENIENT = { prefer: 'handling=lenient' };

async function open(
  t: Test,
  settings: Partial<ForebayOptions> & { bodyBytesMax?: number; eventBytesMax?: number } = {},
): Promise<Door> {
  const { bodyBytesMax = 2 ** 24, eventBytesMax = 2 ** 20, ...pipeline } = settings;
  const sink = new CollectingSink();
  const disk = heldDisk();
  const forebay = createForebay({ logDir: tempDir(t), batchWaitMs: 5, fs: disk.fs, ...pipeline, sink });
  await forebay.start();
  const server = new IngestionServer({
    forebay,
    host: '127.0.0.1',
    port: 0,
    bodyBytesMax,
    eventBytesMax,
    connectionsMax: 100,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 30_000,
    keepAliveTimeoutMs: 65_000,
  });
  await server.start();
  const pool = new Pool(`http://127.0.0.1:${server.port}`);
  t.teardown(async () => {
    disk.release();
    await pool.destroy();
    await server.stop(0);
    await forebay.stop(0);
  });
  const post: Door['post'] = async (body, headers = NDJSON) => {
    const answer = await pool.request({ path: '/events', method: 'POST', headers, body: body as string });
    return { status: answer.statusCode, headers: answer.headers, body: await answer.body.json() };
  };
  return { forebay, sink, disk, post };
}

const event = (id: string, data = '1'): string => `{"id":"${id}","type":"t","data":${data},"timestamp":1}`;
const ids = (sink: CollectingSink): string[] =>
  sink.lines.map((line) => (JSON.parse(line) as { id: string }).id);

/** Batches come in order: what is there before an event that was posted last is all there will be. */
async function hasTaken(t: Test, { post, sink, forebay }: Door, expected: readonly string[]): Promise<void> {
  t.equal((await post(event('last'))).status, 202);
  while (!ids(sink).includes('last')) await sink.received(sink.lines.length + 1);
  t.same(ids(sink), [...expected, 'last']);
  t.equal(forebay.counts().accepted, expected.length + 1);
}

void t.test('NDJSON and a JSON array are taken, byte for byte, with their number', async (t) => {
  const door = await open(t, { batchSize: 7 });
  const many = Array.from({ length: 30 }, (_, n) =>
    event(`e${n}`, `{ "n": 1.0, "s":"é\\u00e9[],{}\\"\\\\" }`),
  );
  const types = ['application/x-ndjson', 'application/ndjson; charset=utf-8', 'application/jsonl'];
  for (const [index, type] of types.entries()) {
    const end = index === 0 ? '' : '\r\n';
    const { status, body } = await door.post(many.join(index === 0 ? '\n' : '\r\n') + end, {
      'content-type': type,
    });
    t.equal(status, 202);
    t.same(body, { status: 'accepted', count: 30 });
  }
  const array = ` [ ${many.join(' ,\n ')}\t] \n`;
  t.same((await door.post(array, JSON_TYPE)).body, { status: 'accepted', count: 30 });
  await door.sink.received(120);
  t.same(door.sink.lines, [...many, ...many, ...many, ...many]);
  t.same((await door.post(`[${event('one')}]`, JSON_TYPE)).body, { status: 'accepted', count: 1 });
  t.same((await door.post(event('one'), JSON_TYPE)).body, { status: 'accepted' });
});

void t.test('a body in pieces of any size is the same body', async (t) => {
  const door = await open(t);
  const body = Buffer.from(`${event('a', '"é"')}\n\n  \r\n${event('b')}\n`.replace('  \r', '\r'));
  for (let size = 1; size <= 9; size += 4) {
    async function* pieces(): AsyncGenerator<Buffer> {
      for (let at = 0; at < body.length; at += size)
        yield await Promise.resolve(body.subarray(at, at + size));
    }
    t.same((await door.post(pieces())).body, { status: 'accepted', count: 2 });
  }
  await hasTaken(t, door, ['a', 'b', 'a', 'b', 'a', 'b']);
});

void t.test('one wrong event refuses all, and the error names its place', async (t) => {
  const door = await open(t);
  const good = event('good');
  const wrong: [string, Record<string, string>, object][] = [
    [`${good}\n\n{"id":"x","type":"t"}\n${good}`, NDJSON, { line: 3, field: 'data', code: 'EVENT_FIELD' }],
    [`${good}\n{"id":"x",`, NDJSON, { line: 2, code: 'EVENT_NOT_JSON', position: 10 }],
    [`${good}\n \n`, NDJSON, { line: 2, code: 'EVENT_NOT_JSON' }],
    [`[${good},{"id":1}]`, JSON_TYPE, { index: 1, field: 'id', code: 'EVENT_FIELD' }],
    [`[${good},]`, JSON_TYPE, { index: 1, code: 'EVENT_NOT_JSON' }],
    [`[${good} ${good}]`, JSON_TYPE, { index: 0, code: 'EVENT_NOT_JSON', position: good.length + 2 }],
    [`[${good}`, JSON_TYPE, { code: 'EVENT_NOT_JSON', position: good.length + 1 }],
    [`[${good}}`, JSON_TYPE, { code: 'EVENT_NOT_JSON', position: good.length + 1 }],
    [`[${good}] x`, JSON_TYPE, { code: 'EVENT_NOT_JSON', position: good.length + 3 }],
    ['[]', JSON_TYPE, { code: 'NO_EVENTS' }],
    ['\n\n', NDJSON, { code: 'NO_EVENTS' }],
    ['', NDJSON, { code: 'NO_EVENTS' }],
  ];
  for (const [body, headers, expected] of wrong) {
    const answer = await door.post(body, headers);
    t.equal(answer.status, 400, body);
    t.match(answer.body, expected, body);
  }
  const notUtf8 = Buffer.concat([Buffer.from(`${good}\n`), Buffer.from([0x7b, 0xff])]);
  t.match((await door.post(notUtf8)).body, { line: 2, code: 'BODY_NOT_UTF8', position: 1 });
  await hasTaken(t, door, []);
});

void t.test('an array is one also where some of its events are written in a rare way', async (t) => {
  const door = await open(t, { eventBytesMax: 100 });
  const rare = [
    event('b').replace('{', '{\n'),
    event('c').replace('"id"', '"\\u0069d"'),
    `${event('d')} \r\n`,
  ];
  for (const each of rare) {
    const array = `\n[ ${event('a', '"é"')} ,${each},${event('e')}\n ]\n`;
    t.same((await door.post(array, JSON_TYPE)).body, { status: 'accepted', count: 3 });
  }
  const head = `[${event('a', '"é"')},`;
  const wrong: [string, object][] = [
    [`${head}{"id":1}]`, { index: 1, field: 'id' }],
    [`${head}${event('b')} ${event('c')}]`, { index: 1, position: head.length + event('b').length + 1 }],
    [`${head}${event('b')}${' '.repeat(100)}]`, { index: 1, code: 'EVENT_TOO_LARGE' }],
    [`${head}${event('b')}] ]`, { position: head.length + event('b').length + 2 }],
    [`${head}${event('b')}`, { position: head.length + event('b').length }],
    [`${head}${event('b')}}`, { position: head.length + event('b').length }],
  ];
  for (const [body, expected] of wrong)
    t.match((await door.post(body, JSON_TYPE)).body, expected, JSON.stringify(body));
  const lenient = await door.post(`${head}{},${event('f')},2]`, { ...JSON_TYPE, ...LENIENT });
  t.match(lenient.body, { count: 2, refused: [{ index: 1 }, { index: 3 }] });
  await hasTaken(t, door, ['a', 'b', 'e', 'a', 'c', 'e', 'a', 'd', 'e', 'a', 'f']);
});

void t.test('an event can be too large for one, and a request for all', async (t) => {
  const door = await open(t, { eventBytesMax: 100, bodyBytesMax: 2000, queueSize: 5, batchSize: 2 });
  const large = event('large', `"${'x'.repeat(100)}"`);
  for (const [body, headers, expected] of [
    [`${event('a')}\n${large}`, NDJSON, { code: 'EVENT_TOO_LARGE', line: 2 }],
    [`[${event('a')},${large}]`, JSON_TYPE, { code: 'EVENT_TOO_LARGE', index: 1 }],
    [large, JSON_TYPE, { code: 'EVENT_TOO_LARGE' }],
    [' '.repeat(1900), NDJSON, { code: 'EVENT_TOO_LARGE' }],
    [
      `${event('a')}\n`.repeat(6),
      NDJSON,
      { code: 'BODY_TOO_LARGE', error: /more than 5 events \(--queue-size\)/ },
    ],
    [`${event('a')}\n`.repeat(50), NDJSON, { code: 'BODY_TOO_LARGE' }],
  ] as const) {
    const answer = await door.post(body, headers);
    t.equal(answer.status, 413);
    t.match(answer.body, expected);
  }
  t.equal((await door.post(`${event('a')}\n`.repeat(5))).status, 202);
  await hasTaken(t, door, ['a', 'a', 'a', 'a', 'a']);
});

void t.test('a request that does not fit now gets 429 as a whole', async (t) => {
  const door = await open(t, { queueSize: 5 });
  door.disk.hold();
  const first = door.post(`${event('a')}\n${event('b')}\n${event('c')}`);
  await until(() => door.forebay.refusal(3, 0) !== null, 'there is no room for three more');
  t.equal((await door.post(`${event('x')}\n${event('y')}\n${event('z')}`)).status, 429);
  door.disk.release();
  t.equal((await first).status, 202);
  await hasTaken(t, door, ['a', 'b', 'c']);
});

void t.test('202 comes when all events are on disk, whatever number of batches they are', async (t) => {
  const door = await open(t, { batchSize: 3 });
  door.disk.hold();
  let answered = false;
  const answer = door.post(Array.from({ length: 100 }, (_, n) => event(`e${n}`)).join('\n')).then((got) => {
    answered = true;
    return got;
  });
  await until(() => door.disk.flushes > 0, 'the events wait for the disk');
  t.equal(answered, false);
  door.disk.release();
  t.same((await answer).body, { status: 'accepted', count: 100 });
  t.equal(door.forebay.counts().accepted, 100);
});

void t.test('a request that the disk took a part of is in doubt', async (t) => {
  let flushes = 0;
  const disk = heldDisk();
  const fs = Object.create(disk.fs, {
    fdatasync: {
      value: (fd: number, done: (error: Error | null) => void) => {
        if (++flushes === 2) setImmediate(done, Object.assign(new Error('EIO: made'), { code: 'EIO' }));
        else disk.fs.fdatasync(fd, done);
      },
    },
  }) as FileSystem;
  const door = await open(t, { batchSize: 2, fileEvents: 1, fs });
  const { status, headers, body } = await door.post(
    ['a', 'b', 'c', 'd', 'e'].map((id) => event(id)).join('\n'),
  );
  t.equal(status, 503);
  t.ok(headers['retry-after']);
  t.match(body, { code: 'IN_DOUBT', error: /[1-4] of 5 events are on disk/ });
});

void t.test('lenient: what is good is taken, and each that is not is named', async (t) => {
  const door = await open(t);
  const answer = await door.post(`${event('a')}\n{}\n${event('b')}\nnot json\n`, { ...NDJSON, ...LENIENT });
  t.equal(answer.status, 202);
  t.equal(answer.headers['preference-applied'], 'handling=lenient');
  t.match(answer.body, {
    status: 'accepted',
    count: 2,
    refused: [
      { line: 2, code: 'EVENT_FIELD', field: 'id' },
      { line: 4, code: 'EVENT_NOT_JSON', position: 0 },
    ],
  });
  const array = await door.post(`[{},${event('c')}]`, {
    ...JSON_TYPE,
    prefer: 'respond-async, handling=lenient',
  });
  t.match(array.body, { count: 1, refused: [{ index: 0, field: 'id' }] });
  const none = await door.post('{}\n{}', { ...NDJSON, ...LENIENT });
  t.equal(none.status, 400);
  t.match(none.body, { status: 'refused', count: 0, refused: [{ line: 1 }, { line: 2 }] });
  await hasTaken(t, door, ['a', 'b', 'c']);
});

void t.test('a body may be compressed', async (t) => {
  const door = await open(t, { bodyBytesMax: 200_000 });
  const body = Array.from({ length: 100 }, (_, n) => event(`e${n}`)).join('\n');
  for (const [coding, bytes] of [
    ['gzip', gzipSync(body)],
    ['GZIP', gzipSync(body)],
    ['deflate', deflateSync(body)],
    ['br', brotliCompressSync(body)],
  ] as const) {
    const answer = await door.post(bytes, { ...NDJSON, 'content-encoding': coding });
    t.same(answer.body, { status: 'accepted', count: 100 }, coding);
  }
  const single = await door.post(gzipSync(event('one')), { ...JSON_TYPE, 'content-encoding': 'gzip' });
  t.same(single.body, { status: 'accepted' });
  t.equal(door.forebay.counts().accepted, 401);
  const cut = gzipSync(body).subarray(0, -20);
  for (const bad of [Buffer.from(body), cut, Buffer.alloc(0)]) {
    const answer = await door.post(bad, { ...NDJSON, 'content-encoding': 'gzip' });
    t.equal(answer.status, 400);
    t.match(answer.body, { code: /BODY_NOT_DECODED|NO_EVENTS/ });
  }
  const unknown = await door.post(body, { ...NDJSON, 'content-encoding': 'compress' });
  t.equal(unknown.status, 415);
  t.equal(door.forebay.counts().accepted, 401);
});

void t.test('a bomb is refused long before it has filled memory', async (t) => {
  const door = await open(t, {
    eventBytesMax: 2 ** 26,
    bodyBytesMax: 2 ** 26,
    batchBytes: 2 ** 26,
    queueBytes: 2 ** 28,
  });
  const bomb = gzipSync(event('bomb', `"${' '.repeat(60_000_000)}"`));
  const before = process.memoryUsage().arrayBuffers;
  for (const coding of ['gzip', 'br'] as const) {
    const bytes = coding === 'gzip' ? bomb : brotliCompressSync(' '.repeat(60_000_000));
    const answer = await door.post(bytes, { ...JSON_TYPE, 'content-encoding': coding });
    t.equal(answer.status, 413);
    t.match(answer.body, { code: 'BODY_TOO_LARGE', error: /inflates/ });
  }
  t.ok(process.memoryUsage().arrayBuffers - before < 40_000_000, 'little was held');
  t.equal(door.forebay.refusal(1, 1, 0), null);
  await hasTaken(t, door, []);
});
