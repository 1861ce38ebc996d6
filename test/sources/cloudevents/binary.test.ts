import t from 'tap';
import { cloudeventsKind } from '../../../lib/sources/cloudevents/cloudevents-source.js';
import { openRaw, post } from '../../helpers/raw-door.js';
import { headOf, LIMITS, read, sourceOf } from '../../helpers/read-source.js';
import type { Headers } from '../../helpers/read-source.js';

const source = sourceOf(cloudeventsKind);
const HEADERS = { 'ce-specversion': '1.0', 'ce-id': 'a', 'ce-source': '/s', 'ce-type': 't' };

/** The line of an event, without its timestamp. */
function lineOf(headers: Headers, body: string | Buffer = ''): string {
  const outcome = read(source, { ...HEADERS, ...headers }, body);
  if ('error' in outcome) throw outcome.error;
  return (outcome.lines[0] ?? '').replace(/,"timestamp":\d+}$/, '}');
}

function eventOf(headers: Headers, body?: string | Buffer): Record<string, unknown> {
  return JSON.parse(lineOf(headers, body)) as Record<string, unknown>;
}

void t.test('the value of a header is unquoted, then decoded', (t) => {
  const values: Record<string, string> = {
    'Euro%20%E2%82%AC%20%F0%9F%98%80': 'Euro € 😀',
    'Euro%20%e2%82%ac': 'Euro €',
    '%41%7e': 'A~',
    '"a b"': 'a b',
    '"say \\"hi\\" \\\\ %20"': 'say "hi" \\  ',
    '%22a%22': '"a"',
    'say "hi"': 'say "hi"',
    '"open': '"open',
    '"': '"',
    '100%': '100%',
    '5%2': '5%2',
    '%zz%2525': '%zz%25',
    'a+b': 'a+b',
    [Buffer.from('café €').toString('latin1')]: 'café €',
    'caf\u00e9': 'café',
    [Buffer.from('é%C3%A9').toString('latin1')]: 'éé',
  };
  for (const [text, value] of Object.entries(values))
    t.equal(eventOf({ 'ce-subject': text })['subject'], value, text);
  for (const text of ['%C0%A0', '%ff', 'a%E2%82', '%ED%A0%80', '%F0%9F%98 %80'])
    t.match(read(source, { ...HEADERS, 'ce-subject': text }, ''), {
      error: {
        code: 'EVENT_FIELD',
        field: 'subject',
        message: /^Header ce-subject has an escape that is not UTF-8/,
      },
    });
  t.match(
    read(source, { ...HEADERS, 'ce-id': 'a%0Ab' }, ''),
    { error: { field: 'id' } },
    'no control characters',
  );
  t.end();
});

void t.test('a header that is missing or wrong is named', (t) => {
  for (const name of Object.keys(HEADERS)) {
    const field = name.slice(3);
    const { [name]: removed, ...others } = HEADERS as Record<string, string>;
    t.ok(removed);
    t.match(read(source, others, '{}'), {
      error: { status: 400, field, message: `Header ${name} is missing` },
    });
    const empty = read(source, { ...HEADERS, [name]: '' }, '{}');
    t.match(empty, { error: { status: 400, field, message: new RegExp(`^Header ${name} must be`) } });
  }
  const wrong: Record<string, string> = {
    time: 'yesterday',
    dataschema: 'x',
    subject: '',
    specversion: '0.3',
    data: '1',
    data_base64: 'TWE=',
    datacontenttype: 'text/plain',
    'my-extension': 'x',
    my_extension: 'x',
    ['__proto__']: 'x',
    '': 'x',
  };
  for (const [field, value] of Object.entries(wrong)) {
    const outcome = read(source, { ...HEADERS, [`ce-${field}`]: value }, '');
    t.match(outcome, { error: { code: 'EVENT_FIELD', status: 400, field } }, field);
  }
  t.match(read(source, { ...HEADERS, 'Content-Type': 'xyz' }, ''), {
    error: { field: 'datacontenttype', message: /^Content-Type must be a media type/ },
  });
  t.end();
});

