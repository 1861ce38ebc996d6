import { CloudEvent, emitterFor, HTTP, httpTransport, Mode } from 'cloudevents';
import type { CloudEventV1 } from 'cloudevents';
import fc from 'fast-check';
import t from 'tap';
import { cloudeventsKind } from '../../../lib/sources/cloudevents/cloudevents-source.js';
import { events } from '../../../lib/sources/events/events-source.js';
import { openRaw } from '../../helpers/raw-door.js';
import { read, sourceOf } from '../../helpers/read-source.js';
import { SEED } from '../../helpers/seed.js';

const source = sourceOf(cloudeventsKind);
const STRUCTURED = { 'Content-Type': 'application/cloudevents+json' };
type Members = Record<string, unknown>;

const ATTRIBUTES = { source: '/shop/1', type: 'com.example.sold', time: '2018-04-05T17:31:00.000Z' };
const BYTES = Uint8Array.from({ length: 256 }, (_, index) => index);
/** What users of the SDK send. */
const SENT: readonly Partial<CloudEventV1<unknown>>[] = [
  { id: 'object', data: { n: 1.5, s: 'é\u{1f600}\n', list: [null, true] } },
  { id: 'array', data: [1, 2], subject: 'cart 1', dataschema: 'https://example.com/s#a' },
  { id: 'null', data: null, ext1: 'x', ext2: true, ext3: -5 },
  { id: 'text', data: 'a text\nof "lines"', datacontenttype: 'text/plain', traceparent: '00-4bf9-00f0-01' },
  { id: 'xml', data: '<much wow="xml"/>', datacontenttype: 'application/xml' },
  { id: 'bytes', data: BYTES, datacontenttype: 'application/octet-stream' },
  { id: 'image', data: Buffer.from(BYTES), datacontenttype: 'image/png' },
  { id: 'base64', data_base64: 'TWE=', datacontenttype: 'application/octet-stream' },
];

/** What the sink gets of an event that the SDK sends: what it says in JSON, with `data`. */
function delivered(event: CloudEvent<unknown>, mode: Mode): Members {
  const json = JSON.parse(JSON.stringify(event)) as Members;
  if (json['data_base64'] !== undefined || json['data'] === undefined) json['data'] = null;
  if (mode === Mode.STRUCTURED) return json;
  const { data, data_base64: bytes, ...attributes } = json;
  const texts = Object.entries(attributes).map(([name, value]) => [name, String(value)]);
  const type = { datacontenttype: 'application/json; charset=utf-8' };
  return {
    ...type,
    ...(Object.fromEntries(texts) as Members),
    data,
    ...(bytes !== undefined && { data_base64: bytes }),
  };
}

