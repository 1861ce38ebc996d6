import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import t from 'tap';
import type { Test } from 'tap';
import { isEventLine } from '../../../lib/event/event.js';
import type { EventReader, Limits } from '../../../lib/seams/source.js';
import { SEED } from '../../helpers/seed.js';
import { headOf } from '../../helpers/read-source.js';
import { openSource } from '../../helpers/webhook-senders.js';

interface Made {
  readonly line: string;
  /** The text of `data` in the line. */
  readonly data: string;
  readonly event: Readonly<Record<string, unknown>>;
}

type Headers = Readonly<Record<string, string>>;

const LIMITS: Limits = { eventBytesMax: 2 ** 20, depthMax: 10, eventsMax: 1 };
const JSON_TYPE = { 'Content-Type': 'application/json' };
const STATED = 'hook=/x,format=webhook,id=header:x-id,type-default=t';

function read(
  t: Test,
  body: string | Buffer,
  headers: Headers = JSON_TYPE,
  settings = '',
  limits: Partial<Limits> = {},
  target = '/x',
): EventReader {
  const source = openSource(t, `${STATED}${settings}`);
  const reader = source.readerFor(headOf({ 'X-Id': 'i', ...headers }, target), { ...LIMITS, ...limits })(0);
  reader.append(Buffer.from(body));
  reader.end();
  return reader;
}

function made(t: Test, ...how: Parameters<typeof read> extends [Test, ...infer Rest] ? Rest : never): Made {
  const line = read(t, ...how)
    .block.lineOf(0)
    .toString();
  t.ok(isEventLine(Buffer.from(line)), 'it is an event');
  t.notMatch(line, /[\n\r]/, 'it is one line');
  const [, data = ''] =
    /"data":(.*?)(?:,"(?:data_base64|headers|query|body)":.*)?,"timestamp":\d+\}$/s.exec(line) ?? [];
  return { line, data, event: JSON.parse(line) as Made['event'] };
}

void t.test('an event has its members in this order', (t) => {
  const { line } = made(
    t,
    '{"a":1.0}',
    { ...JSON_TYPE, 'X-Kept': 'é "1"' },
    ',headers=x-kept,query=on,keep-body=always',
    {},
    '/x?a=%20&b',
  );
  t.match(
    line,
    /^\{"id":"i","type":"t","source":"hook","data":\{"a":1\.0\},"headers":\{"x-kept":"é \\"1\\""\},"query":"a=%20&b","body":"\{\\"a\\":1\.0\}","timestamp":\d{13}\}$/,
  );
  t.end();
});

void t.test("a JSON body is the sender's own text", (t) => {
  for (const body of [
    '{"b":12345678901234567890,"a":[1.0,1e400,-0,0.10],"b":"twice"}',
    '{"\\u00e9":"\\ud83d\\ude00 \\/ \\t é 😀 \u2028","z":null}',
    ' \t[ 1 , 2 ] \t',
    'true',
    '"text"',
    '0',
    '{}',
  ]) {
    const { data, event } = made(t, body);
    t.equal(data, body);
    t.notOk('body' in event, 'data is enough');
  }
  t.end();
});

void t.test('where data is not the text of the body, the text is kept beside it', (t) => {
  const pretty = '{\r\n  "a": 1.0,\r\n  "b": "\\n"\r\n}\r\n';
  const { data, event } = made(t, pretty);
  t.equal(data, pretty.replaceAll(/[\r\n]/g, ' '), 'as long as before');
  t.equal(event['body'], pretty);
  const marked = made(t, '\u{feff}{"a":1}');
  t.equal(marked.data, '{"a":1}');
  t.equal(marked.event['body'], '\u{feff}{"a":1}');
  for (const body of [pretty, '\u{feff}{"a":1}', '{"a":1}', 'no JSON']) {
    t.notOk('body' in made(t, body, JSON_TYPE, ',keep-body=never').event);
    t.equal(made(t, body, JSON_TYPE, ',keep-body=always').event['body'], body);
  }
  t.end();
});

