import { createHmac } from 'node:crypto';
import { deflateSync, gzipSync } from 'node:zlib';
import { HEADER_LINES_MAX } from '../../lib/door/request-head.js';

/**
 * The bytes of one sending. Each way to send them has a token of its own, so that its events can be told from those of
 * the other ways; all tokens are equally long, and so are the bytes.
 */
export type Wire = (token: string) => Buffer;

export interface Sample {
  readonly name: string;
  readonly wire: Wire;
}

const CRLF = '\r\n';
const JSON_LINE = 'Content-Type: application/json';
const NDJSON_LINE = 'Content-Type: application/x-ndjson';
const HOST_LINE = 'Host: localhost';
const HEALTH = `GET /health HTTP/1.1\r\n${HOST_LINE}\r\n\r\n`;
/** The longest head that the fast path and `node:http` take. */
const HEAD_BYTES_MAX = 16_384;

/** The token is in it twice: one may be cut off. */
function event(token: string, index = 1, data: unknown = 1): string {
  return JSON.stringify({ id: `${token}.${index}`, type: 't', data, source: token });
}

function lines(token: string): string {
  return `${event(token, 1)}\n\n${event(token, 2)}\r\n${event(token, 3)}`;
}

type Body = (token: string) => string | Buffer;

function bytesOf(...parts: readonly (string | Buffer)[]): Buffer {
  return Buffer.concat(parts.map((part) => (typeof part === 'string' ? Buffer.from(part, 'utf8') : part)));
}

function head(start: string, headers: readonly string[]): Buffer {
  return Buffer.from([start, ...headers, '', ''].join(CRLF), 'latin1');
}

const POST = 'POST /events HTTP/1.1';

/** A `POST /events` with its length behind these lines. */
function post(headers: readonly string[], body: Body = event, start: string = POST): Wire {
  return (token) => {
    const bytes = bytesOf(body(token));
    return bytesOf(head(start, [HOST_LINE, ...headers, `Content-Length: ${bytes.length}`]), bytes);
  };
}

/** A `POST /events` of JSON, whose lines are made from the length of its body. */
function lengthened(headers: (length: number) => readonly string[], body: Body = event): Wire {
  return (token) => {
    const bytes = bytesOf(body(token));
    return bytesOf(head(POST, headers(bytes.length)), bytes);
  };
}

function chunked(headers: readonly string[], ...chunks: readonly Body[]): Wire {
  return inChunks(POST, headers, chunks);
}

function inChunks(start: string, headers: readonly string[], chunks: readonly Body[]): Wire {
  return (token) => {
    const parts = chunks.map((chunk) => bytesOf(chunk(token)));
    return bytesOf(
      head(start, [HOST_LINE, 'Transfer-Encoding: chunked', ...headers]),
      ...parts.flatMap((part) => [`${part.length.toString(16)}${CRLF}`, part, CRLF]),
      `0${CRLF}${CRLF}`,
    );
  };
}

/** Requests behind each other in one piece. */
function joined(...wires: readonly (Wire | string)[]): Wire {
  return (token) => bytesOf(...wires.map((wire) => (typeof wire === 'string' ? wire : wire(token))));
}

const plain = post([JSON_LINE]);
const ndjson = post([NDJSON_LINE], lines);
const wrong = post([JSON_LINE], (token) => `{"id":"${token}"`);

/** What most samples are like, but for a few bytes. */
export const ORDINARY: readonly Wire[] = [plain, joined(plain, HEALTH), joined(plain, plain)];