void t.test('what the official SDK sends comes out as it was sent', async (t) => {
  const { server, sink } = await openRaw(t, { sources: [source, events] });
  const all = SENT.map((each) => new CloudEvent({ ...ATTRIBUTES, ...each }));
  const expected: Members[] = [];
  for (const { path } of [source, events]) {
    for (const mode of [Mode.BINARY, Mode.STRUCTURED]) {
      const emit = emitterFor(httpTransport(`http://127.0.0.1:${server.port}${path}`), { mode });
      for (const event of all) {
        const answer = (await emit(event)) as { body: string };
        t.equal(answer.body, '{"status":"accepted"}\n', `${mode} ${event.id}`);
        expected.push(delivered(event, mode));
      }
    }
    const batch = await fetch(`http://127.0.0.1:${server.port}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/cloudevents-batch+json' },
      body: JSON.stringify(all),
    });
    t.equal(await batch.text(), `{"status":"accepted","count":${all.length}}\n`);
    expected.push(...all.map((event) => delivered(event, Mode.STRUCTURED)));
  }
  await sink.received(expected.length);
  const got = sink.lines.map((line) => JSON.parse(line) as Members);
  for (const [index, { timestamp, ...event }] of got.entries()) {
    t.equal(typeof timestamp, 'number');
    t.same(event, expected[index]);
  }
});

void t.test('what the SDK sends without the encoding that the binding demands', (t) => {
  const sent = (members: Members): Members => {
    const { headers, body } = HTTP.binary(new CloudEvent({ ...ATTRIBUTES, data: {}, ...members }));
    const texts = Object.entries(headers).map(([name, value]) => [name, String(value)]);
    const outcome = read(source, Object.fromEntries(texts) as Record<string, string>, body as string);
    if ('error' in outcome) return { code: outcome.error.code, message: outcome.error.message };
    return JSON.parse(outcome.lines[0] ?? '') as Members;
  };
  for (const subject of ['say "hi"', '100%', 'caf\u00e9', 'a b'])
    t.equal(sent({ subject })['subject'], subject);
  t.equal(sent({ subject: 'a%20b' })['subject'], 'a b', 'as any receiver must decode it');
  t.match(sent({ data: 'no JSON' }), { code: 'EVENT_NOT_JSON', message: /JSON by its Content-Type/ });
  t.equal(sent({ data: '"JSON"' })['data'], 'JSON');
  t.equal(sent({ data: 'a text', datacontenttype: 'text/plain' })['data'], 'a text');
  t.end();
});

const text = fc.oneof(
  fc.string({ unit: 'grapheme', maxLength: 8 }),
  fc.constantFrom('', 'a', 'a b', '/x', 'https://a/b', 'a#b#c', '%zz', 'lunchtime', '1.0', 'é', 'a\nb'),
);
const value = fc.oneof(
  text,
  fc.integer(),
  fc.boolean(),
  fc.constant(null),
  fc.double(),
  fc.constant({ a: 1 }),
);
/** Mostly what fits. */
const mostly = (
  fitting: fc.Arbitrary<unknown>,
  other: fc.Arbitrary<unknown> = value,
): fc.Arbitrary<unknown> => fc.oneof({ weight: 12, arbitrary: fitting }, { weight: 1, arbitrary: other });
const word = fc.stringMatching(/^[ -~]{1,9}$/);
const members = fc
  .tuple(
    fc.record(
      {
        specversion: mostly(fc.constant('1.0')),
        id: mostly(word, text),
        source: mostly(fc.webUrl(), text),
        type: mostly(word, text),
        datacontenttype: mostly(fc.constantFrom('text/plain', 'application/json', null)),
        dataschema: mostly(fc.webUrl({ withFragments: true })),
        subject: mostly(word),
        time: mostly(
          fc
            .date({ min: new Date(0), noInvalidDate: true, max: new Date(4e12) })
            .map((date) => date.toISOString()),
        ),
        data: fc.jsonValue(),
      },
      { requiredKeys: ['specversion', 'id', 'source', 'type'] },
    ),
    fc.oneof({ weight: 12, arbitrary: fc.constant(undefined) }, mostly(fc.base64String({ minLength: 4 }))),
    fc.dictionary(mostly(fc.stringMatching(/^[a-z\d]{9}$/), text) as fc.Arbitrary<string>, mostly(word), {
      maxKeys: 2,
    }),
  )
  // as JSON has it: infinities are null
  .map(
    ([core, bytes, extensions]) =>
      JSON.parse(JSON.stringify({ ...extensions, ...core, data_base64: bytes })) as Members,
  );

/** What we refuse and the SDK does not look at. */
const SDK_TAKES =
  /control characters|32 bits|Base64|beside "data"|is missing|media type|lower-case letters|must be a(?:n| non)/;

void t.test('what we take the SDK takes, too, and reads the same', (t) => {
  const seen = { taken: 0, refusedByBoth: 0, refusedByUs: 0 };
  const check = (event: Members): void => {
    const outcome = read(source, STRUCTURED, JSON.stringify(event));
    let theirs: Members | Error;
    try {
      theirs = JSON.parse(JSON.stringify(new CloudEvent(event))) as Members;
    } catch (error) {
      theirs = error as Error;
    }
    if ('error' in outcome) {
      seen[theirs instanceof Error ? 'refusedByBoth' : 'refusedByUs']++;
      if (!(theirs instanceof Error)) fc.pre(SDK_TAKES.test(outcome.error.message));
      return;
    }
    seen.taken++;
    if (theirs instanceof Error) throw new Error(`the SDK refuses what we take: ${theirs.message}`);
    const ours = JSON.parse(outcome.lines[0] ?? '') as Members;
    for (const [name, each] of Object.entries(event)) {
      if (each === null || ['data', 'time', 'timestamp'].includes(name)) continue;
      if (JSON.stringify(ours[name]) !== JSON.stringify(theirs[name])) throw new Error(`${name} differs`);
    }
    const data = event['data'] ?? null;
    if (JSON.stringify(ours['data']) !== JSON.stringify(data)) throw new Error('data differs');
  };
  fc.assert(fc.property(members, check), { seed: SEED, numRuns: 3000 });
  t.ok(seen.taken > 100 && seen.refusedByBoth > 100 && seen.refusedByUs > 10, JSON.stringify(seen));
  t.end();
});

void t.test('where the SDK rounds a number we keep its digits', (t) => {
  const body = `{"specversion":"1.0","id":"a","source":"/","type":"t","data":{"n":12345678901234567890}}`;
  const theirs = HTTP.toEvent({ headers: { 'content-type': STRUCTURED['Content-Type'] }, body });
  t.match(JSON.stringify(theirs), '12345678901234567000');
  t.match(read(source, STRUCTURED, body), { lines: [/12345678901234567890/] });
  t.end();
});
