import { isUtf8 } from 'node:buffer';
import fc from 'fast-check';
import t from 'tap';
import { eventLine, timestampEnd } from '../../lib/event/event.js';
import { EventScan, NOT_CERTAIN } from '../../lib/event/event-scan.js';
import { SEED } from '../helpers/seed.js';

const ARRIVED_MS = 7;
const scan = new EventScan(128);

/** The line of the event that the scan finds at `start`; `null` where it is not certain. */
function scanned(bytes: Buffer, start = 0): string | null {
  const end = scan.endOf(bytes, start);
  if (end === NOT_CERTAIN) return null;
  const tail = scan.hasTimestamp ? '' : timestampEnd(ARRIVED_MS);
  return bytes.toString('utf8', start, tail === '' ? end : end - 1) + tail;
}

/** The line of the event by way of `JSON.parse`; `null` where it is none. */
function parsed(text: string): string | null {
  try {
    return eventLine(text, ARRIVED_MS, 128);
  } catch {
    return null;
  }
}

/** Whether the scan agrees with `JSON.parse`, as far as it is certain. */
function agrees(bytes: Buffer): boolean {
  const end = scan.endOf(bytes, 0);
  if (end === NOT_CERTAIN) return true;
  return scanned(bytes) === parsed(bytes.toString('utf8', 0, end));
}

/** Good texts of which the scan need not be certain. */
const RARE = /^\s|\s$|[\n\r\\]/;

const RICH = [
  '{"id":"a\\u00e9\\n","type":"t/\u{e9}","data":{"n":[-0.5e+3,10,0],"s":"\u{1f600}"},"timestamp":null}',
  ' {"data" : [ ], "timestamp":17,"id":"b" ,\t"type":"\u{2028}","more":[true,false,null,{}]}'.slice(1),
  '{"type":"t","id":"","x":{"id":1,"type":2,"data":3},"id":"c","data":false,"data":1e9,"__proto__":{}}',
];

void t.test(
  'wherever one byte of an event is another, missing or too much, the scan agrees with JSON.parse',
  (t) => {
    const seen = { good: 0, bad: 0, uncertain: 0 };
    const hold = (bytes: Buffer): void => {
      if (!isUtf8(bytes)) return;
      const text = bytes.toString('utf8');
      const expected = parsed(text);
      const end = scan.endOf(bytes, 0);
      // what ends before the text does is found as well; its user sees what stands there
      const line = end === bytes.length ? scanned(bytes) : null;
      const isRare = line === null && expected !== null && RARE.test(text);
      if (line !== expected && !isRare)
        t.fail(`${JSON.stringify(text)} is ${expected} and was taken for ${line}`);
      if (!agrees(bytes))
        t.fail(`${JSON.stringify(text)} begins with no event and was taken for ${scanned(bytes)}`);
      seen[isRare ? 'uncertain' : expected === null ? 'bad' : 'good']++;
    };
    for (const text of RICH) {
      const event = Buffer.from(text);
      for (let at = 0; at <= event.length; at++) {
        hold(Buffer.concat([event.subarray(0, at), event.subarray(at + 1)]));
        hold(event.subarray(0, at));
        for (let byte = 0; byte < 256; byte++) {
          hold(Buffer.concat([event.subarray(0, at), Buffer.of(byte), event.subarray(at)]));
          hold(Buffer.concat([event.subarray(0, at), Buffer.of(byte), event.subarray(at + 1)]));
        }
      }
    }
    t.ok(seen.good > 10_000 && seen.bad > 10_000, JSON.stringify(seen));
    t.ok(seen.uncertain < seen.good / 10);
    t.end();
  },
);

void t.test('every value that JSON has an edge at is taken where JSON.parse takes it', (t) => {
  const values = [
    '0,-0,1,-1,10,1.0,1.5,1e5,1E5,1e+5,1e-5,1.5e400,-1e400,0.0,0e0,12345678901234567890',
    '01,-01,00,-,+1,.5,1.,1.e5,1e,1e+,1e5.5,0x1,1_0,NaN,Infinity,-Infinity,--1,1a,0-',
    'true,false,null,tru,nul,truee,True,undefined,nulL,falsefalse',
    '"","a","\\"","\\\\","\\/","\\b\\f\\n\\r\\t","\\u0000","\\uABcd","\\ud800","\\udc00\\ud800"',
    '"\\x","\\u","\\u12","\\u123g","\\U0041","\\","\\\\\\","\\a","\\0","\\\'",\'a\',"a,a",a"b"',
    '"\u{2028}\u{2029}\u{85}\u{7f}\u{feff}\u{a0}","\u{1f600}","\t","\u{0}","\u{1f}","\u{b}"',
    '{},[],[[]],[{}],{"a":{}},{"a":[]},[1|2],[1|],[|1],[|],[1 2],{|},{"a":1|},{|"a":1},{"a" 1}',
    '{"a"},{"a":},{:1},{1:1},{a:1},{"\\u0061":1},{"":1},{"a":1|"a":2},{"a":1 "b":2},[],[}],{],[1},{"a":1]',
    ' 1 ,\t1\t,\u{a0}1,1\u{a0},\u{feff}1,1\u{feff},\u{b}1,\u{c}1,1\u{2028},\u{3000}1,\u{85}1,//1,/**/1,1;',
    ',1 1,"a" "b",{} {},1|1',
  ];
  const wrong: string[] = [];
  let taken = 0;
  for (const value of values.flatMap((list) => list.split(',')).map((each) => each.replaceAll('|', ','))) {
    for (const text of [
      `{"id":"a","type":"t","data":${value}}`,
      `{"id":"a","type":"t","timestamp":1,"data":[${value}]}`,
      `{"data":{"d":${value},"e":1},"id":"a","type":"t"}`,
      `{"id":${value},"type":"t","data":1,"timestamp":${value}}`,
      `{"id":"a","type":${value},"data":1}`,
      `{"id":"a","id":${value},"type":"t","data":1}`,
    ]) {
      const bytes = Buffer.from(text);
      const end = scan.endOf(bytes, 0);
      const line = end === bytes.length ? scanned(bytes) : null;
      if (line !== parsed(text) || !agrees(bytes)) wrong.push(text);
      if (end !== NOT_CERTAIN) taken++;
    }
  }
  t.same(wrong, []);
  t.ok(taken > 100);
  t.end();
});

