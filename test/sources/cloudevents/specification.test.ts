import t from 'tap';
import type { Test } from 'tap';
import { cloudeventsKind } from '../../../lib/sources/cloudevents/cloudevents-source.js';
import { events } from '../../../lib/sources/events/events-source.js';
import { openRaw, post } from '../../helpers/raw-door.js';
import { read, sourceOf } from '../../helpers/read-source.js';
import type { Headers, Outcome } from '../../helpers/read-source.js';

/** Both sources that take CloudEvents: they must agree on each request. */
const SOURCES = [sourceOf(cloudeventsKind), events];
const JSON_EVENT = { 'Content-Type': 'application/cloudevents+json; charset=UTF-8' };
const BATCH = { 'Content-Type': 'application/cloudevents-batch+json; charset=UTF-8' };
const MINIMAL = { specversion: '1.0', id: 'minimal', type: 'io.cloudevents.test', source: 'https://x.io' };

/** What both sources make of a request. */
function readBoth(t: Test, headers: Headers, body: string | Buffer): Outcome {
  const [outcome, other] = SOURCES.map((source) => read(source, headers, body));
  const bare = (each: Outcome | undefined) => JSON.stringify(each).replace(/(timestamp\\":)\d+/g, '$1');
  t.equal(bare(other), bare(outcome), 'both sources agree');
  return outcome ?? { lines: [], answer: { status: 0, headers: {}, body: '' } };
}

/** The events that a request is delivered as, without their timestamps. */
function taken(t: Test, headers: Headers, body: string | Buffer): Record<string, unknown>[] {
  const outcome = readBoth(t, headers, body);
  if ('error' in outcome) throw outcome.error;
  return outcome.lines.map((line) => {
    const { timestamp, ...event } = JSON.parse(line) as Record<string, unknown>;
    t.equal(typeof timestamp, 'number');
    return event;
  });
}

function isRefused(t: Test, headers: Headers, body: string | Buffer, field: string, note?: string): void {
  const outcome = readBoth(t, headers, body);
  if (!('error' in outcome)) throw new Error(`taken: ${note ?? ''} ${outcome.lines.join('\n')}`);
  const { code, status, message, field: named } = outcome.error;
  t.match({ code, status, field: named }, { code: 'EVENT_FIELD', status: 400, field }, note ?? message);
  t.ok(message.includes(field), message);
}

void t.test('the examples of the JSON format are delivered as they are', (t) => {
  const common = {
    specversion: '1.0',
    type: 'com.example.someevent',
    source: '/mycontext',
    time: '2018-04-05T17:31:00Z',
    comexampleextension1: 'value',
    comexampleothervalue: 5,
  };
  const examples: Record<string, unknown>[] = [
    {
      ...common,
      id: 'A234-1234-1234',
      datacontenttype: 'application/vnd.apache.thrift.binary',
      data_base64: 'AAEC/w==',
    },
    {
      ...common,
      id: 'B234-1234-1234',
      unsetextension: null,
      datacontenttype: 'application/xml',
      data: '<much wow="xml"/>',
    },
    {
      ...common,
      subject: null,
      id: 'C234-1234-1234',
      datacontenttype: 'application/json',
      data: { appinfoA: 'abc', appinfoB: 123, appinfoC: true },
    },
    { ...common, subject: null, id: 'D234-1234-1234', data: "I'm just a string" },
    {
      ...common,
      type: 'com.github.pull_request.opened',
      source: 'https://github.com/cloudevents/spec/pull',
      subject: '123',
      id: 'A234-1234-1234',
      datacontenttype: 'text/xml',
      data: '<much wow="xml"/>',
    },
  ];
  const delivered = examples.map((event) => ({ ...event, data: event['data'] ?? null }));
  for (const [index, event] of examples.entries())
    t.same(taken(t, JSON_EVENT, JSON.stringify(event, null, 4)), [delivered[index]]);
  t.same(taken(t, BATCH, JSON.stringify(examples, null, 2)), delivered);
  t.same(taken(t, BATCH, ' [\r\n]'), [], 'a batch may be empty');
  const placeholder = { ...examples[0], data_base64: '... base64 encoded string ...' };
  isRefused(t, JSON_EVENT, JSON.stringify(placeholder), 'data_base64');
  t.end();
});

void t.test('the same examples in binary mode are the same events', (t) => {
  const common = {
    'ce-specversion': '1.0',
    'ce-type': 'com.example.someevent',
    'ce-source': '/mycontext',
    'ce-time': '2018-04-05T17:31:00Z',
    'ce-comexampleextension1': 'value',
    'ce-comexampleothervalue': '5',
  };
  const as = {
    specversion: '1.0',
    type: 'com.example.someevent',
    source: '/mycontext',
    time: '2018-04-05T17:31:00Z',
    comexampleextension1: 'value',
    comexampleothervalue: '5',
  };
  const cases: [string, string, string | Buffer, Record<string, unknown>][] = [
    [
      'A234',
      'application/vnd.apache.thrift.binary',
      Buffer.of(0, 1, 2, 255),
      { data: null, data_base64: 'AAEC/w==' },
    ],
    ['B234', 'application/xml', '<much wow="xml"/>', { data: '<much wow="xml"/>' }],
    [
      'C234',
      'application/json',
      '{\n  "appinfoA" : "abc",\n  "appinfoB" : 123\n}',
      { data: { appinfoA: 'abc', appinfoB: 123 } },
    ],
    ['D234', 'application/json', '"I\'m just a string"', { data: "I'm just a string" }],
  ];
  for (const [id, type, body, data] of cases) {
    const headers = { ...common, 'ce-id': id, 'Content-Type': type };
    t.same(taken(t, headers, body), [{ ...as, id, datacontenttype: type, ...data }]);
  }
  const unquoted = read(events, { ...common, 'ce-id': 'D', 'Content-Type': 'application/json' }, "I'm just");
  t.match(unquoted, { error: { code: 'EVENT_NOT_JSON', message: /JSON by its Content-Type/, position: 0 } });
  t.end();
});

void t.test('the command in the help text sends an event', (t) => {
  const [, url, header = '', body = ''] = /^curl (\S+) -H '(.+)' -d '(.+)'$/.exec(cloudeventsKind.curl) ?? [];
  t.equal(url, `localhost:8081${SOURCES[0]?.path}`);
  const [name = '', value = ''] = header.split(': ');
  t.match(taken(t, { [name]: value }, body), [{ specversion: '1.0', data: { user: 42 } }]);
  t.end();
});

void t.test('the scenarios of the HTTP binding, over a connection', async (t) => {
  const data = '{\n    "message": "Hello World!"\n}';
  const attributes = {
    specversion: '1.0',
    type: 'com.example.someevent',
    time: '2018-04-05T03:56:24Z',
    id: '1234-1234-1234',
    source: '/mycontext/subcontext',
  };
  const headers = Object.fromEntries(
    Object.entries(attributes).map(([name, value]) => [`ce-${name}`, value]),
  );
  const structured = JSON.stringify({ ...attributes, datacontenttype: 'application/json' }, null, 4);
  const { connect, sink, server } = await openRaw(t, { sources: SOURCES });
  const client = await connect();
  const expected: object[] = [];
  for (const { path } of SOURCES) {
    for (const type of ['application/json', 'application/json; charset=utf-8']) {
      await client.send(post({ ...headers, 'Content-Type': type, 'Content-Length': 33 }, data, path));
      t.match(await client.answer(), { status: 202, body: '{"status":"accepted"}\n' });
      expected.push({ ...attributes, datacontenttype: type, data: { message: 'Hello World!' } });
    }
    for (const type of ['application/cloudevents+json', 'Application/CloudEvents+JSON; charset=utf-8']) {
      const body = structured.replace(/\n}$/, `,\n    "data": ${data}\n}`);
      const { length } = body;
      await client.send(post({ 'Content-Type': type, 'Content-Length': length }, body, path));
      t.match(await client.answer(), { status: 202, body: '{"status":"accepted"}\n' });
      expected.push({
        ...attributes,
        datacontenttype: 'application/json',
        data: { message: 'Hello World!' },
      });
    }
    await client.send(post({ ...BATCH, 'Content-Length': 2 }, '[]', path));
    t.match(await client.answer(), { status: 202, body: '{"status":"accepted","count":0}\n' });
  }
  t.equal(server.handedOverConnections, 0, 'all of it on the fast path');
  await sink.received(expected.length);
  t.match(
    sink.lines.map((line) => JSON.parse(line) as object),
    expected,
  );
});

void t.test('events are as the conformance tests of the JSON format have them', (t) => {
  const valid: Record<string, Record<string, unknown>> = {
    minimal: {},
    'unset attributes': { datacontenttype: null, dataschema: null, subject: null, time: null },
    'all attributes': {
      datacontenttype: 'text/plain',
      dataschema: 'https://cloudevents.io/dataschema',
      subject: 'tests',
      time: '2018-04-05T17:31:00Z',
    },
    nanoseconds: { time: '2018-04-05T17:31:00.000000000Z' },
    'before UTC': { time: '2018-04-05T16:31:00-01:00' },
    'a relative source': { source: '#fragment' },
    'a text': { datacontenttype: 'text/plain', data: 'Simple text' },
    'null as data': { data: null },
    'all types of extensions': {
      extinteger: 10,
      extboolean: true,
      extstring: 'text',
      exturi: 'https://cloudevents.io',
      exturiref: '//authority/path',
      exttimestamp: '2023-03-31T15:12:00Z',
      extbinary: 'TWE=',
    },
    'unset data_base64': { data: 1, data_base64: null },
    'as Forebay delivers it': { data: null, data_base64: 'TWE=' },
    'the smallest and largest integer': { a: -2147483648, b: 2147483647, c: '' },
  };
  for (const [name, members] of Object.entries(valid)) {
    const event = { ...MINIMAL, ...members };
    const delivered = { ...event, data: members['data'] ?? null };
    t.same(taken(t, JSON_EVENT, JSON.stringify(event)), [delivered], name);
    t.same(taken(t, BATCH, JSON.stringify([event, MINIMAL, MINIMAL])), [
      delivered,
      { ...MINIMAL, data: null },
      { ...MINIMAL, data: null },
    ]);
  }

  const invalid: Record<string, readonly unknown[]> = {
    specversion: [undefined, null, '', '0.9', '0.3', '1.0.2', 1],
    id: [undefined, null, '', 25, { xyz: 'abc' }, 'a\nb', '\udead'],
    type: [undefined, null, '', true, ['a']],
    source: [undefined, null, '', 5, 'a b', '1a:b', 'http://[x'],
    time: [
      '',
      'lunchtime',
      '2018-04-05T18:31Z',
      '2018-04-05T18:31:00X',
      '2018-04-05T18:31:00+25:00',
      1522947060,
    ],
    datacontenttype: ['', 'xyz', 5, 'text/plain; charset', `text/plain;a="${'b'.repeat(2 ** 19)}"`],
    dataschema: ['', '/relative', 'a b:c', {}],
    subject: ['', 5, 'a\u0007', '\ufdd0'],
    data_base64: ['...', 'TWE', 5, {}],
    MyExtension: ['bad', null],
    'my.extension': [1.5],
    my_extension: ['bad'],
    é: ['bad'],
    extension: [1.5, 2147483648, -2147483649, 1e300, {}, [], 'a\u0000', '\ud800'],
  };
  for (const [field, values] of Object.entries(invalid)) {
    for (const value of values) {
      const event = { ...MINIMAL, [field]: value };
      const note = `${field}: ${JSON.stringify(value)?.slice(0, 100)}`;
      isRefused(t, JSON_EVENT, JSON.stringify(event), field, note);
    }
  }
  const both = { ...MINIMAL, data: 'text', data_base64: 'eyAieHl6IjogMTIzIH0=' };
  isRefused(t, JSON_EVENT, JSON.stringify(both), 'data_base64', 'both');
  isRefused(t, JSON_EVENT, `{"":1,${JSON.stringify(MINIMAL).slice(1)}`, '', 'an extension without a name');
  const prototype = `{"__proto__":{"id":"a"},"specversion":"1.0","source":"/","type":"t"}`;
  isRefused(t, JSON_EVENT, prototype, 'id', 'nothing is inherited');
  t.end();
});

void t.test(
  'a batch is refused as a whole and the event is named, or the good ones are taken if asked',
  (t) => {
    const other = { ...MINIMAL, specversion: '0.9' };
    const batch = JSON.stringify([MINIMAL, other, 'not an object', { ...MINIMAL, id: 'last' }]);
    const strict = readBoth(t, BATCH, batch);
    t.match(strict, {
      error: {
        code: 'EVENT_FIELD',
        field: 'specversion',
        index: 1,
        message: /^Event 1: Attribute "specversion"/,
      },
    });
    const lenient = readBoth(t, { ...BATCH, Prefer: 'handling=lenient' }, batch);
    if ('error' in lenient) throw lenient.error;
    t.equal(lenient.lines.length, 2);
    t.match(JSON.parse(lenient.answer.body.toString()), {
      status: 'accepted',
      count: 2,
      refused: [
        { index: 1, code: 'EVENT_FIELD', field: 'specversion' },
        { index: 2, code: 'EVENT_NOT_OBJECT' },
      ],
    });
    for (const [body, message] of [
      [JSON.stringify(MINIMAL), /must be a JSON array/],
      ['', /must be a JSON array/],
      ['"', /must be a JSON array/],
    ] as const)
      t.match(readBoth(t, BATCH, body), { error: { code: 'EVENT_NOT_OBJECT', message } });
    t.match(readBoth(t, JSON_EVENT, `[${JSON.stringify(MINIMAL)}]`), {
      error: { code: 'EVENT_NOT_OBJECT', message: /not an array/ },
    });
    t.match(readBoth(t, JSON_EVENT, ''), { error: { code: 'EVENT_NOT_JSON' } });
    t.end();
  },
);

void t.test('the content type decides what a request is', (t) => {
  const plain = '{"id":"a","type":"t","data":1}';
  const [cloudevents] = SOURCES;
  if (cloudevents === undefined) throw new Error('no source');
  t.match(read(events, { 'Content-Type': 'application/json' }, plain), { lines: [/^{"id":"a"/] });
  t.match(read(events, { 'Content-Type': 'application/json', 'ce-other': '1' }, plain), {
    lines: [/^{"id"/],
  });
  t.match(read(cloudevents, { 'Content-Type': 'application/json' }, plain), {
    error: { code: 'UNSUPPORTED_MEDIA_TYPE', message: /ce-specversion; Content-Type is application\/json/ },
  });
  for (const type of [
    'application/cloudevents',
    'application/cloudevents+xml',
    'application/cloudevents+avro',
    'application/cloudevents-batch+xml',
    'application/cloudevents-batch',
    'application/cloudevents+json; charset=utf-16',
    'application/cloudevents+json;;=',
  ])
    t.match(readBoth(t, { 'Content-Type': type, 'ce-id': 'a' }, plain), { error: { status: 415 } }, type);
  const headers = { ...JSON_EVENT, 'ce-specversion': '0.3', 'ce-id': '' };
  t.same(
    taken(t, headers, JSON.stringify(MINIMAL)),
    [{ ...MINIMAL, data: null }],
    'headers may be there, too',
  );
  t.end();
});

void t.test('a structured event keeps its own text', (t) => {
  const body = `\ufeff{"id":"\\u0061","specversion" : "1.0", "type":"t",\r\n"source":"/a","big":1,"big":2,\n"data":{"n":12345678901234567890,"m":1.0,"e":1e400,"s":"\\/\\ud83d\\ude00"}}\n`;
  const outcome = readBoth(t, JSON_EVENT, body);
  if ('error' in outcome) throw outcome.error;
  t.match(
    outcome.lines[0],
    /^{"id":"\\u0061","specversion" : "1.0", "type":"t", {2}"source":"\/a","big":1,"big":2, "data":{"n":12345678901234567890,"m":1.0,"e":1e400,"s":"\\\/\\ud83d\\ude00"},"timestamp":\d+}$/,
  );
  const own = JSON.stringify({ ...MINIMAL, timestamp: 'x' });
  t.match(
    read(events, JSON_EVENT, own),
    { lines: [`${own.slice(0, -1)},"data":null}`] },
    'an own timestamp stays',
  );
  t.end();
});

void t.test('what is too deep or too large is refused, in each mode', (t) => {
  const deep = (levels: number): string => '['.repeat(levels) + ']'.repeat(levels);
  const headers = { 'ce-specversion': '1.0', 'ce-id': 'a', 'ce-source': '/', 'ce-type': 't' };
  const json = { ...headers, 'Content-Type': 'application/json' };
  const structured = (data: string): string => `${JSON.stringify(MINIMAL).slice(0, -1)},"data":${data}}`;
  t.ok('lines' in readBoth(t, json, deep(99)));
  t.match(readBoth(t, json, deep(100)), { error: { code: 'EVENT_TOO_DEEP' } });
  t.match(readBoth(t, json, '['.repeat(2 ** 19)), { error: { code: 'EVENT_TOO_DEEP' } });
  t.ok('lines' in readBoth(t, JSON_EVENT, structured(deep(99))));
  t.match(readBoth(t, JSON_EVENT, structured(deep(100))), { error: { code: 'EVENT_TOO_DEEP' } });
  t.match(readBoth(t, BATCH, `[${structured(deep(100))}]`), { error: { code: 'EVENT_TOO_DEEP', index: 0 } });
  const long = Buffer.alloc(2 ** 20 - 100, 0xff);
  t.match(readBoth(t, headers, long), { error: { code: 'EVENT_TOO_LARGE', status: 413 } }, 'its line counts');
  t.match(readBoth(t, headers, Buffer.alloc(2 ** 20 + 1)), { error: { code: 'EVENT_TOO_LARGE' } });
  t.match(readBoth(t, JSON_EVENT, ' '.repeat(2 ** 20 + 4)), { error: { code: 'EVENT_TOO_LARGE' } });
  t.match(readBoth(t, BATCH, `[${structured(`"${'a'.repeat(2 ** 20)}"`)}]`), {
    error: { code: 'EVENT_TOO_LARGE', index: 0 },
  });
  for (const source of SOURCES)
    t.match(read(source, BATCH, `[${`${JSON.stringify(MINIMAL)},`.repeat(5)}1]`, { eventsMax: 5 }), {
      error: { code: 'BODY_TOO_LARGE' },
    });
  t.end();
});

void t.test('an answer that lists what was refused is short, however long their names are', (t) => {
  const one = JSON.stringify({ ...MINIMAL, ['X'.repeat(10_000)]: 1 });
  const outcome = readBoth(
    t,
    { ...BATCH, Prefer: 'handling=lenient' },
    `[${Array(100).fill(one).join(',')}]`,
  );
  if ('error' in outcome) throw outcome.error;
  t.ok(outcome.answer.body.length < 50_000, `${outcome.answer.body.length} bytes`);
  t.end();
});