void t.test('the body is the data: its JSON text, a string, or Base64', (t) => {
  const start = '{"specversion":"1.0","id":"a","source":"/s","type":"t"';
  const typed = (type: string, body: string | Buffer): string => {
    const line = lineOf({ 'Content-Type': type }, body);
    t.ok(line.startsWith(`${start},"datacontenttype":${JSON.stringify(type)},`), line);
    return line.slice(line.indexOf(',"data"', start.length + 10) + 1, -1);
  };
  for (const type of ['application/json', 'text/json; charset=utf-8', 'Application/Vnd.X+JSON']) {
    t.equal(
      typed(type, '{"n":12345678901234567890,\n"m":1.0,"e":1e400}'),
      '"data":{"n":12345678901234567890, "m":1.0,"e":1e400}',
    );
    t.equal(typed(type, '\ufeff [1,\r\n2] \n'), '"data":[1,  2]');
    t.equal(typed(type, 'null'), '"data":null');
    t.match(read(source, { ...HEADERS, 'Content-Type': type }, '{'), { error: { code: 'EVENT_NOT_JSON' } });
    t.match(read(source, { ...HEADERS, 'Content-Type': type }, ' '), { error: { code: 'EVENT_NOT_JSON' } });
    const latin = read(source, { ...HEADERS, 'Content-Type': type }, Buffer.from('"\xe9"', 'latin1'));
    t.match(latin, { error: { code: 'BODY_NOT_UTF8', position: 1 } });
  }
  t.equal(typed('text/plain', 'a "b"\r\n\té\u{1f600}'), '"data":"a \\"b\\"\\r\\n\\té\u{1f600}"');
  t.equal(typed('image/svg+xml', '<svg/>'), '"data":"<svg/>"');
  t.equal(typed('application/x-www-form-urlencoded', 'a=1&b=%20'), '"data":"a=1&b=%20"');
  const base64 = (body: string | Buffer): string =>
    `"data":null,"data_base64":"${Buffer.from(body).toString('base64')}"`;
  t.equal(typed('text/plain', 'a\0b'), base64('a\0b'), 'a text with a zero is none');
  t.equal(typed('text/plain', Buffer.of(0xe9)), base64(Buffer.of(0xe9)));
  t.equal(typed('text/plain; charset=iso-8859-1', 'abc'), base64('abc'));
  t.equal(typed('application/json; charset=utf-16', 'abc'), base64('abc'));
  for (const type of ['application/octet-stream', 'image/png', 'audio/mpeg', 'video/mp4', 'font/woff2'])
    t.equal(typed(type, 'abc'), base64('abc'), type);
  for (const type of ['text/plain', 'application/json', 'application/octet-stream'])
    t.equal(typed(type, ''), '"data":null', 'there is no data');

  t.equal(lineOf({}), `${start},"data":null}`);
  t.equal(lineOf({}, '{"a":\n1.0}'), `${start},"data":{"a": 1.0}}`, 'without a type: JSON if it is JSON');
  t.equal(lineOf({}, 'abc'), `${start},"data":"abc"}`);
  t.equal(lineOf({}, Buffer.of(255)), `${start},"data":null,"data_base64":"/w=="}`);
  t.end();
});

void t.test('a body is bounded while it comes, and a client that asks for it hears of each event', (t) => {
  for (const [headers, first] of [
    [HEADERS, 'a'],
    [{ 'Content-Type': 'application/cloudevents+json' }, '['],
  ] as const) {
    const reader = source.readerFor(headOf(headers), { ...LIMITS, eventBytesMax: 100 })(0);
    reader.append(Buffer.alloc(100, first));
    t.throws(
      () => {
        reader.append(Buffer.alloc(10));
      },
      { code: 'EVENT_TOO_LARGE' },
    );
  }
  t.match(read(source, { ...HEADERS, Prefer: 'handling=lenient' }, ''), {
    answer: { status: 202, body: '{"status":"accepted","count":1,"refused":[]}\n' },
  });
  t.end();
});

void t.test('extensions are strings, and one may be the timestamp', (t) => {
  const headers = {
    'CE-Traceparent': '00-4bf9',
    'ce-number': '5',
    'ce-1': 'x',
    'ce-empty': '',
    'ce-timestamp': '2018',
  };
  const outcome = read(source, { ...HEADERS, ...headers }, '1');
  t.match(outcome, {
    lines: [
      '{"1":"x","specversion":"1.0","id":"a","source":"/s","type":"t","traceparent":"00-4bf9","number":"5","empty":"","timestamp":"2018","data":1}',
    ],
  });
  t.end();
});

void t.test('both ways to read HTTP see the same headers, and the fast path takes them', async (t) => {
  const { connect, sink, server } = await openRaw(t, { sources: [source] });
  const headers = {
    ...HEADERS,
    'CE-Subject': ' "a b"\t',
    'ce-ext': 'x%20y',
    'X-Other': 'z',
    'Content-Length': 2,
  };
  const bytes = post(headers, '{}', source.path).replace('\r\n\r\n', '\r\nce-ext: 2\r\n\r\n');
  const client = await connect();
  for (const each of [bytes, bytes.replace('ce-id: a', 'ce-id: b'), bytes.replace('X-Other', 'Expect')]) {
    t.equal(server.handedOverConnections, 0);
    await client.send(each.replace('Expect: z', 'Expect: 100-continue'));
    const answer = await client.answer();
    if (answer.status === 100) t.equal((await client.answer()).status, 202);
    else t.equal(answer.status, 202);
  }
  t.equal(server.handedOverConnections, 1);
  const raw = post({ ...HEADERS, 'Content-Length': 0 }, '', source.path).replace(
    'ce-id: a',
    'ce-id: caf\u00e9',
  );
  await client.send(Buffer.from(raw, 'latin1'));
  t.equal((await client.answer()).status, 202);
  await sink.received(4);
  const [first, second, third, fourth] = sink.lines.map((line) => line.replace(/"timestamp":\d+/, ''));
  t.match(first, /"id":"a".*"subject":"a b","ext":"x y, 2","datacontenttype":"application\/json","data":{}/);
  t.equal(second, first?.replace('"id":"a"', '"id":"b"'));
  t.equal(third, first);
  t.match(fourth, /"id":"café"/);
});