/** Good requests of each form, and bodies that are wrong. */
const BODIES: Record<string, Wire> = {
  plain,
  'plain, read by node:http': post([JSON_LINE, 'Prefer: respond-async']),
  ndjson,
  array: post([JSON_LINE], (token) => ` [${event(token, 1)} ,${event(token, 2)}]\n`),
  'an array of none': post([JSON_LINE], () => '[ ]'),
  'a mark in front': post([JSON_LINE], (token) => `\u{feff}${event(token)}`),
  'a mark in front of lines': post([NDJSON_LINE], (token) => `\u{feff}${lines(token)}`),
  'a mark in front of a large array': post(
    [JSON_LINE],
    (token) => `\u{feff}[${event(token, 1, 'x'.repeat(40_000))},${event(token, 2, 'x'.repeat(40_000))}]`,
  ),
  'two marks': post([JSON_LINE], (token) => `\u{feff}\u{feff}${event(token)}`),
  'characters of many bytes': post([JSON_LINE], (token) => event(token, 1, 'é€😀\u{2028}')),
  'numbers that JavaScript rounds': post([JSON_LINE], (token) =>
    event(token).replace('"data":1', '"data":1.00000000000000000001e400'),
  ),
  'a key that is there twice': post([JSON_LINE], (token) =>
    event(token).replace('"type"', '"id":"b","type"'),
  ),
  'not UTF-8': post([JSON_LINE], (token) => bytesOf(event(token).slice(0, -1), Buffer.of(0xff), '}')),
  'half a JSON text': wrong,
  'no JSON': post([JSON_LINE], () => 'x'),
  'no object': post([JSON_LINE], () => '1'),
  'a field that is missing': post([JSON_LINE], () => '{"type":"t"}'),
  'a line that is wrong': post([NDJSON_LINE], (token) => `${event(token)}\n{"id":1}\n${event(token, 2)}\n`),
  'an element that is wrong': post([JSON_LINE], (token) => `[${event(token)},{"id":1}]`),
  'blank lines only': post([NDJSON_LINE], () => '\n\r\n\n'),
  'no body': post([JSON_LINE], () => ''),
  'no lines': post([NDJSON_LINE], () => ''),
  'lines as JSON': post([JSON_LINE], lines),
  'an array as lines': post([NDJSON_LINE], (token) => `[${event(token)}]\n`),
  lenient: post(
    [NDJSON_LINE, 'Prefer: handling=lenient'],
    (token) => `${event(token)}\n{}\n${event(token, 2)}`,
  ),
  'lenient, nothing good': post([NDJSON_LINE, 'Prefer: handling=lenient'], () => '{}\n1\n'),
  gzip: post([NDJSON_LINE, 'Content-Encoding: gzip'], (token) => gzipSync(lines(token), { level: 0 })),
  deflate: post([JSON_LINE, 'Content-Encoding: deflate'], (token) => deflateSync(event(token), { level: 0 })),
  'gzip with something behind it': post([JSON_LINE, 'Content-Encoding: gzip'], (token) =>
    bytesOf(gzipSync(event(token), { level: 0 }), 'more'),
  ),
  'not gzip': post([JSON_LINE, 'Content-Encoding: gzip']),
  'an unknown coding': post([JSON_LINE, 'Content-Encoding: x']),
  'an event of 5 KB': post([JSON_LINE], (token) => event(token, 1, 'x'.repeat(5000))),
  'an event of 20 KB': post([JSON_LINE], (token) => event(token, 1, 'x'.repeat(20_000))),
  'an event that is too large': post([JSON_LINE], (token) => event(token, 1, 'x'.repeat(70_000))),
  '60 lines': post([NDJSON_LINE], (token) =>
    Array.from({ length: 60 }, (_, index) => `${event(token, index)}\n`).join(''),
  ),
};

/** The secret of the source `github`. */
export const SECRET = 'of the samples';

/** A delivery of GitHub with its token as its id and in its body, signed, and with these lines besides. */
function signed(
  body: Body = (token) => JSON.stringify({ action: 'opened', token }, null, 2),
  headers: readonly string[] = [],
  forge = (signature: string) => signature,
): Wire {
  return (token) => {
    const bytes = bytesOf(body(token));
    const digest = createHmac('sha256', SECRET).update(bytes).digest('hex');
    const lines = [
      `X-GitHub-Delivery: ${token}`,
      'X-GitHub-Event: issues',
      `X-Hub-Signature-256: sha256=${forge(digest)}`,
      ...headers,
    ];
    const type = headers.some((line) => /^content-type:/i.test(line)) ? [] : [JSON_LINE];
    return post([...type, ...lines], () => bytes, 'POST /in/github HTTP/1.1')(token);
  };
}

