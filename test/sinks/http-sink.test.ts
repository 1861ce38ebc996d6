import { execFileSync, spawnSync } from 'node:child_process';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';
import { createServer as createTcpServer } from 'node:net';
import type { Socket } from 'node:net';
import { createServer } from 'node:http';
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { hostname } from 'node:os';
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { brotliCompressSync, deflateSync, gunzipSync, gzipSync } from 'node:zlib';
import t from 'tap';
import type { Test } from 'tap';
import { markedLine } from '../../lib/logs/file/checksum.js';
import { createForebay } from '../../lib/index.js';
import { HttpSink } from '../../lib/sinks/http/http-sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import type { Sink } from '../../lib/seams/sink.js';
import { asError } from '../../lib/base/errors.js';
import { shownError } from '../../lib/delivery/redaction.js';
import { freePort } from '../helpers/free-port.js';
import { batchOfLines } from '../helpers/batches.js';
import { eventText, idsOf, until } from '../helpers/running-forebay.js';
import { openSink, settingsOf } from '../helpers/open-sink.js';
import { tempDir } from '../helpers/temp-dir.js';

const LINES = ['{"id":"a","n":1.0}', '{"id":"b","n":12345678901234567890}', '{"id":"c","s":"\\n,]"}'];
const BATCH = batchOfLines(LINES);
const never = new AbortController().signal;

interface Got {
  readonly method: string | undefined;
  readonly url: string | undefined;
  readonly headers: IncomingMessage['headers'];
  readonly body: Buffer;
}

