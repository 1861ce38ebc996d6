import { randomBytes } from 'node:crypto';
import zlib, { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import t from 'tap';
import { EventBlock } from '../../../lib/event/event-block.js';
import { BRACE, contentOfText, EventIds } from '../../../lib/event/event-ids.js';
import { SipHash } from '../../../lib/event/sip-hash.js';
import { blockBytes } from '../../../lib/logs/file/checksum.js';
import { CONTEXT_BYTES_MORE } from '../../../lib/logs/file/context-mark.js';
import { RUN_MARK_BYTES } from '../../../lib/logs/file/run-mark.js';
import { idSubject } from '../../../lib/logs/jetstream/ids/id-message.js';
import { IdChunk, partOf } from '../../../lib/logs/jetstream/ids/id-chunk.js';
import { lineBytesOf, linesOfMessage, messageOf } from '../../../lib/logs/jetstream/message.js';
import type { BatchPart } from '../../../lib/seams/event-log.js';
import { eventText, idsOf } from '../../helpers/running-forebay.js';
import { SEED } from '../../helpers/seed.js';

const RUN = '0123456789abcdef';
/** What gzip has before what it compresses, in bytes. */
const GZIP_HEAD = 10;
const STREAM = 'forebay-events';
const SCOPE = {
  source: 'events',
  hash: new SipHash(Buffer.alloc(16, 1)),
  windowMs: 1000,
  refusesConflicts: false,
  lastEvents: 1,
  holder: null,
  mask: [0, 0, 0],
} as const;

/** Which events of each request are known to the servers, and whether it came with a `traceparent`. */
const REQUESTS = fc.array(
  fc.record({
    known: fc.array(fc.boolean(), { minLength: 1, maxLength: 5 }),
    isTraced: fc.boolean(),
    isCut: fc.boolean(),
  }),
  { minLength: 1, maxLength: 8 },
);

void t.test('events beside known ones are in a message as a whole, with their contexts', async (t) => {
  const holds = fc.asyncProperty(REQUESTS, fc.boolean(), async (requests, isCompressed) => {
    const contexts: Record<string, string | null> = {};
    const known = new Map<string, { readonly key: Buffer; readonly content: number }>();
    const ranges = requests.map(({ known: areKnown, isTraced, isCut }, number) => {
      const names = areKnown.map((_isKnown, index) => `${number}-${index}`);
      const texts = names.map((name) => `{"id":"${name}","type":"t","data":0,"timestamp":1}`);
      const block = EventBlock.of(...texts);
      const digit = String(number + 1);
      const traceparent = isTraced ? `00-${digit.repeat(32)}-${digit.repeat(16)}-01` : null;
      block.context = traceparent === null ? null : { traceparent, isReplay: false };
      const ids = (block.ids = new EventIds(SCOPE, null, names.length));
      // the first request may have begun in a message before
      const from = number === 0 && isCut ? names.length - 1 : 0;
      for (const [index, name] of names.entries()) {
        ids.addJson(Buffer.from(name), 0, name.length, true, contentOfText(texts[index] ?? ''), BRACE);
        const subject = idSubject(STREAM, 'events', ids.words, ids.at(index));
        if (areKnown[index] === true) known.set(subject, { key: Buffer.alloc(12), content: 7 });
        else if (index >= from) contexts[name] = traceparent;
      }
      const request = { block, withdrawn: false, acknowledge: (): void => undefined };
      return { request, from, to: names.length };
    });
    const whole = partOf(ranges, blockBytes);
    const chunk = new IdChunk(STREAM, whole, Buffer.alloc(12, 1), blockBytes);
    chunk.leaveOut(known);
    const message = await messageOf(chunk.part, RUN, isCompressed);
    const { read, bytes } = await linesOfMessage(message);
    const found = idsOf(String(read.bytes).split('\n').slice(0, -1));
    const of = Object.fromEntries(
      found.map((id, index) => [id, read.contexts[index]?.traceparent ?? null] as const),
    );
    t.strictSame({ damaged: read.damaged.length, of }, { damaged: 0, of: contexts });
    const isCut = requests[0]?.isCut === true;
    const most = whole.bytes + RUN_MARK_BYTES + (isCut ? CONTEXT_BYTES_MORE : 0);
    t.ok(message.length <= most, 'what is left out makes a message no larger');
    t.equal(lineBytesOf(message), bytes.length);
  });
  await fc.assert(holds, { seed: SEED, numRuns: 300 });
});

/** The lines of this many events that a group brings, without anything random but their numbers. */
function partOfEvents(events: number, dataOf: (index: number) => string = () => 'same'): BatchPart {
  const texts = Array.from({ length: events }, (_each, index) => eventText(`id-${index}`, dataOf(index)));
  const request = { block: EventBlock.of(...texts), withdrawn: false, acknowledge: (): void => undefined };
  return partOf([{ request, from: 0, to: events }], blockBytes);
}

void t.test('several events are compressed as a gzip file of their lines, if that is smaller', async (t) => {
  const part = partOfEvents(100);
  const plain = await messageOf(part, RUN, false);
  const compressed = await messageOf(part, RUN, true);
  t.equal(plain[0], '{'.charCodeAt(0));
  t.ok(compressed.length * 6 < plain.length, `${compressed.length} of ${plain.length} bytes`);
  t.ok(gunzipSync(compressed).equals(plain));
  t.match(await linesOfMessage(compressed), { isPartial: false, damaged: [], read: { events: 100 } });
  t.ok((await linesOfMessage(compressed)).bytes.equals(plain));
  const few = partOfEvents(3);
  t.ok((await messageOf(few, RUN, true)).equals(await messageOf(few, RUN, false)), 'a few are not');
  // as many bits as characters, so only marks and names get smaller
  const random = randomBytes(3000).map((byte) => 32 + (byte & 63));
  const noise = partOfEvents(1, () => Buffer.from(random).toString('latin1').replaceAll(/["\\]/g, '-'));
  const most = (await messageOf(noise, RUN, false)).length;
  t.ok((await messageOf(noise, RUN, true)).length <= most, 'nothing gets larger');
});

void t.test(
  'of a damaged compressed message, sound events are read, and it goes aside as it is',
  async (t) => {
    const compressed = await messageOf(
      partOfEvents(200, (index) => String(index * index)),
      RUN,
      true,
    );
    const sound = (await linesOfMessage(compressed)).read.bytes.toString().split('\n');
    const counts: number[] = [];
    const bits = fc.integer({ min: 0, max: 8 * compressed.length - 1 });
    const holds = fc.asyncProperty(bits, async (bit) => {
      const data = Buffer.from(compressed);
      data[bit >> 3] = (data[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      const { read, damaged } = await linesOfMessage(data);
      const events = read.bytes.toString().split('\n').slice(0, -1);
      if (!events.every((event) => sound.includes(event))) throw new Error('it reads other events');
      // some bits of the head of gzip mean nothing
      if (damaged.length === 0) return bit < 8 * GZIP_HEAD && events.length === 200;
      counts.push(events.length);
      return Buffer.concat(damaged).equals(data);
    });
    await fc.assert(holds, { seed: SEED, numRuns: 500 });
    t.ok(counts.filter((count) => count > 0).length > counts.length / 2, 'mostly some are sound');
  },
);

void t.test('a message costs no more than it says that it has, whoever has made it', async (t) => {
  const zeros = gzipSync(Buffer.alloc(3_000_000));
  t.equal(lineBytesOf(zeros), 3_000_000);
  const says = (size: number): Buffer => {
    const data = Buffer.from(zeros);
    data.writeUInt32LE(size, data.length - 4);
    return data;
  };
  t.match(await linesOfMessage(says(1000)), { isPartial: true, read: { events: 0 } });
  t.ok((await linesOfMessage(says(1000))).bytes.length <= 1000);
  t.equal(lineBytesOf(says(0xffffffff)), zeros.length * 1032);
  const huge = Buffer.alloc(100_000, zeros);
  huge.writeUInt32LE(0xffffffff, huge.length - 4);
  t.equal(lineBytesOf(huge), 64 * 1024 * 1024);
  for (const short of [Buffer.of(), Buffer.of(0x1f), Buffer.of(0x1f, 0x8b), Buffer.of(0x1f, 0x8b, 0, 0, 0)]) {
    t.equal(lineBytesOf(short), short.length);
    t.ok(Buffer.concat((await linesOfMessage(short)).damaged).equals(short));
  }
});

void t.test(
  'without memory for zlib, a message is stored as it is, and none is taken for damaged',
  async (t) => {
    const part = partOfEvents(2000);
    const plain = await messageOf(part, RUN, false);
    const compressed = await messageOf(part, RUN, true);
    const failing = (code: string) => (_bytes: Buffer, _options: object, done: (error: Error) => void) =>
      done(Object.assign(new Error('no memory'), { code }));
    t.intercept(zlib, 'gzip', { value: failing('Z_MEM_ERROR') });
    t.ok((await messageOf(part, RUN, true)).equals(plain));
    for (const code of ['Z_MEM_ERROR', 'ERR_ZLIB_INITIALIZATION_FAILED']) {
      t.intercept(zlib, 'gunzip', { value: failing(code) });
      await t.rejects(linesOfMessage(compressed), { code });
    }
  },
);

void t.test('more lines than are ever read from a message are not compressed', async (t) => {
  const many = await messageOf(
    partOfEvents(1, () => 'x'.repeat(64 * 1024 * 1024)),
    RUN,
    true,
  );
  t.equal(many[0], '{'.charCodeAt(0));
  const most = await messageOf(
    partOfEvents(1, () => 'x'.repeat(64 * 1024 * 1024 - 1000)),
    RUN,
    true,
  );
  t.match(await linesOfMessage(most), { isPartial: false, read: { events: 1 } });
});