/** A CloudEvent whose attributes are headers. */
function binary(
  path: string,
  body: Body,
  headers: readonly string[] = [JSON_LINE],
  id = (token: string) => token,
): Wire {
  const lines = (token: string): string[] => [
    'ce-specversion: 1.0',
    `ce-id: ${id(token)}`,
    'ce-source: /samples',
    `ce-type: t.${token}`,
    ...headers,
  ];
  return (token) => post(lines(token), body, `POST ${path} HTTP/1.1`)(token);
}

function cloudEvent(token: string, more: object = {}): string {
  return JSON.stringify({ specversion: '1.0', id: token, source: '/s', type: `t.${token}`, ...more });
}

const STRUCTURED = 'Content-Type: application/cloudevents+json';
const BATCHED = 'Content-Type: application/cloudevents-batch+json';

/** What senders send to other sources. */
const SOURCES: Record<string, Wire> = {
  webhook: signed(),
  'webhook, a form': signed(
    (token) => `payload=%7B%7D&token=${token}`,
    ['Content-Type: application/x-www-form-urlencoded'],
  ),
  'webhook, no JSON': signed((token) => `x ${token}\r\n{`),
  'webhook, not UTF-8': signed(() => Buffer.of(0x78, 0xff)),
  'webhook, empty': signed(() => ''),
  'webhook, forged': signed(undefined, [], (digest) => digest.replace(/^../, 'zz')),
  'webhook, another secret': signed(undefined, [], (digest) => digest.split('').toReversed().join('')),
  'webhook, two signatures': signed(undefined, ['X-Hub-Signature-256: sha256=0']),
  'webhook, two ids': signed(undefined, ['X-GitHub-Delivery: other']),
  'webhook, gzip': signed(
    (token) => gzipSync(`{"token":"${token}"}`, { level: 0 }),
    ['Content-Encoding: gzip'],
  ),
  'webhook, forged gzip bomb': signed(
    () => gzipSync(Buffer.alloc(2 ** 20)),
    ['Content-Encoding: gzip'],
    () => '0'.repeat(64),
  ),
  'webhook, 20 KB': signed((token) => JSON.stringify({ token, x: 'x'.repeat(20_000) })),
  'webhook, too large': signed((token) => JSON.stringify({ token, x: 'x'.repeat(70_000) })),
  'webhook in chunks': (token) => {
    const bytes = bytesOf(`{"token":"${token}"}`);
    const digest = createHmac('sha256', SECRET).update(bytes).digest('hex');
    const lines = [JSON_LINE, `X-GitHub-Delivery: ${token}`, `X-Hub-Signature-256: sha256=${digest}`];
    return inChunks('POST /in/github HTTP/1.1', lines, [() => bytes])(token);
  },
  'webhook and a plain one': joined(signed(), plain),
  'forged webhook and a plain one': joined(
    signed(undefined, [], () => ''),
    plain,
  ),
  'CloudEvent, binary': binary('/in/cloudevents', () => ' { "a" : 1.0 } '),
  'CloudEvent, binary at /events': binary('/events', () => '1e400'),
  'CloudEvent, binary, no data': binary('/events', () => '', []),
  'CloudEvent, binary, text': binary('/events', () => 'é\r\n', ['Content-Type: text/plain']),
  'CloudEvent, binary, bytes': binary('/events', () => Buffer.of(0, 255), ['Content-Type: image/png']),
  'CloudEvent, binary, broken JSON': binary('/events', () => '{'),
  'CloudEvent, binary, percent signs': binary(
    '/events',
    () => '1',
    [JSON_LINE],
    (token) => `%C3%A9%22${token}`,
  ),
  'CloudEvent, binary, wrong percent signs': binary(
    '/events',
    () => '1',
    [JSON_LINE],
    (token) => `%C3${token}%`,
  ),
  'CloudEvent, binary, an attribute twice': binary('/events', () => '1', [JSON_LINE, 'ce-id: other']),
  'CloudEvent, binary, an extension': binary('/events', () => '1', [JSON_LINE, 'ce-Abc: 1', 'ce-x: ']),
  'CloudEvent, binary, a bad extension': binary('/events', () => '1', [JSON_LINE, 'ce-a-b: 1']),
  'CloudEvent, binary, one is missing': post([JSON_LINE, 'ce-specversion: 1.0', 'ce-id: a'], () => '1'),
  'CloudEvent, structured': post([STRUCTURED], (token) => cloudEvent(token, { data: null })),
  'CloudEvent, structured, Base64': post([STRUCTURED], (token) => cloudEvent(token, { data_base64: 'AA==' })),
  'CloudEvent, structured, both': post([STRUCTURED], (token) =>
    cloudEvent(token, { data: 1, data_base64: 'AA==' }),
  ),
  'CloudEvents, a batch': post([BATCHED], (token) => `[${cloudEvent(token)}, ${cloudEvent(token)}]`),
  'CloudEvents, an empty batch': post([BATCHED], () => '[]'),
  'CloudEvents, one is wrong': post([BATCHED], (token) => `[${cloudEvent(token)},{}]`),
  'CloudEvents, lenient': post(
    [BATCHED, 'Prefer: handling=lenient'],
    (token) => `[${cloudEvent(token)},{},${cloudEvent(token)}]`,
  ),
};