/** A real server; what it got, and its address. */
async function serve(
  t: Test,
  answer: (res: ServerResponse, got: Got) => void,
  create: (listener: RequestListener) => Server = createServer,
): Promise<{ got: Got[]; address: string }> {
  const got: Got[] = [];
  const server = create((req, res) => {
    const pieces: Buffer[] = [];
    req.on('data', (piece: Buffer) => pieces.push(piece));
    req.on('end', () => {
      const { method, url, headers } = req;
      const request = { method, url, headers, body: Buffer.concat(pieces) };
      got.push(request);
      answer(res, request);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  return { got, address: `127.0.0.1:${(server.address() as AddressInfo).port}` };
}

async function sinkOf(t: Test, ...flags: string[]): Promise<Sink> {
  const sink = await openSink(['--sink', 'http', ...flags]);
  t.teardown(() => sink.close?.());
  return sink;
}

/** What one attempt throws, as far as the Delivery looks at it. */
async function thrownBy(sink: Sink, signal: AbortSignal = never): Promise<object | null> {
  return sink.deliver(BATCH, signal).then(
    () => null,
    (error: Error) => {
      const { status, refused, retryAfterMs, misconfigured, reached } =
        error instanceof SinkError ? error : ({} as Partial<SinkError>);
      return { message: error.message, status, refused, retryAfterMs, misconfigured, reached };
    },
  );
}

void t.test("a batch is posted as it is, under its name, with headers of one's own", async (t) => {
  const { got, address } = await serve(t, (res) => res.end());
  const secrets = join(tempDir(t), 'headers');
  writeFileSync(secrets, 'Authorization: Bearer s3cret\n\nX-Two: 2\n');
  const sink = await sinkOf(
    t,
    '--sink-url',
    `http://${address}/ingest?x=1`,
    '--sink-header',
    'X-One: a:b',
    '--sink-header',
    'x-two: mine',
    '--sink-headers-file',
    secrets,
  );
  for (let attempts = 0; attempts < 2; attempts++) t.equal(await thrownBy(sink), null);
  t.equal(got.length, 2);
  for (const { method, url, headers, body } of got) {
    t.same([method, url], ['POST', '/ingest?x=1']);
    t.equal(body.toString(), BATCH.bytes.toString(), 'not a byte is changed');
    t.match(headers, {
      'content-type': 'application/x-ndjson',
      'idempotency-key': BATCH.name,
      authorization: 'Bearer s3cret',
      'x-one': 'a:b',
      'x-two': 'mine',
      'content-length': String(BATCH.bytes.length),
      'accept-encoding': 'identity',
    });
  }
});

void t.test('as a JSON array, and compressed, the events keep their texts', async (t) => {
  const { got, address } = await serve(t, (res) => res.writeHead(204).end());
  const url = `http://user:p%40ss@${address}/`;
  t.equal(await thrownBy(await sinkOf(t, '--sink-url', url, '--sink-format', 'array', '--sink-gzip')), null);
  const [{ headers, body }] = got as [Got];
  t.equal(gunzipSync(body).toString(), `[${LINES.join(',')}]`);
  t.match(headers, { 'content-type': 'application/json', 'content-encoding': 'gzip' });
  t.equal(headers.authorization, `Basic ${Buffer.from('user:p@ss').toString('base64')}`);
  t.equal(await thrownBy(await sinkOf(t, '--sink-url', `http://:token@${address}/`)), null);
  t.equal(got[1]?.headers.authorization, `Basic ${Buffer.from(':token').toString('base64')}`);
});

void t.test('a status says whether trying again can help', async (t) => {
  let answer: (res: ServerResponse) => void = () => undefined;
  const { address } = await serve(t, (res) => {
    answer(res);
  });
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const cases: [number, Record<string, string>, object | null][] = [
    [200, {}, null],
    [201, {}, null],
    [202, {}, null],
    [204, {}, null],
    [302, { Location: '/' }, { status: 302, refused: null, misconfigured: true }],
    [400, {}, { status: 400, refused: 'all' }],
    // of the request or the route, whatever events are in it
    ...[401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 417, 426, 428, 431].map(
      (status): [number, Record<string, string>, object] => [
        status,
        {},
        { status, refused: null, misconfigured: true },
      ],
    ),
    [413, {}, { status: 413, refused: 'all', misconfigured: false }],
    [422, {}, { status: 422, refused: 'all' }],
    [408, {}, { status: 408, refused: null }],
    [409, {}, { status: 409, refused: null }],
    // of the connection or the moment
    [421, {}, { status: 421, refused: null, misconfigured: false }],
    [423, {}, { status: 423, refused: null }],
    [424, {}, { status: 424, refused: null }],
    [425, {}, { status: 425, refused: null }],
    [499, {}, { status: 499, refused: null }],
    [429, { 'Retry-After': '7' }, { status: 429, refused: null, retryAfterMs: 7000 }],
    [500, {}, { status: 500, refused: null, retryAfterMs: undefined }],
    [503, { 'Retry-After': 'soon' }, { status: 503, refused: null, retryAfterMs: undefined }],
    [503, { 'Retry-After': 'after 2099' }, { status: 503, refused: null, retryAfterMs: undefined }],
    [503, { 'Retry-After': '-1' }, { status: 503, refused: null, retryAfterMs: undefined }],
    [503, { 'Retry-After': '0' }, { status: 503, refused: null, retryAfterMs: 0 }],
    [503, { 'Retry-After': new Date(0).toUTCString() }, { status: 503, refused: null, retryAfterMs: 0 }],
  ];
  for (const [status, headers, expected] of cases) {
    answer = (res) => res.writeHead(status, headers).end(status === 204 ? undefined : 'because');
    const thrown = await thrownBy(sink);
    if (expected === null) t.equal(thrown, null, String(status));
    else t.match(thrown, { ...expected, message: `the sink answered ${status}: because` }, String(status));
  }
  const ofSink = (aheadMs: number): string => new Date(Date.now() + 1_200_000 + aheadMs).toUTCString();
  answer = (res) => res.writeHead(503, { 'Retry-After': ofSink(60_000), Date: ofSink(0) }).end();
  const { retryAfterMs } = (await thrownBy(sink)) as { retryAfterMs: number };
  t.ok(Math.abs(retryAfterMs - 60_000) <= 1000, `${retryAfterMs} ms, although its clock is 20 minutes ahead`);
});

void t.test('an answer that changes the protocol ends the attempt', async (t) => {
  const { address } = await serve(t, (res) => {
    res.socket?.end('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n');
  });
  const thrown = await thrownBy(await sinkOf(t, '--sink-url', `http://${address}/`));
  t.match(thrown, { message: 'the connection was closed before the answer' });
});

void t.test('a status says whether the sink may have failed at the batch', async (t) => {
  let status = 0;
  let headers: Record<string, string> = {};
  const { address } = await serve(t, (res) => res.writeHead(status, headers).end());
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  for (status of [302, 401, 403, 404, 409, 500, 501, 502, 504])
    t.match(await thrownBy(sink), { status, reached: true });
  const away = [503, 507, 509, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599];
  for (status of [...away, 408, 421, 423, 424, 425, 429, 499])
    t.match(await thrownBy(sink), { status, reached: false });
  headers = { 'Retry-After': '1' };
  for (status of [409, 500]) t.match(await thrownBy(sink), { status, reached: false }, 'not now');
});

void t.test('a status that the operator names refuses events all the same', async (t) => {
  let status = 0;
  const { address } = await serve(t, (res) => res.writeHead(status).end());
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`, '--sink-refuses', '404, 409,500');
  for (status of [404, 409, 500]) t.match(await thrownBy(sink), { status, refused: 'all' });
  for (status of [401, 403, 503]) t.match(await thrownBy(sink), { status, refused: null });
});

void t.test(
  'a wrong token makes no dead letters, few attempts, and a new one in the file mends it',
  async (t) => {
    const dir = tempDir(t);
    const secrets = join(dir, 'headers');
    writeFileSync(secrets, 'Authorization: Bearer old');
    const { got, address } = await serve(t, (res, { headers }) =>
      res.writeHead(headers.authorization === 'Bearer new' ? 200 : 401).end(),
    );
    const sink = await sinkOf(t, '--sink-url', `http://${address}/`, '--sink-headers-file', secrets);
    const forebay = createForebay({ sink, logDir: join(dir, 'log'), batchWaitMs: 10, sinkConcurrency: 4 });
    await forebay.start();
    t.teardown(() => forebay.stop(0));
    for (let n = 0; n < 20; n++) await forebay.write({ id: `e${n}`, type: 't', data: null });
    await until(() => forebay.sinkState()?.misconfigured === true, 'the sink is known to be set up wrongly');
    t.match(forebay.counts(), { accepted: 20, delivered: 0, deadLettered: 0, pending: 20 });
    const attempts = got.length;
    t.ok(attempts <= 6, `${attempts} attempts`);
    writeFileSync(`${secrets}.new`, 'Authorization: Bearer new');
    renameSync(`${secrets}.new`, secrets);
    await until(() => forebay.counts().pending === 0, 'it is read again');
    t.match(forebay.counts(), { delivered: 20, deadLettered: 0 });
    t.match(forebay.sinkState(), { breaker: 'closed', misconfigured: false });
  },
);

void t.test(
  'a headers file that cannot be read again leaves the headers as they were, and is told once',
  async (t) => {
    const dir = tempDir(t);
    const secrets = join(dir, 'headers');
    writeFileSync(secrets, 'X-Api: one');
    const { got, address } = await serve(t, (res) => res.end());
    const told: { code?: string; text: string }[] = [];
    const say = (fields: { code?: string }, text: string): void => void told.push({ ...fields, text });
    const logger = { debug: say, info: say, warn: say, error: say };
    const flags = ['--sink', 'http', '--sink-url', `http://${address}/`, '--sink-headers-file', secrets];
    const sink = await openSink(flags, logger);
    t.teardown(() => sink.close?.());
    const api = async (): Promise<unknown> => {
      await sink.reload?.();
      t.equal(await thrownBy(sink), null);
      return got.at(-1)?.headers['x-api'];
    };
    t.equal(await api(), 'one');
    writeFileSync(secrets, 'no header s3cret');
    t.equal(await api(), 'one');
    t.equal(await api(), 'one');
    const [first, ...others] = told;
    t.match(first, { code: 'SINK_MISCONFIGURED', text: /headers .*must be "Name: value".*as before/ });
    t.same(others, [], 'once');
    t.notMatch(JSON.stringify(told), /s3cret/);
    rmSync(secrets);
    t.equal(await api(), 'one');
    t.match(told[1], { code: 'SINK_MISCONFIGURED', text: /ENOENT/ });
    writeFileSync(secrets, 'X-Api: two');
    t.equal(await api(), 'two');
    t.match(told[2], { text: /^Read again: .*headers$/ });
    t.equal(told.length, 3);
  },
);

void t.test('an answer that names single events refuses these, and only these', async (t) => {
  let body = '';
  const { address } = await serve(t, (res) => res.end(body));
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  body = '{"refused":[{"index":2,"reason":"no","status":422},{"index":0}]}';
  t.match(await thrownBy(sink), {
    refused: [
      { index: 2, reason: 'no', status: 422 },
      { index: 0, reason: 'refused by the sink', status: null },
    ],
  });
  body = '\uFEFF{"refused":[{"index":1}]}';
  t.match(await thrownBy(sink), { refused: [{ index: 1 }] }, 'a byte order mark goes before the JSON');
  for (const other of [
    '{"refused":[]}',
    '{"refused":null}',
    '{"other":"refused"}',
    '["refused"]',
    '"refused" nothing',
    '',
  ]) {
    body = other;
    t.equal(await thrownBy(sink), null, other);
  }
  for (const other of ['{"refused":true}', '{"refused":{"index":1}}', '{"refused":"all"}']) {
    body = other;
    const message = '"refused" in the answer of the sink is not a list';
    t.match(await thrownBy(sink), { status: null, refused: null, message }, other);
  }
  const indices = ['3', '-1', '0.5', '"1"', 'null', '"\\u001b[2J"'].map((index) => `{"index":${index}}`);
  for (const entry of [...indices, '{}', 'null', '7', '{"index":1},{"index":3}']) {
    body = `{"refused":[${entry}]}`;
    t.match(await thrownBy(sink), { refused: null, message: /of a batch of 3/ }, entry);
  }
});

void t.test('a broken answer that may name events is tried again, if it should be JSON', async (t) => {
  let type = '';
  const { address } = await serve(t, (res) =>
    res.writeHead(200, { 'Content-Type': type }).end('{"refused":[{"index":1'),
  );
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  for (type of ['application/json', 'application/json; charset=utf-8', 'Application/Problem+JSON'])
    t.match(await thrownBy(sink), { refused: null, message: /names refused events and is not JSON/ }, type);
  for (type of ['text/plain', 'text/html; charset=utf-8']) t.equal(await thrownBy(sink), null, type);
});

void t.test('an answer in a coding that was not asked for is read, or tried again', async (t) => {
  let [status, coding] = [200, 'gzip'];
  let body = gzipSync('{"refused":[{"index":1}]}');
  const { address } = await serve(t, (res) =>
    res.writeHead(status, { 'Content-Encoding': coding }).end(body),
  );
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const one = { refused: [{ index: 1 }], message: '1 event was refused' };
  t.match(await thrownBy(sink), one);
  body = body.subarray(0, -12);
  const unread = { refused: null, message: /the sink's answer is in gzip, unasked for/ };
  t.match(await thrownBy(sink), unread, 'it may name more');
  body = gzipSync(Buffer.alloc(3 * 2 ** 20));
  t.match(await thrownBy(sink), unread, 'much from little');
  coding = 'Identity, X-GZIP, utf-8';
  body = gzipSync('{"refused":[{"index":1}]}');
  t.match(await thrownBy(sink), one);
  coding = 'deflate, br';
  body = brotliCompressSync(deflateSync('{"refused":[{"index":1}]}'));
  t.match(await thrownBy(sink), one);
  for (coding of ['zstd', 'compress', 'constructor'])
    t.match(await thrownBy(sink), { refused: null }, coding);
  for (coding of ['zstd', 'gzip', 'constructor']) {
    body = Buffer.alloc(0);
    t.equal(await thrownBy(sink), null, 'nothing is in no coding');
  }
  for (coding of ['utf-8', 'Identity', '', ' ']) {
    body = Buffer.from('{"refused":[{"index":1}]}');
    t.match(await thrownBy(sink), one, `"${coding}" changes nothing`);
    body = Buffer.from('thanks');
    t.equal(await thrownBy(sink), null);
  }
  [status, coding] = [422, 'gzip'];
  body = gzipSync(`no such table ${'x'.repeat(50)}`);
  t.match(await thrownBy(sink), { refused: 'all', message: /^the sink answered 422: no such table x+$/ });
  body = body.subarray(0, -8);
  t.match(await thrownBy(sink), { refused: 'all', message: /^the sink answered 422: no such table x+$/ });
  body = Buffer.from('not gzip');
  t.match(await thrownBy(sink), { refused: 'all', message: 'the sink answered 422' });
});

void t.test('a list of refused events that is empty in other words refuses none', async (t) => {
  let body = '';
  const { address } = await serve(t, (res) => res.writeHead(200).end(body));
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  for (const none of ['[]', 'null', 'false', '0']) {
    body = `{"accepted":3,"refused":${none}}`;
    t.equal(await thrownBy(sink), null, none);
  }
  for (const some of ['1', 'true', '"a"', '{}']) {
    body = `{"accepted":3,"refused":${some}}`;
    t.match(await thrownBy(sink), { refused: null, message: /is not a list/ }, some);
  }
});

void t.test('what identifies Forebay to the sink is hidden where the sink repeats it', async (t) => {
  let status = 200;
  let answer: (got: Got) => string = () => '';
  const { address } = await serve(t, (res, got) => res.writeHead(status).end(answer(got)));
  const flags = (url: string): string[] => ['--sink-url', url, '--sink-header', 'X-Api: s3cret-api-value'];
  const bearer = ['--sink-header', 'Authorization: Bearer s3cret.abc'];
  const sinks: [Sink, string][] = [
    [
      await sinkOf(t, ...flags(`http://${address}/in?token=s3cret%20tok&query=INSERT%20x`), ...bearer),
      's3cret tok',
    ],
    [await sinkOf(t, ...flags(`http://joe:s3cret%21pw@${address}/in`)), 's3cret!pw'],
  ];
  for (const [sink, decoded] of sinks) {
    answer = ({ headers, url }) => {
      const token = headers.authorization?.replace(/^\w+ /, '') ?? '';
      const pair = Buffer.from(token, 'base64').toString();
      const said = `no ${headers.authorization}, ${token}, ${pair}, ${String(headers['x-api'])}, ${url}, ${decoded} at INSERT x`;
      return status === 200 ? JSON.stringify({ refused: [{ index: 1, reason: said, status: said }] }) : said;
    };
    for (status of [200, 401, 503]) {
      const { message, refused } = (await thrownBy(sink)) as { message: string; refused: unknown };
      const all = message + JSON.stringify(refused);
      t.match(all, /no ….* at INSERT x/);
      t.notMatch(all, /s3cret/);
    }
    answer = () => `${'x'.repeat(295)}s3cret-api-value`;
    const { message } = (await thrownBy(sink)) as { message: string };
    t.notMatch(message, /s3c/, 'also where it is cut');
  }
});

void t.test('what the sink says is cut, and steers no terminal', async (t) => {
  let status = 200;
  let body = '';
  const { address } = await serve(t, (res) => res.writeHead(status).end(body));
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const evil = `\u001b[2Jno\r\n\u0000\u0085${'x'.repeat(1000)}`;
  const harmless = ` [2Jno    ${'x'.repeat(290)}…`;
  body = JSON.stringify({ refused: [{ index: 1, reason: evil, status: evil }] });
  const { refused } = (await thrownBy(sink)) as Partial<SinkError>;
  t.same(refused, [{ index: 1, reason: harmless, status: harmless }]);
  body = JSON.stringify({ refused: [{ index: evil }] });
  const { message } = (await thrownBy(sink)) as { message: string };
  t.match(message, /of a batch of 3/);
  t.ok(message.length < 400, `${message.length} characters`);
  for (status of [422, 503]) {
    body = `n${evil}`;
    const error = (await thrownBy(sink)) as Partial<SinkError>;
    t.equal(error.message, `the sink answered ${status}: n${harmless.slice(0, -2)}…`);
  }
});

void t.test(
  'an answer that confirms may be as long as it takes to name every event, and no longer',
  async (t) => {
    const most = 2 ** 20 + 2 * BATCH.bytes.length;
    let length = most;
    const { address } = await serve(t, (res) => res.end('x'.repeat(length)));
    const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
    t.equal(await thrownBy(sink), null);
    length++;
    t.match(await thrownBy(sink), { refused: null, message: `the answer is longer than ${most} bytes` });
  },
);

void t.test('where the status says all, the body changes nothing', async (t) => {
  const more = Buffer.alloc(16_384, 'x');
  const ways: Record<string, (res: ServerResponse) => void> = {
    'a long body': (res) => res.end(Buffer.alloc(1_000_000, 'x')),
    'a body without end': (res) => endless().pipe(res),
    'a body that stops': (res) => res.write(more),
    'a body that is broken off': (res) => res.write(more, () => res.destroy()),
  };
  for (const [what, answer] of Object.entries(ways)) {
    await t.test(what, async (t) => {
      let status = 0;
      const { address } = await serve(t, (res) => {
        answer(res.writeHead(status, status === 503 ? { 'Retry-After': '7' } : {}));
      });
      // the one that stops is waited for that long; the one without end must not be read until then
      const timeoutMs = what === 'a body that stops' ? '2000' : '3600000';
      const sink = await sinkOf(t, '--sink-url', `http://${address}/`, '--sink-timeout', timeoutMs);
      const message = /^the sink answered \d{3}: x{300}…$/;
      status = 422;
      t.match(await thrownBy(sink), { status, refused: 'all', message });
      status = 503;
      t.match(await thrownBy(sink), { status, refused: null, retryAfterMs: 7000, message });
    });
  }
});

/** More than any buffer between two sockets holds; then it fails, so that a reader of all of it is not served for ever. */
function endless(): Readable {
  let pieces = 0;
  return new Readable({
    read() {
      if (pieces++ < 1024) this.push(Buffer.alloc(2 ** 16, 'x'));
      else throw new Error('all of it was read');
    },
  });
}

void t.test('what is no answer is tried again', async (t) => {
  const ways: Record<string, { answer: (res: ServerResponse) => void; message: RegExp }> = {
    'no answer within the time': { answer: () => undefined, message: /--sink-timeout/ },
    'an answer that does not end': { answer: (res) => res.write('{'), message: /--sink-timeout/ },
    'a connection that is closed': { answer: (res) => res.destroy(), message: /closed|reset/ },
    'half an answer': {
      answer: (res) => {
        res.writeHead(200, { 'Content-Length': '100' });
        res.write('half', () => res.destroy());
      },
      message: /closed|terminated|aborted/,
    },
    'an answer without end': {
      answer: (res) => endless().pipe(res),
      message: /longer than/,
    },
  };
  for (const [what, { answer, message }] of Object.entries(ways)) {
    await t.test(what, async (t) => {
      const { address } = await serve(t, answer);
      const timeoutMs = message.test('--sink-timeout') ? '300' : '3600000';
      const thrown = await thrownBy(
        await sinkOf(t, '--sink-url', `http://${address}/`, '--sink-timeout', timeoutMs),
      );
      t.ok(thrown !== null);
      t.notOk((thrown as { refused?: unknown }).refused);
      t.match(thrown, { message });
    });
  }
  const { address } = await serve(t, () => undefined);
  const port = Number(address.split(':')[1]);
  const thrown = await thrownBy(await sinkOf(t, '--sink-url', `http://127.0.0.1:${port === 1 ? 2 : 1}/`));
  t.match(thrown, { message: /ECONNREFUSED/, reached: false });
});

void t.test('a name that is refused at each of its addresses has words', async (t) => {
  const port = await freePort();
  const thrown = (await thrownBy(await sinkOf(t, '--sink-url', `http://localhost:${port}/`))) as Error;
  t.match(thrown.message, new RegExp(`ECONNREFUSED 127\\.0\\.0\\.1:${port}`));
  const both = new AggregateError([new Error('no A'), new Error('no B')], '');
  t.equal(asError(both).message, 'no A; no B');
  t.equal(asError(Object.assign(new Error(''), { code: 'EPIPE' })).message, 'EPIPE');
  t.equal(asError(new TypeError('')).message, 'TypeError');
});

void t.test('a redirect says where it leads, without secrets', async (t) => {
  const { address } = await serve(t, (res, { url = '' }) =>
    res.writeHead(308, { Location: `https://elsewhere.example${url}` }).end(),
  );
  const sink = await sinkOf(t, '--sink-url', `http://${address}/in?token=s3cret-token`);
  const { message } = (await thrownBy(sink)) as Error;
  t.equal(message, 'the sink answered 308: Location: https://elsewhere.example/in?token=…');
});

void t.test('a secret in the path is shown nowhere', async (t) => {
  const { address } = await serve(t, (res, { url }) =>
    res.writeHead(400).end(`no hook ${url}, ${decodeURI(url ?? '')}`),
  );
  for (const [path, shown] of [
    ['/services/T01ABCDEF/B0123456789/s3cretS3cretS3cret', '/services/…/…/…'],
    ['/hooks/s3cret42', '/hooks/…'],
    ['/in/s3cret%20of%20ours%21%21', '/in/…'],
    ['/v1/ingest/events-api', '/v1/ingest/events-api'],
  ] as const) {
    const sink = await sinkOf(t, '--sink-url', `http://${address}${path}`);
    t.equal(sink.description?.target, `http://${address}${shown}`);
    const { message } = (await thrownBy(sink)) as Error;
    t.match(message, /^the sink answered 400: no hook \//);
    t.notMatch(message, /s3cret/);
  }
  const keyed = await sinkOf(t, '--sink-url', `http://s3cret-key@${address}/s3cret-key`);
  t.notMatch(((await thrownBy(keyed)) as Error).message, /s3cret/, 'a user without a password is a key');
});

void t.test('no event and no secret makes holes in what Forebay says itself', async (t) => {
  const { address } = await serve(t, () => undefined);
  const flags = [
    '--sink-url',
    `http://${address}/`,
    '--sink-timeout',
    '100',
    '--sink-header',
    'X-A: timeout',
  ];
  const words = batchOfLines([
    '{"id":"answer","data":"no within ms --sink-timeout sink timeout connection was closed before the whole body sent 100 401 307 the answered Location names longer than bytes"}',
  ]);
  const sink = await sinkOf(t, ...flags);
  const error = await sink.deliver(words, never).then(
    () => new Error('it was taken'),
    (thrown: Error) => thrown,
  );
  t.equal(shownError(error, words).message, 'no answer within 100 ms (--sink-timeout)');
  const shown = shownError(
    new SinkError('the sink answered 401', { status: 401, said: 'Location answer' }),
    words,
  );
  t.equal(shown.message, 'the sink answered 401: … answer', 'only what the sink said');
});

void t.test('a failure leaves its connection, and so does a minute', async (t) => {
  const realNow = performance.now.bind(performance);
  let aheadMs = 0;
  t.intercept(performance, 'now', { value: () => realNow() + aheadMs });
  let status = 200;
  let headers: Record<string, string> = {};
  const sockets: unknown[] = [];
  const create = (listener: RequestListener): Server =>
    createServer((req, res) => {
      sockets.push(req.socket);
      listener(req, res);
    });
  const { address } = await serve(t, (res) => res.writeHead(status, headers).end('because'), create);
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const isOnLast = async (): Promise<boolean> => {
    await thrownBy(sink);
    return sockets.at(-1) === sockets.at(-2);
  };
  await thrownBy(sink);
  t.equal(await isOnLast(), true, 'a connection is kept');
  for (status of [500, 502, 503, 504, 429, 409, 401, 404, 302]) {
    await thrownBy(sink);
    t.equal(await isOnLast(), false, `after ${status}`);
  }
  status = 422;
  await thrownBy(sink);
  t.equal(await isOnLast(), true, 'a refusal is a sound answer');
  headers = { 'Retry-After': '0' };
  await thrownBy(sink);
  t.equal(await isOnLast(), false, 'unless it is about the moment');
  [status, headers] = [200, {}];
  await thrownBy(sink);
  t.equal(await isOnLast(), true);
  aheadMs += 60_001;
  await thrownBy(sink);
  t.equal(await isOnLast(), false, 'the name is looked up again now and then');
  t.equal(await isOnLast(), true);
});

void t.test('what comes before the answer, unasked, is taken', async (t) => {
  const { address } = await serve(t, (res) => {
    res.writeContinue();
    res.writeProcessing();
    res.writeEarlyHints({ link: '</a>; rel=preload' });
    res.writeContinue();
    setTimeout(() => res.end(), 10);
  });
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  for (let attempts = 0; attempts < 2; attempts++) t.equal(await thrownBy(sink), null);
});

void t.test('an answer to a part of a batch confirms none of it', async (t) => {
  let afterwards: (socket: Socket) => void = () => undefined;
  const server = createTcpServer((socket) => {
    socket.on('error', () => undefined);
    socket.once('data', () => {
      socket.pause();
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n');
      setTimeout(() => {
        afterwards(socket);
      }, 20);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  t.teardown(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  const sink = await sinkOf(t, '--sink-url', url, '--sink-timeout', '20000');
  // more than the system keeps of what nobody reads
  const large = batchOfLines([`{"id":"a","data":"${'x'.repeat(2 ** 25)}"}`]);
  afterwards = (socket) => socket.destroy();
  // the end of the connection is found in several ways
  for (let times = 0; times < 20; times++)
    await t.rejects(sink.deliver(large, never), { message: /closed|reset|EPIPE/i });
  afterwards = (socket) => socket.resume();
  await sink.deliver(large, never);
  t.pass('the rest may be read after the answer');
});

void t.test('an attempt ends when the server stops', async (t) => {
  const { got, address } = await serve(t, () => undefined);
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const stopping = new AbortController();
  const thrown = thrownBy(sink, stopping.signal);
  await until(() => got.length > 0, 'the server has the request');
  stopping.abort(new Error('the server stops'));
  t.match(await thrown, { message: 'the server stops' });
  t.match(await thrownBy(sink, stopping.signal), { message: 'the server stops' });
});

void t.test('a refusal that the server no longer waits for is none', async (t) => {
  const { address } = await serve(t, (res) => res.writeHead(422).write('because'));
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const stopping = new AbortController();
  const begun = (): void => void setImmediate(() => stopping.abort(new Error('the server stops')));
  subscribe('http.client.response.finish', begun);
  t.teardown(() => unsubscribe('http.client.response.finish', begun));
  t.match(await thrownBy(sink, stopping.signal), { refused: undefined, message: 'the server stops' });
});

const skip = spawnSync('openssl', ['version']).status === 0 ? false : 'openssl is not on the PATH';
void t.test("a certificate of one's own is trusted where it is given", { skip }, async (t) => {
  const dir = tempDir(t);
  const [key, cert] = [join(dir, 'key.pem'), join(dir, 'cert.pem')];
  const subject = ['-subj', '/CN=localhost', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const args = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', '-keyout', key, '-out', cert];
  execFileSync('openssl', [...args, ...subject], { stdio: 'ignore' });
  const create = (listener: RequestListener): Server =>
    createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, listener);
  const { address } = await serve(t, (res) => res.end(), create);
  t.equal(await thrownBy(await sinkOf(t, '--sink-url', `https://${address}/`, '--sink-ca', cert)), null);
  t.match(await thrownBy(await sinkOf(t, '--sink-url', `https://${address}/`)), {
    message: /self-signed|certificate/,
  });
});

void t.test('settings that cannot be say what is wrong, and show no secret', async (t) => {
  const cases: [string[], RegExp][] = [
    [['--sink', 'http'], /needs --sink-url/],
    [['--sink', 'http', '--sink-url', 'ftp://x:s3cret@y'], /--sink-url must be a URL/],
    [['--sink-url', 'http://x'], /--sink-url goes with --sink http/],
    [
      ['--sink', 'http', '--sink-url', 'http://x', '--sink-header', 'Bearer s3cret'],
      /--sink-header must be "Name: value"/,
    ],
    [['--sink', 'http', '--sink-url', 'http://s3cret:%E0%A4%A@x/'], /^User and password .* percent-encoded/],
    [['--sink', 'http', '--sink-url', 'http://%E0%A4%A@x/'], /^User and password .* percent-encoded/],
    [['--sink', 'http', '--sink-url', 'http://x', '--sink-headers-file', '/no/such'], /--sink-headers-file/],
    [['--sink', 'http', '--sink-url', 'http://x', '--sink-ca', '/no/such'], /--sink-ca/],
    [['--sink', 'http', '--sink-url', 'https://x', '--sink-ca', 'package.json'], /--sink-ca.*no certificate/],
    [['--sink', 'http', '--sink-url', 'http://a.example:1,b.example:2/in'], /--sink-url must name one host/],
    [['--sink', 'http', '--sink-url', 'http://a.example,b.example/in'], /--sink-url must name one host/],
    [
      ['--sink', 'postgres', '--sink-postgres-url', 'postgres://u:s3cret@a,b/d'],
      /--sink-postgres-url must name one host/,
    ],
    [
      ['--sink', 'postgres', '--sink-postgres-url', 'postgres://u:s3cret@a:1,b:2/d'],
      /--sink-postgres-url must name one host/,
    ],
    [
      ['--sink', 'postgres', '--sink-postgres-url', 'postgres:///d?host=a,b&password=s3cret'],
      /--sink-postgres-url must name one host/,
    ],
  ];
  for (const [flags, message] of cases) {
    const error: unknown = await openSink(flags).catch((thrown: unknown) => thrown);
    t.match(error, { name: 'ForebayError', message });
    t.notMatch(String(error), /s3cret/);
  }
});

void t.test('a header that cannot be sent, or is not for an operator, is found at the start', async (t) => {
  const file = join(tempDir(t), 'headers');
  const names =
    'Expect Content-Length Transfer-Encoding Connection Keep-Alive Upgrade TE Trailer Proxy-Connection Idempotency-Key';
  for (const name of [...names.split(' '), 'content-length']) {
    const url = ['--sink', 'http', '--sink-url', 'http://x'];
    const message = new RegExp(`may not be ${name}: Forebay sets it`, 'i');
    t.throws(() => settingsOf([...url, '--sink-header', `${name}: s3cret`]), {
      code: 'SETTING_INVALID',
      message,
    });
    writeFileSync(file, `X-Fine: 1\n${name}: s3cret`);
    await t.rejects(openSink([...url, '--sink-headers-file', file]), { code: 'SETTING_INVALID', message });
  }
});

void t.test('the own door is no sink', (t) => {
  const check = (...flags: string[]): void => {
    settingsOf(['--sink', 'http', ...flags]);
  };
  const tls = ['--tls-cert', 'cert.pem', '--tls-key', 'key.pem'];
  const own = { code: 'SETTING_INVALID', message: /^--sink-url leads back to this server/ };
  for (const [url, ...flags] of [
    ['http://127.0.0.1:8081/events'],
    ['http://localhost:8081/'],
    ['http://localhost.:8081/'],
    ['http://a.localhost:8081/'],
    ['http://[::1]:9000/', '--host', '::', '--port', '9000'],
    ['http://127.9.9.9:9000/', '--host', '0.0.0.0', '--port', '9000'],
    ['http://0.0.0.0:8081/'],
    ['http://10.1.2.3/', '--host', '10.1.2.3', '--port', '80'],
    [`http://${hostname()}:8081/`, '--host', '0.0.0.0'],
    ['http://Door.Example:8081/', '--host', 'door.example'],
    ['http://127.0.0.1:9999/', '--admin-port', '9999'],
    ['https://127.0.0.1:8081/', ...tls],
    ['https://10.1.2.3/', '--host', '10.1.2.3', '--port', '443', ...tls],
    ['http://127.0.0.1:9999/', '--admin-port', '9999', ...tls],
  ])
    t.throws(() => check('--sink-url', url ?? '', ...flags), own, `${url} ${flags.join(' ')}`);
  for (const [url, ...flags] of [
    ['http://127.0.0.1:8082/events'],
    ['https://127.0.0.1:8081/'],
    ['http://api.example:8081/', '--host', '0.0.0.0'],
    ['http://127.0.0.1:8081/', '--host', '10.1.2.3'],
    ['http://127.0.0.1:8081/', '--port', '0'],
    ['https://127.0.0.1:9999/', '--admin-port', '9999', ...tls],
  ])
    t.doesNotThrow(() => check('--sink-url', url ?? '', ...flags), `${url} ${flags.join(' ')}`);
  t.end();
});

void t.test('one bad event of 50 ends among the dead letters, the sink has the others', async (t) => {
  const dir = tempDir(t);
  const taken: string[] = [];
  const { address } = await serve(t, (res, { body }) => {
    const lines = body.toString().split('\n').slice(0, -1);
    if (lines.some((line) => line.includes('"bad"'))) {
      res.writeHead(422).end('no bad events');
      return;
    }
    taken.push(...lines.map((line) => (JSON.parse(line) as { id: string }).id));
    res.end();
  });
  const sink = await sinkOf(t, '--sink-url', `http://${address}/`);
  const forebay = createForebay({ sink, logDir: dir, batchSize: 50 });
  await forebay.start();
  t.teardown(() => forebay.stop(0));
  const ids = Array.from({ length: 50 }, (_, n) => (n === 20 ? 'bad' : `e${n}`));
  await Promise.all(ids.map(async (id) => forebay.write({ id, type: 't', data: null })));
  await until(() => forebay.counts().pending === 0, 'all are settled');
  t.match(forebay.counts(), { accepted: 50, delivered: 49, deadLettered: 1 });
  t.same(
    taken,
    ids.filter((id) => id !== 'bad'),
  );
});

/** An API that does each request once: what comes again under a key gets the answer of the first time. */
async function honouringApi(t: Test): Promise<{ ids: string[]; keys: Set<string>; url: string }> {
  const ids: string[] = [];
  const keys = new Set<string>();
  const { address } = await serve(t, (res, { headers, body }) => {
    const key = String(headers['idempotency-key']);
    if (keys.has(key)) {
      res.end(); // whatever it holds
    } else {
      keys.add(key);
      ids.push(...idsOf(body.toString().trim().split('\n')));
      res.destroy(); // the answer is lost
    }
  });
  return { ids, keys, url: `http://${address}/` };
}

/** Starts a Forebay on a directory for each, delivers all there is, and stops it. */
async function deliverAll(
  t: Test,
  url: string,
  dirs: readonly string[],
  write: (forebay: ReturnType<typeof createForebay>, dir: string) => Promise<unknown> = async () => undefined,
): Promise<void> {
  const options = { batchSize: 5, batchWaitMs: 20 };
  const forebays = dirs.map((logDir) => createForebay({ sink: new HttpSink({ url }), logDir, ...options }));
  t.teardown(() => Promise.all(forebays.map((forebay) => forebay.stop(0))));
  await Promise.all(forebays.map((forebay) => forebay.start()));
  await Promise.all(forebays.map((forebay, index) => write(forebay, dirs[index] ?? '')));
  await until(() => forebays.every((forebay) => forebay.counts().pending === 0), 'all is delivered');
  for (const forebay of forebays) t.match(forebay.counts(), { deadLettered: 0, quarantined: 0 });
  await Promise.all(forebays.map((forebay) => forebay.stop()));
}

void t.test('an API that honours the key loses nothing, of however many directories', async (t) => {
  const now = Date.UTC(2026, 10, 29, 12);
  const name = 'batch_20250101_000000_1.jsonl';
  const run = 'ab'.repeat(8);
  const plain = (...ids: string[]): string => ids.map((id) => `${eventText(id)}\n`).join('');
  const dirWith = (t: Test, text: string): string => {
    const dir = tempDir(t);
    writeFileSync(join(dir, name), text);
    return dir;
  };

  await t.test('two that run side by side, with the same clock', async (t) => {
    t.intercept(Date, 'now', { value: () => now });
    const { ids, url } = await honouringApi(t);
    const dirs = [tempDir(t), tempDir(t)];
    const sent = dirs.flatMap((dir) => Array.from({ length: 50 }, (_, n) => `${dir}-${n}`));
    await deliverAll(t, url, dirs, (forebay, dir) =>
      Promise.all(
        sent.filter((id) => id.startsWith(`${dir}-`)).map((id) => forebay.write({ id, type: 't', data: 1 })),
      ),
    );
    t.same(ids.toSorted(), sent.toSorted(), 'each event once');
  });

  await t.test('one whose clock was set back, so that names come again', async (t) => {
    let clock = now;
    t.intercept(Date, 'now', { value: () => clock });
    const { ids, keys, url } = await honouringApi(t);
    const dir = tempDir(t);
    for (const id of ['a', 'b', 'c']) {
      clock -= 2000;
      await deliverAll(t, url, [dir], (forebay) => {
        clock = now;
        return forebay.write({ id, type: 't', data: 1 });
      });
    }
    t.same(ids, ['a', 'b', 'c']);
    t.equal(keys.size, 3);
  });

  await t.test('files of an earlier version, which name no run', async (t) => {
    const { ids, url } = await honouringApi(t);
    const dir = dirWith(t, plain('a'));
    await deliverAll(t, url, [dir, dirWith(t, plain('b'))]);
    writeFileSync(join(dir, name), plain('c'));
    await deliverAll(t, url, [dir]);
    t.same(ids.toSorted(), ['a', 'b', 'c']);
  });

  await t.test('files whose first line is damaged', async (t) => {
    const { ids, url } = await honouringApi(t);
    const dirs = ['a', 'b'].map((id) =>
      dirWith(t, `x${markedLine(eventText('x'), run)}${markedLine(eventText(id))}`),
    );
    const forebays = dirs.map((logDir) => createForebay({ sink: new HttpSink({ url }), logDir }));
    t.teardown(() => Promise.all(forebays.map((forebay) => forebay.stop(0))));
    await Promise.all(forebays.map((forebay) => forebay.start()));
    await until(() => forebays.every((forebay) => forebay.counts().pending === 0), 'all is delivered');
    t.same(ids.toSorted(), ['a', 'b']);
  });

  await t.test('a directory that was copied while a file of it grew', async (t) => {
    const { ids, keys, url } = await honouringApi(t);
    const [first, second] = [markedLine(eventText('a'), run), markedLine(eventText('b'))];
    await deliverAll(t, url, [dirWith(t, first)]); // the copy
    await deliverAll(t, url, [dirWith(t, first + second)]);
    t.same([...new Set(ids)], ['a', 'b'], 'nothing is lost; what is in both may come twice');
    t.equal(keys.size, 2);
  });

  await t.test('a directory that was copied when it was full: what is in both comes once', async (t) => {
    const { ids, url } = await honouringApi(t);
    const dir = dirWith(t, markedLine(eventText('a'), run));
    const copy = join(tempDir(t), 'copy');
    mkdirSync(copy);
    cpSync(dir, copy, { recursive: true });
    await deliverAll(t, url, [dir, copy], (forebay, at) => forebay.write({ id: at, type: 't', data: 1 }));
    t.same(ids.toSorted(), ['a', dir, copy].toSorted(), 'and what is new of each');
  });

  await t.test('equal events of one batch that it takes one by one', async (t) => {
    const taken: string[] = [];
    const keys = new Set<unknown>();
    const { address } = await serve(t, (res, { headers, body }) => {
      const lines = body.toString().trim().split('\n');
      if (lines.length === 1 && !keys.has(headers['idempotency-key'])) taken.push(...idsOf(lines));
      keys.add(headers['idempotency-key']);
      res.writeHead(lines.length === 1 ? 200 : 422).end();
    });
    await deliverAll(t, `http://${address}/`, [dirWith(t, plain('a', 'a', 'b'))]);
    t.same(taken, ['a', 'a', 'b']);
  });
});