void t.test('what is no JSON is a string of the text', (t) => {
  const form = 'payload=%7B%22a%22%3A1%7D&b=+';
  for (const [body, type] of [
    ['{"a":', 'application/json'],
    ['a\r\nb\u2028"\\\u0001', 'text/plain'],
    ['', 'application/json'],
    ['', 'application/x-www-form-urlencoded'],
    [' \n', 'application/json'],
    ['\u{feff}text', 'text/plain'],
    ['123', 'text/plain'],
    ['"a"', 'TEXT/csv; header=present'],
    ['{"a":1}', 'application/x-www-form-urlencoded'],
    [form, 'application/x-www-form-urlencoded;charset=utf-8'],
    [
      '--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n--x--\r\n',
      'multipart/form-data; boundary=x',
    ],
    ['{"a":1} {"a":2}', 'application/json'],
    ["{'a':1}", 'application/json'],
  ] as const) {
    const { event } = made(t, body, { 'Content-Type': type });
    t.equal(event['data'], body, type);
    t.notOk('body' in event || 'data_base64' in event);
  }
  t.end();
});

void t.test('text/* and a body without a type are JSON if they look like it', (t) => {
  t.equal(made(t, ' {"a":1.0}', { 'Content-Type': 'text/plain' }).data, ' {"a":1.0}');
  t.equal(made(t, '[1.0]', { 'Content-Type': 'text/plain' }).data, '[1.0]');
  t.equal(made(t, '1.0', {}).data, '1.0');
  t.equal(made(t, '1.0', { 'Content-Type': 'application/vnd.x+json' }).data, '1.0');
  t.end();
});

void t.test('what is no text is base64 beside data, which is null', (t) => {
  for (const body of [Buffer.of(0xff, 0x00), Buffer.from('{"a":"\xe9"}', 'latin1'), Buffer.from('a\0b')]) {
    const { event } = made(t, body, JSON_TYPE, ',keep-body=always');
    t.equal(event['data'], null);
    t.equal(event['data_base64'], body.toString('base64'));
    t.notOk('body' in event);
  }
  t.end();
});

void t.test('a JSON body that is nested too deep is kept as text', (t) => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  t.equal(made(t, nested(9)).data, nested(9), 'the event is the first level of 10');
  t.equal(made(t, nested(10)).event['data'], nested(10));
  t.equal(made(t, nested(100_000)).event['data'], nested(100_000));
  t.end();
});

void t.test('whatever the bytes are, they come out as they came', (t) => {
  const source = openSource(t, STATED);
  const bytes = fc.oneof(
    fc.uint8Array().map((each) => Buffer.from(each)),
    fc.string({ unit: 'binary' }).map((each) => Buffer.from(each)),
    fc
      .tuple(fc.json(), fc.constantFrom('', '\u{feff}', '\r\n '))
      .map(([json, start]) => Buffer.from(start + json)),
    fc.jsonValue().map((each) => Buffer.from(JSON.stringify(each, null, '\t'))),
    fc.string().map((each) => Buffer.from(`{"a":${JSON.stringify(each)}`)),
  );
  const types = fc.constantFrom(
    'application/json',
    'text/plain',
    'application/x-www-form-urlencoded',
    undefined,
  );
  const check = fc.property(bytes, types, (body, type) => {
    const head = headOf({ 'X-Id': 'i', ...(type !== undefined && { 'Content-Type': type }) });
    const reader = source.readerFor(head, LIMITS)(body.length);
    reader.append(Buffer.from(body));
    reader.end();
    const line = reader.block.lineOf(0);
    const event = JSON.parse(line.toString()) as Made['event'];
    const { data_base64: base64, body: text, data } = event;
    if (line.includes('\n') || line.includes('\r') || !isEventLine(line)) return false;
    if (typeof base64 === 'string') return data === null && Buffer.from(base64, 'base64').equals(body);
    if (!isUtf8(body)) return false;
    if (typeof text === 'string') return Buffer.from(text).equals(body);
    const own = line.subarray(line.indexOf('"data":') + 7, line.lastIndexOf(',"timestamp":'));
    return own.equals(body) || (typeof data === 'string' && Buffer.from(data).equals(body));
  });
  fc.assert(check, { seed: SEED, numRuns: 3000 });
  t.end();
});