/** One line of the head that is not the usual one. */
const LINES: Record<string, string> = {
  'a tab in front of a value': 'X-A:\tb',
  'a tab behind a value': 'X-A: b\t',
  'tabs and spaces': 'X-A: \t b\t c \t',
  'a value that is empty': 'X-A:',
  'a name of all signs': "!#$%&'*+-.^_`|~09azAZ: 1",
  'a name that is empty': ': 1',
  'no colon': 'X-A',
  'a space before the colon': 'X-A : 1',
  'a space before the name': ' X-A: 1',
  'a name with a slash': 'X/A: 1',
  'a name with a high byte': 'X-\u{e9}: 1',
  'a value with a high byte': 'X-A: \u{e9}\u{ff}',
  'a folded line': 'X-A: 1\r\n 2',
  'a folded line with a tab': 'X-A: 1\r\n\t2',
  'a bare LF': 'X-A: 1\nX-B: 2',
  'a bare CR': 'X-A: 1\rX-B: 2',
  'CR CR LF': 'X-A: 1\r',
  'a bare LF in front of a transfer coding': 'X-A: 1\nTransfer-Encoding: chunked',
  'an empty line with LF': 'X-A: 1\n',
  'a NUL in a value': 'X-A: \0',
  'a NUL in a name': 'X-\0: 1',
  'a DEL': 'X-A: \u{7f}',
  'a control character': 'X-A: \u{1}',
  'Connection: keep-alive': 'Connection: keep-alive',
  'Connection: Keep-Alive with a tab': 'Connection:\tKeep-Alive\t',
  'Connection: close': 'Connection: close',
  'Connection: a list': 'Connection: keep-alive, close',
  'Connection: a name': 'Connection: X-A',
  'Connection: twice': 'Connection: keep-alive\r\nConnection: close',
  'Proxy-Connection': 'Proxy-Connection: close',
  'Keep-Alive': 'Keep-Alive: timeout=1, max=1',
  'Expect: 100-continue': 'Expect: 100-continue',
  'another expectation': 'Expect: x',
  'an expectation that is empty': 'Expect:',
  'Upgrade: websocket': 'Connection: Upgrade\r\nUpgrade: websocket',
  'Upgrade alone': 'Upgrade: h2c',
  'Upgrade: h2c': 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__',
  TE: 'TE: trailers',
  Trailer: 'Trailer: X-A',
  'Transfer-Encoding: chunked': 'Transfer-Encoding: chunked',
  'Transfer-Encoding: identity': 'Transfer-Encoding: identity',
  'Transfer-Encoding that is empty': 'Transfer-Encoding:',
  'Transfer-Encoding with a space': 'Transfer-Encoding : chunked',
  Transfer_Encoding: 'Transfer_Encoding: chunked',
  'an origin': 'Origin: http://evil.example',
  'an origin that may': 'Origin: https://good.example',
  'an origin that is null': 'Origin: null',
  'Sec-Fetch-Site: cross-site': 'Sec-Fetch-Site: cross-site',
  'Sec-Fetch-Site: none': 'Sec-Fetch-Site: none',
  'Sec-Fetch-Site: same-origin': 'Sec-Fetch-Site: same-origin',
  'a request id': 'X-Request-Id: abc',
  'two request ids': 'X-Request-Id: abc\r\nX-Request-Id: def',
  'a request id with a quote': 'X-Request-Id: "\t"',
  'two hosts': 'Host: localhost',
  'two hosts, one in small letters': 'host: evil.example',
  'two types': 'Content-Type: text/plain',
  'two lengths': 'Content-Length: 1',
  'a length of nothing': 'Content-Length:',
  'Content-Encoding: identity': 'Content-Encoding: identity',
  'Prefer that is empty': 'Prefer:',
  __proto__: '__proto__: 1',
  cookies: 'Cookie: a=1\r\nCookie: b=2',
};

