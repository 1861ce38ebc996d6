import fc from 'fast-check';
import t from 'tap';
import { cloudeventsKind } from '../../../lib/sources/cloudevents/cloudevents-source.js';
import { events } from '../../../lib/sources/events/events-source.js';
import { read, sourceOf } from '../../helpers/read-source.js';
import type { Headers } from '../../helpers/read-source.js';
import { SEED } from '../../helpers/seed.js';

const SOURCES = [sourceOf(cloudeventsKind), events];
const LIMITS = { eventBytesMax: 2000, depthMax: 5, eventsMax: 4 };

/** What a connection can carry as the value of a header. */
const headerText = fc.oneof(
  fc.stringMatching(/^[ -~\u00a0-\u00ff]{0,12}$/),
  fc.constantFrom('1.0', 'a', '', '"a\\"b"', '%', '%e2%82%ac', '%ff', '2018-04-05T17:31:00Z', '"'),
);
const contentType = fc.oneof(
  headerText,
  fc.constantFrom('application/cloudevents+json', 'application/cloudevents-batch+json'),
  fc
    .tuple(
      fc.constantFrom(
        'application/cloudevents',
        'application/json',
        'text/plain',
        'image/png',
        'APPLICATION/',
      ),
      fc.constantFrom('', '+json', '-batch+json', '-batch', '+xml'),
      fc.constantFrom('', ';', '; charset=utf-8', '; charset=utf-16', ';a="'),
    )
    .map((parts) => parts.join('')),
);
const headers = fc
  .tuple(
    fc.record({ 'content-type': contentType, prefer: fc.constant('handling=lenient') }, { requiredKeys: [] }),
    fc.constantFrom({}, { 'ce-specversion': '1.0', 'ce-id': 'a', 'ce-source': '/s', 'ce-type': 't' }),
    fc.dictionary(
      fc.oneof(
        fc.stringMatching(/^ce-[!#-'*+.\d^-z|~-]{0,6}$/),
        fc.constantFrom('ce-id', 'ce-time', 'ce-data'),
      ),
      headerText,
      { maxKeys: 3 },
    ),
  )
  .map(([http, required, more]): Headers => ({ ...http, ...required, ...more }));

const EVENT = { specversion: '1.0', id: 'a', source: '/s', type: 't' };
const json = fc.jsonValue({ maxDepth: 2 });
const members = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({ data: json, x: fc.oneof(fc.integer(), fc.string()) }, { requiredKeys: [] }),
  },
  { weight: 1, arbitrary: fc.record({ data_base64: fc.oneof(fc.base64String(), json) }) },
  { weight: 1, arbitrary: fc.dictionary(fc.oneof(fc.constantFrom('time', '__proto__'), fc.string()), json) },
);
const event = fc
  .tuple(fc.constantFrom(EVENT, EVENT, EVENT, EVENT, {}), members)
  .map(([required, more]) => ({ ...required, ...more }));
const body = fc.oneof(
  fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
  fc.string({ unit: 'binary' }).map((text) => Buffer.from(text)),
  fc
    .oneof(event, fc.array(event, { maxLength: 5 }), fc.jsonValue())
    .chain((json) => fc.constantFrom(0, 1).map((space) => Buffer.from(JSON.stringify(json, null, space)))),
  fc.tuple(event, fc.nat(200)).map(([value, cut]) => Buffer.from(JSON.stringify(value).slice(0, cut))),
  fc.integer({ min: 0, max: 3000 }).map((levels) => Buffer.from('['.repeat(levels))),
);

void t.test('whatever is sent is refused with a status below 500, or delivered as an event', (t) => {
  const seen = new Map<string, number>();
  const check = (given: Headers, bytes: Buffer): void => {
    for (const source of SOURCES) {
      const outcome = read(source, given, bytes, LIMITS);
      const what = 'error' in outcome ? outcome.error.code : `${outcome.lines.length} lines`;
      seen.set(what, (seen.get(what) ?? 0) + 1);
      if ('error' in outcome) {
        const { status, message } = outcome.error;
        if (status === null || status >= 500 || message.length > 1000) throw new Error(message);
        continue;
      }
      for (const line of outcome.lines) {
        if (/[\n\r]/.test(line) || !line.startsWith('{') || !line.endsWith('}')) throw new Error(line);
        const delivered = JSON.parse(line) as Record<string, unknown>;
        const isText = (name: string): boolean =>
          typeof delivered[name] === 'string' && delivered[name] !== '';
        if (!isText('id') || !isText('type')) throw new Error(line);
        if (delivered['data'] === undefined || delivered['timestamp'] === undefined) throw new Error(line);
        if (Buffer.byteLength(line) > LIMITS.eventBytesMax + 100) throw new Error('too long');
      }
    }
  };
  fc.assert(fc.property(headers, body, check), { seed: SEED, numRuns: 20_000 });
  t.ok((seen.get('1 lines') ?? 0) > 500 && (seen.get('2 lines') ?? 0) > 20, JSON.stringify([...seen]));
  t.ok(seen.size >= 10, JSON.stringify([...seen]));
  t.end();
});

const attribute = fc
  .string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  .filter((text) => !/[\p{Cc}\p{Cs}\p{NChar}]/u.test(text));

void t.test('an event that is encoded as the binding has it is the one in JSON', (t) => {
  const check = (id: string, subject: string, data: unknown): void => {
    const attributes = { specversion: '1.0', id, source: '/s', type: 't', subject };
    const encoded = Object.entries(attributes).map(([name, value]) => [
      `ce-${name}`,
      value.replaceAll(/[^!#-$&-~]/gu, (char) => encodeURIComponent(char).replaceAll("'", '%27')),
    ]);
    const binary = read(
      SOURCES[0] ?? events,
      { ...(Object.fromEntries(encoded) as Headers), 'content-type': 'application/json' },
      JSON.stringify(data),
    );
    const structured = read(
      events,
      { 'content-type': 'application/cloudevents+json' },
      JSON.stringify({ ...attributes, datacontenttype: 'application/json', data }),
    );
    const [one, other] = [binary, structured].map((each) =>
      'error' in each ? each.error.message : (each.lines[0] ?? '').replace(/"timestamp":\d+/, ''),
    );
    if (one !== other) throw new Error(`${one} is not ${other}`);
  };
  fc.assert(fc.property(attribute, attribute, fc.jsonValue(), check), { seed: SEED, numRuns: 2000 });
  t.end();
});
