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
import { linesOfMessage, messageOf } from '../../../lib/logs/jetstream/message.js';
import { idsOf } from '../../helpers/running-forebay.js';
import { SEED } from '../../helpers/seed.js';

const RUN = '0123456789abcdef';
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

void t.test('events beside known ones are in a message as a whole, with their contexts', (t) => {
  const holds = fc.property(REQUESTS, (requests) => {
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
    const message = messageOf(chunk.part, RUN);
    const read = linesOfMessage(message);
    const found = idsOf(String(read.bytes).split('\n').slice(0, -1));
    const of = Object.fromEntries(
      found.map((id, index) => [id, read.contexts[index]?.traceparent ?? null] as const),
    );
    t.strictSame({ damaged: read.damaged.length, of }, { damaged: 0, of: contexts });
    const isCut = requests[0]?.isCut === true;
    const most = whole.bytes + RUN_MARK_BYTES + (isCut ? CONTEXT_BYTES_MORE : 0);
    t.ok(message.length <= most, 'what is left out makes a message no larger');
  });
  fc.assert(holds, { seed: SEED, numRuns: 300 });
  t.end();
});