const TYPES = [
  'application/json; charset=utf-8',
  'application/json;charset="UTF-8"',
  'APPLICATION/JSON',
  'application/json;',
  'application/json\t;\tcharset=utf8',
  'application/vnd.api+json',
  'application/json; charset=latin1',
  'application/json, text/plain',
  'text/plain',
  'application/x-ndjson',
  '',
];

const HOSTS = [
  'localhost:8080',
  'LOCALHOST',
  'localhost.',
  '127.0.0.1',
  '[::1]:1',
  'evil.example',
  'localhost, localhost',
  'a b',
  'user@localhost',
  '',
  'localhost\t',
];

/** What stands for the length of a body. */
const LENGTHS: Record<string, (length: number) => string> = {
  'with a plus': (length) => `+${length}`,
  'below zero': (length) => `-${length}`,
  'with leading zeros': (length) => `000${length}`,
  'with 15 digits': (length) => String(length).padStart(15, '0'),
  'with 16 digits': (length) => String(length).padStart(16, '0'),
  'with 30 digits': (length) => String(length).padStart(30, '0'),
  'with spaces': (length) => `   ${length}  `,
  'with a tab in front': (length) => `\t${length}`,
  'with a tab behind': (length) => `${length}\t`,
  'with a space in it': (length) => `${String(length)[0]} ${String(length).slice(1)}`,
  'in hexadecimal': (length) => `0x${length.toString(16)}`,
  'with a point': (length) => `${length}.0`,
  'with an exponent': (length) => `${length}e0`,
  'with an underscore': (length) => `${String(length)[0]}_${String(length).slice(1)}`,
  'as a list': (length) => `${length}, ${length}`,
  'one less': (length) => String(length - 1),
  'one more': (length) => String(length + 1),
  'of a million': () => '1000000',
  'of 2 MB': () => '2000000',
  'of 2^53': () => '9007199254740993',
  'of 2^64': () => '18446744073709551616',
  'of 2^64 and the length': (length) => String(2n ** 64n + BigInt(length)),
  'of 40 nines': () => '9'.repeat(40),
  'of nothing': () => '',
  'of words': () => 'NaN',
};

const STARTS = [
  'POST /events HTTP/1.0',
  'POST /events HTTP/1.2',
  'POST /events HTTP/2.0',
  'POST /events HTTP/0.9',
  'POST /events http/1.1',
  'POST /events HTTP/1.1 ',
  'POST  /events HTTP/1.1',
  'POST /events  HTTP/1.1',
  'POST\t/events\tHTTP/1.1',
  'POST /events',
  'post /events HTTP/1.1',
  'POST /events? HTTP/1.1',
  'POST /events?a=/b HTTP/1.1',
  'POST /events#a HTTP/1.1',
  'POST /events/ HTTP/1.1',
  'POST //events HTTP/1.1',
  'POST /./events HTTP/1.1',
  'POST /%65vents HTTP/1.1',
  'POST /Events HTTP/1.1',
  'POST /nothing HTTP/1.1',
  'POST /health HTTP/1.1',
  'POST http://localhost/events HTTP/1.1',
  'POST http://evil.example/events HTTP/1.1',
  'POST https://localhost:1/events?a HTTP/1.1',
  'POST events HTTP/1.1',
  'POST * HTTP/1.1',
  'PUT /events HTTP/1.1',
  'GET /events HTTP/1.1',
  'HEAD /events HTTP/1.1',
  'OPTIONS /events HTTP/1.1',
  'OPTIONS * HTTP/1.1',
  'DELETE /events HTTP/1.1',
  'CONNECT localhost:80 HTTP/1.1',
  'PRI * HTTP/2.0',
  '\r\nPOST /events HTTP/1.1',
  '\nPOST /events HTTP/1.1',
  ' POST /events HTTP/1.1',
  '\r\n\r\n\r\nPOST /events HTTP/1.1',
];