void t.test('of what is rare it is not certain', (t) => {
  const rare = [
    '{"\\u0069d":"a","type":"t","data":1}',
    '{"id":"a","type":"t","data":1,"\\u0069d":""}',
    '{"id":"a","type":"t","data":1,"timest\\u0061mp":1}',
    '{\n"id":"a","type":"t","data":1}',
    '{"id":"a","type":"t","data":1\r}',
    ' {"id":"a","type":"t","data":1}',
    '\u{feff}{"id":"a","type":"t","data":1}',
    `{"id":"a","type":"t","data":${'['.repeat(100)}${']'.repeat(100)}}`,
    '{}',
    '',
  ];
  for (const text of rare) t.equal(scan.endOf(Buffer.from(text), 0), NOT_CERTAIN, JSON.stringify(text));
  const deep = 2 ** 20;
  t.equal(scan.endOf(Buffer.from('{"data":' + '['.repeat(deep)), 0), NOT_CERTAIN);
  t.equal(scan.endOf(Buffer.from('{"data":' + '{"a":'.repeat(deep)), 0), NOT_CERTAIN);
  t.end();
});

void t.test('it reads from where an event begins to where it ends, in bytes of any kind', (t) => {
  const event = '{"id":"a","type":"t","data":"\u{e9}"}';
  for (const bytes of [
    Buffer.from(`xx${event}`),
    Buffer.from(`xx${event}\n{"id"`),
    Buffer.from(`}}${event}}`),
  ]) {
    t.equal(scan.endOf(bytes, 2), 2 + Buffer.byteLength(event));
    t.equal(scanned(bytes, 2), parsed(event));
  }
  t.equal(scan.endOf(new Uint8Array(Buffer.from(event)), 0), Buffer.byteLength(event));
  const whole = Buffer.from(`${event}${event}`);
  for (let length = 0; length < Buffer.byteLength(event); length++)
    t.equal(scan.endOf(whole.subarray(0, length), 0), NOT_CERTAIN, 'not beyond the end of its bytes');
  t.end();
});

void t.test('every event that JSON.stringify makes is found', (t) => {
  const members = fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom('id', 'type', 'data', 'timestamp', '__proto__', 'constructor')),
    fc.oneof(fc.jsonValue({ maxDepth: 5 }), fc.string({ unit: 'binary' })),
  );
  let found = 0;
  const check = fc.property(members, fc.boolean(), (rest, isWhole) => {
    const text = JSON.stringify({ ...rest, ...(isWhole && { id: 'a', type: 't', data: 1 }) });
    const line = scanned(Buffer.from(text));
    if (line !== null) found++;
    return (
      line === parsed(text) ||
      (line === null && Object.keys(rest).some((name) => JSON.stringify(name).includes('\\')))
    );
  });
  fc.assert(check, { seed: SEED, numRuns: 3000 });
  t.ok(found > 1000);
  t.end();
});

void t.test('whatever is put together from pieces of JSON, the scan agrees with JSON.parse', (t) => {
  const pieces =
    '{ } [ ] , : " \\ "id":"a" "type":"t" "data": "timestamp":1 1 -0.5e1 true "b" \\u00e9 e 0 \u{e9}'.split(
      ' ',
    );
  const texts = fc.array(fc.constantFrom(...pieces, ' ', '\t', '\n', '\u0001'), { maxLength: 16 });
  let found = 0;
  const check = fc.property(texts, fc.boolean(), (tokens, isInside) => {
    const text = isInside ? `{"id":"a","type":"t","data":${tokens.join('')}}` : `{${tokens.join('')}}`;
    const bytes = Buffer.from(text);
    if (scan.endOf(bytes, 0) === bytes.length) found++;
    return agrees(bytes);
  });
  fc.assert(check, { seed: SEED, numRuns: 20_000 });
  t.ok(found > 50, `${found}`);
  t.end();
});