void t.test('id and type: the first place of a list that has one', (t) => {
  const idOf = (settings: string, body: string, headers: Headers = {}): unknown[] => {
    const source = openSource(t, `hook=/x,format=webhook${settings}`);
    const reader = source.readerFor(headOf(headers), LIMITS)(0);
    reader.append(Buffer.from(body));
    reader.end();
    const { id, type } = JSON.parse(reader.block.lineOf(0).toString()) as Made['event'];
    return [id, type, reader.idsMade];
  };
  const list = ',id=header:X-A,id=/id,id=header:x-b,type=/a/0/t,type=header:x-t';
  t.same(idOf(list, '{"id":"b","a":[{"t":"u"}]}', { 'X-A': 'h' }), ['h', 'u', 0]);
  t.same(idOf(list, '{"id":"b"}', { 'X-T': 'v', 'X-B': 'c' }), ['b', 'v', 0]);
  t.same(idOf(list, '{"id":"\\u0062\\""}', { 'X-A': '' }), ['b"', 'hook', 0]);
  t.same(idOf(list, '{"id":12345678901234567890}'), ['12345678901234567890', 'hook', 0]);
  t.same(idOf(list, '{"id":false}'), ['false', 'hook', 0]);
  for (const none of ['null', '""', '{}', '[1]'])
    t.same(idOf(list, `{"id":${none}}`, { 'X-B': 'c' }), ['c', 'hook', 0]);
  t.same(idOf(list, 'no JSON', { 'X-B': 'c' }), ['c', 'hook', 0]);
  t.same(idOf(',type-default=other,id=header:x-b', '1', { 'X-B': 'c' }), ['c', 'other', 0]);
  const [id, , isMade] = idOf(list, '{"a":1}');
  t.match(id, /^[\da-f]{8}-[\da-f]{4}-4/);
  t.equal(isMade, 1);
  t.not(idOf(list, '{"a":1}')[0], id, 'each has its own');
  t.end();
});

void t.test('headers are kept if they are named, and there', (t) => {
  const sent = { ...JSON_TYPE, 'X-A': '1', Authorization: 'Bearer s', Cookie: 'c' };
  t.notOk('headers' in made(t, '1', sent).event);
  t.notOk('headers' in made(t, '1', sent, ',headers=x-none').event);
  t.same(made(t, '1', sent, ',headers=X-A,headers=x-none,headers=cookie').event['headers'], {
    'x-a': '1',
    cookie: 'c',
  });
  t.notOk('query' in made(t, '1', sent, '', {}, '/x?a').event);
  t.notOk('query' in made(t, '1', sent, ',query=on').event);
  t.equal(made(t, '1', sent, ',query=on', {}, '/x?').event['query'], '');
  t.end();
});

void t.test('the event that is built is bounded, not only the body', (t) => {
  const most = { eventBytesMax: 300 };
  const tooLarge = { code: 'EVENT_TOO_LARGE', message: /larger than 300 bytes \(--event-max\)/ };
  t.ok(made(t, `"${'x'.repeat(200)}"`, JSON_TYPE, '', most));
  for (const [body, settings] of [
    [`"${'x'.repeat(299)}"`, ''],
    [Buffer.alloc(200, 0xff), ''],
    ['\u0001'.repeat(50), ''],
    [`"${'x'.repeat(150)}"`, ',keep-body=always'],
  ] as const)
    t.throws(() => read(t, body, JSON_TYPE, settings, most), tooLarge);
  const { line } = made(t, `"${'x'.repeat(100)}"`);
  t.ok(made(t, `"${'x'.repeat(100)}"`, JSON_TYPE, '', { eventBytesMax: line.length }), 'up to the last byte');
  t.throws(() => read(t, `"${'x'.repeat(101)}"`, JSON_TYPE, '', { eventBytesMax: line.length }), {
    code: 'EVENT_TOO_LARGE',
  });
  const source = openSource(t, STATED);
  const newReader = source.readerFor(headOf({}), { ...LIMITS, ...most });
  t.throws(() => newReader(304), tooLarge, 'before it is read');
  const reader = newReader(0);
  reader.append(Buffer.alloc(303));
  t.throws(
    () => {
      reader.append(Buffer.alloc(1));
    },
    tooLarge,
    'while it is read',
  );
  t.end();
});

void t.test('settings that mean nothing stop the start', (t) => {
  for (const [setting, message] of [
    ['id=x-id', /"id" of the source hook must be header:NAME or a JSON pointer/],
    ['type=/a~b', /"type" of the source hook must be header:NAME or a JSON pointer/],
    ['id=header:', /must be header:NAME/],
    ['headers=a b', /"headers" of the source hook must be the name of a header/],
    ['status=300', /"status" of the source hook must be a whole number from 200 to 299/],
    ['status=204', /must be a status whose answer has a body/],
    ['keep-body=no', /must be one of changed, always, never/],
    ['query=yes', /must be one of on, off/],
    ['secret-file=x', /Unknown setting "secret-file" of the source hook/],
  ] as const)
    t.throws(
      () => openSource(t, `hook=/x,format=webhook,${setting}`),
      { code: 'SETTING_INVALID', message },
      setting,
    );
  t.end();
});