/** More than one request on a connection, and less than one. */
const SEQUENCES: Record<string, Wire> = {
  'two plain ones': joined(plain, plain),
  'three plain ones': joined(plain, ndjson, plain),
  'a plain one and /health': joined(plain, HEALTH),
  '/health and a plain one': joined(HEALTH, plain),
  'a plain one and a line end': joined(plain, CRLF),
  'a plain one, a line end, a plain one': joined(plain, CRLF, plain),
  'a plain one, two line ends, a plain one': joined(plain, CRLF, CRLF, plain),
  'a plain one, LF, a plain one': joined(plain, '\n', plain),
  'a plain one, CR, a plain one': joined(plain, '\r', plain),
  'a plain one and garbage': joined(plain, '\0\u{1}\r\n\r\n'),
  'a plain one and half of one': joined(plain, (token) => plain(token).subarray(0, 60)),
  'a plain one and a head': joined(plain, (token) => plain(token).subarray(0, -10)),
  'a wrong one and a plain one': joined(wrong, plain),
  'a plain one, a close, a plain one': joined(plain, post([JSON_LINE, 'Connection: close']), plain),
  'a close and a plain one': joined(post([JSON_LINE, 'Connection: close']), plain),
  'HTTP/1.0 and a plain one': joined(post([JSON_LINE], event, 'POST /events HTTP/1.0'), plain),
  'HTTP/1.0 that stays and a plain one': joined(
    post([JSON_LINE, 'Connection: keep-alive'], event, 'POST /events HTTP/1.0'),
    plain,
  ),
  'no host and a plain one': joined(
    lengthened((length) => [JSON_LINE, `Content-Length: ${length}`]),
    plain,
  ),
  'another type and a plain one': joined(post(['Content-Type: text/plain']), plain),
  'another path and a plain one': joined(post([JSON_LINE], event, 'POST /nothing HTTP/1.1'), plain),
  'an upgrade and a plain one': joined(post([JSON_LINE, 'Connection: Upgrade', 'Upgrade: h2c']), plain),
  'a GET with an upgrade and a plain one': joined(
    `GET /health HTTP/1.1\r\n${HOST_LINE}\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n`,
    plain,
  ),
  'an expectation and a plain one': joined(post([JSON_LINE, 'Expect: 100-continue']), plain),
  'an expectation that fails and a plain one': joined(post([JSON_LINE, 'Expect: x']), plain),
  'a length that is one less, and a plain one': joined(
    lengthened((length) => [HOST_LINE, JSON_LINE, `Content-Length: ${length - 1}`]),
    plain,
  ),
  'a length that is one more, and a plain one': joined(
    lengthened((length) => [HOST_LINE, JSON_LINE, `Content-Length: ${length + 1}`]),
    plain,
  ),
  'a request in a body': post([NDJSON_LINE], (token) => `${event(token)}\n${plain(token).toString()}`),
  'a length, chunks, and a plain one': joined(
    post(['Transfer-Encoding: chunked', JSON_LINE], () => '0\r\n\r\n'),
    plain,
  ),
  chunks: chunked(
    [NDJSON_LINE],
    (token) => `${event(token)}\n`,
    (token) => event(token, 2),
  ),
  'chunks and a plain one': joined(chunked([JSON_LINE], event), plain),
  'chunks of a wrong line and a plain one': joined(
    chunked([NDJSON_LINE], () => '1\n', event),
    plain,
  ),
  'chunks of another type and a plain one': joined(chunked(['Content-Type: a/b'], event), plain),
  'chunks that break': joined(
    `${POST}\r\n${HOST_LINE}\r\n${JSON_LINE}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    (token) => bytesOf(`2\r\n${event(token)}\r\n0\r\n\r\n`),
  ),
  'chunks with extensions and a trailer': joined(
    `${POST}\r\n${HOST_LINE}\r\n${JSON_LINE}\r\nTransfer-Encoding: chunked\r\n\r\n`,
    (token) => bytesOf(`${event(token).length.toString(16)};a="b"\r\n${event(token)}\r\n0\r\nX-A: 1\r\n\r\n`),
    HEALTH,
  ),
  'no chunks': joined(
    `${POST}\r\n${HOST_LINE}\r\n${JSON_LINE}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  ),
  'a line end alone': () => Buffer.from(CRLF),
  'a letter': () => Buffer.from('P'),
  'half a start line': () => Buffer.from('POST /eve'),
  'a start line': () => Buffer.from(`${POST}${CRLF}`),
  'half a head': () => Buffer.from(`${POST}${CRLF}${HOST_LINE}`),
  'a head without its body': (token) => plain(token).subarray(0, -event(token).length),
  'half a body': (token) => plain(token).subarray(0, -10),
  garbage: () => Buffer.from('\0\u{ff}\r\n\r\n', 'latin1'),
};

