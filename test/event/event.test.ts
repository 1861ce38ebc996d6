import { isDeepStrictEqual } from 'node:util';
import fc from 'fast-check';
import t from 'tap';
import type { ForebayError } from '../../lib/base/errors.js';
import { decodeUtf8, eventLine } from '../../lib/event/event.js';
import { jsonErrorPosition } from '../../lib/base/json-position.js';
import { SEED } from '../helpers/seed.js';

const refusal = (text: string): Partial<ForebayError> => {
  try {
    eventLine(text, 0, 128);
  } catch (error) {
    return error as ForebayError;
  }
  throw new Error(`was taken: ${text}`);
};

void t.test('an event line is the JSON text that the client sent', (t) => {
  const kept = [
    '{"id":"a","type":"t","data":12345678901234567890,"timestamp":1}',
    '{"id":"a","type":"t","data":[1.0,-0,1e400,0.1e-7],"timestamp":1}',
    '{"timestamp":1,"data":null,"type":"t","id":"a"}',
    String.raw`{"id":"\u0061\/","type":"\ud800","data":"\n\r\u2028","timestamp":null}`,
    '{"id":"a","type":"t","data":"\u2028\u2029\u0085","timestamp":1}',
    '{"id":"x","id":"a","type":"t","data":1,"data":2,"timestamp":1}',
    '{"id":"a","type":"t","data":{},"timestamp":1,"__proto__":{"id":1},"constructor":null}',
    '{ "id" : "a" , "type":"t","data":[ ],"timestamp" : 1 }',
  ];
  for (const text of kept) t.equal(eventLine(text, 5, 128), text);
  t.end();
});

void t.test('line breaks between tokens become spaces, white space around goes', (t) => {
  const pretty = '\r\n{\n  "id": "a",\r\n\t"type": "t",\n"data": "\\n",\n"timestamp": 1\n}\n ';
  t.equal(eventLine(pretty, 5, 128), '{   "id": "a",  \t"type": "t", "data": "\\n", "timestamp": 1 }');
  t.end();
});

void t.test('a missing timestamp is added before the last brace, in milliseconds', (t) => {
  t.equal(
    eventLine('{"id":"a","type":"t","data":{"timestamp":1}}', 1234, 128),
    '{"id":"a","type":"t","data":{"timestamp":1},"timestamp":1234}',
  );
  t.equal(
    eventLine('{"id":"a","type":"t","data":1\n}', 1234, 128),
    '{"id":"a","type":"t","data":1 ,"timestamp":1234}',
  );
  t.end();
});

void t.test('a refused event names the field that is wrong', (t) => {
  const cases: [string, string][] = [
    ['{"type":"t","data":1}', 'id'],
    ['{"id":"","type":"t","data":1}', 'id'],
    ['{"id":7,"type":"t","data":1}', 'id'],
    ['{"id":null,"type":"t","data":1}', 'id'],
    ['{"__proto__":{"id":"a"},"type":"t","data":1}', 'id'],
    ['{"id":"a","data":1}', 'type'],
    ['{"id":"a","type":["t"],"data":1}', 'type'],
    ['{"id":"a","type":"t"}', 'data'],
  ];
  for (const [text, field] of cases) {
    t.match(
      refusal(text),
      { code: 'EVENT_FIELD', status: 400, field, message: new RegExp(`"${field}"`) },
      text,
    );
  }
  for (const text of ['null', '[]', '"a"', '1', 'true']) {
    t.match(refusal(text), { code: 'EVENT_NOT_OBJECT', status: 400 }, text);
  }
  t.end();
});

void t.test('text that is not JSON is refused with the position of the mistake', (t) => {
  const cases: [string, number][] = [
    ['', 0],
    ['   ', 3],
    ['abc', 0],
    ['{"id":"a",}', 10],
    ['{"id":"a" "type"}', 10],
    ['{"a":[1,2}', 9],
    ['{"a":1}}', 7],
    ['{"a":01}', 6],
    ['{"a":"\n"}', 5],
    ['{"a":"\\x"}', 5],
    ['{"a":nul}', 5],
    ['{\n"a": tru\n}', 7],
    ['\ufeff{}', 0],
    ['{"a":', 5],
    ["{'a':1}", 1],
  ];
  for (const [text, position] of cases) {
    t.match(refusal(text), { code: 'EVENT_NOT_JSON', status: 400, position }, JSON.stringify(text));
  }
  t.match(refusal('{\n "a": tru\n}').message, /line 2, column 7/);
  t.end();
});

void t.test('the position finder and JSON.parse agree on every text', (t) => {
  const tokens = fc.array(
    fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '1',
      '-',
      '0',
      '.5',
      'e3',
      'true',
      'nul',
      ' ',
      '\n',
      '\\u12',
      '\u0001',
    ),
    { maxLength: 12 },
  );
  const texts = fc.oneof(
    tokens.map((each) => each.join('')),
    fc.json(),
    fc.string(),
  );
  fc.assert(
    fc.property(texts, (text) => {
      let valid = true;
      try {
        JSON.parse(text);
      } catch {
        valid = false;
      }
      const position = jsonErrorPosition(text);
      return valid ? position === null : position !== null && position <= text.length;
    }),
    { seed: SEED, numRuns: 5000 },
  );
  t.end();
});

void t.test('a large or deep text that is not JSON is refused like any other', (t) => {
  const large = '{"a":"'.padEnd(2 ** 20, 'x');
  t.match(refusal(large), { code: 'EVENT_NOT_JSON', position: 5 });
  t.match(refusal('['.repeat(2 ** 20)), { code: 'EVENT_TOO_DEEP' });
  t.end();
});

void t.test('bytes that are not UTF-8 are refused with their position', (t) => {
  const cases: [Buffer, number][] = [
    [Buffer.from([0x7b, 0xff]), 1],
    [Buffer.from([0xe2, 0x82, 0x41]), 0],
    [Buffer.from([0x22, 0xef, 0xbf, 0x22]), 1],
    [Buffer.from([0x61, 0xed, 0xa0, 0x80]), 1],
    [Buffer.concat([Buffer.from('é\ufffd'), Buffer.from([0xc0])]), 5],
  ];
  for (const [body, position] of cases) {
    t.throws(() => decodeUtf8(body), { code: 'BODY_NOT_UTF8', position });
  }
  t.equal(decodeUtf8(Buffer.from('é\ufffd😀')), 'é\ufffd😀');
  t.end();
});

void t.test('any event that JSON.stringify can write comes through unchanged in meaning', (t) => {
  fc.assert(
    fc.property(fc.jsonValue(), fc.string({ minLength: 1 }), (data, id) => {
      const event = { id, type: 't', data, timestamp: 1 };
      const line = eventLine(JSON.stringify(event, null, 2), 0, 128);
      return !/[\n\r]/.test(line) && isDeepStrictEqual(JSON.parse(line), JSON.parse(JSON.stringify(event)));
    }),
    { seed: SEED, numRuns: 200 },
  );
  t.end();
});