/** Heads at the bounds of their size and of their lines. */
const SIZES: Record<string, Wire> = Object.fromEntries([
  ...[-300, -2, -1, 0, 1, 2, 300].map((more): [string, Wire] => {
    const wire: Wire = (token) => {
      const { length } = post([JSON_LINE, 'X-A: '])(token);
      const missing = HEAD_BYTES_MAX + more - (length - event(token).length);
      return post([JSON_LINE, `X-A: ${'a'.repeat(missing)}`])(token);
    };
    return [`a head of 16 KiB and ${more}`, wire];
  }),
  ...[-2, -1, 0, 1, 2].map((more): [string, Wire] => {
    const wire: Wire = (token) => {
      const { length } = post([JSON_LINE, 'X-A: '])(token);
      return post([JSON_LINE, `X-A: ${'a'.repeat(HEAD_BYTES_MAX + more - length)}`])(token);
    };
    return [`a request of 16 KiB and ${more}`, wire];
  }),
  ...[1000, 1024, 1100].map((size): [string, Wire] => [
    `a head that is kept or not: ${size}`,
    joined(post([JSON_LINE, `X-A: ${'a'.repeat(size - 100)}`]), plain),
  ]),
  // with the host, the type and the length
  ...[-1, 0, 1, 100].map((more): [string, Wire] => [
    `${HEADER_LINES_MAX} lines and ${more}`,
    post([JSON_LINE, ...Array<string>(HEADER_LINES_MAX + more - 3).fill('a:')]),
  ]),
]);

function named(group: string, wires: Readonly<Record<string, Wire>>): Sample[] {
  return Object.entries(wires).map(([name, wire]) => ({ name: `${group}: ${name}`, wire }));
}

function madeOf(group: string, values: readonly string[], wire: (value: string) => Wire): Sample[] {
  return values.map((value) => ({ name: `${group}: ${JSON.stringify(value)}`, wire: wire(value) }));
}

/** What is sent in each way, and what mutations start from. */
export const SAMPLES: readonly Sample[] = [
  ...named('body', BODIES),
  ...named('source', SOURCES),
  ...Object.entries(LINES).map(([name, line]) => ({ name: `line: ${name}`, wire: post([JSON_LINE, line]) })),
  ...Object.entries(LINES).map(([name, line]) => ({
    name: `line, and a request behind it: ${name}`,
    wire: joined(post([JSON_LINE, line]), plain),
  })),
  ...madeOf('type', TYPES, (type) => post([`Content-Type: ${type}`])),
  ...madeOf('host', HOSTS, (host) =>
    lengthened((length) => [`Host: ${host}`, JSON_LINE, `Content-Length: ${length}`]),
  ),
  ...Object.entries(LENGTHS).map(([name, value]) => ({
    name: `length: ${name}`,
    wire: lengthened((length) => [HOST_LINE, JSON_LINE, `Content-Length: ${value(length)}`]),
  })),
  ...madeOf('start', STARTS, (start) => joined(post([JSON_LINE], event, start), HEALTH)),
  ...named('sequence', SEQUENCES),
  ...named('size', SIZES),
];
