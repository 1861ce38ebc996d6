import fc from 'fast-check';
import t from 'tap';
import { EventBlock } from '../../../lib/event/event-block.js';
import type { EventContext } from '../../../lib/event/event-context.js';
import { BRACE, contentOfText, EventIds } from '../../../lib/event/event-ids.js';
import { SipHash } from '../../../lib/event/sip-hash.js';
import { readBatchLines } from '../../../lib/logs/file/batch-lines.js';
import { blockBytes, soundLines } from '../../../lib/logs/file/checksum.js';
import { CONTEXT_BYTES_MORE, CONTEXT_MARKS_BYTES } from '../../../lib/logs/file/context-mark.js';
import { writeLines } from '../../../lib/logs/file/file-part.js';
import { ID_MARKS_BYTES } from '../../../lib/logs/file/ids/id-mark.js';
import {
  BATCH_MARK_BYTES,
  batchMark,
  MARKS,
  RUN_MARK_BYTES,
  runMark,
} from '../../../lib/logs/file/run-mark.js';
import type { EventContexts } from '../../../lib/seams/event-contexts.js';
import { eventText, idsOf } from '../../helpers/running-forebay.js';
import { SEED } from '../../helpers/seed.js';

const RUN = '0123456789abcdef';
const HASH = new SipHash(Buffer.alloc(16, 1));

type IdForm = 'none' | 'short' | 'of a holder' | 'long';

interface Request {
  readonly events: number;
  readonly ids: IdForm;
  readonly trace: number | null;
  readonly isReplay: boolean;
  /** The mark before its first line. */
  readonly run: 'none' | 'run' | 'batch';
  /** How many of its events come before, in another batch. */
  readonly before: number;
}

/** Traces that differ in one bit, or in all. */
function traceOf(n: number): string {
  const last = n < 8 ? (1 << n).toString(16).padStart(2, '0') : '00';
  const digit = n < 8 ? 'a' : (n % 10).toString();
  return `00-${digit.repeat(30)}${last}-${digit.repeat(16)}-01`;
}

function contextOf({ trace, isReplay }: Request): EventContext | null {
  return trace === null && !isReplay
    ? null
    : { traceparent: trace === null ? null : traceOf(trace), isReplay };
}

function idsFor(form: IdForm, texts: readonly string[]): EventIds | null {
  if (form === 'none') return null;
  const holder = form === 'of a holder' ? 5 : null;
  const about = { source: 'events', hash: HASH, windowMs: 1, refusesConflicts: false, lastEvents: 1 };
  const ids = new EventIds({ ...about, holder, mask: [0, 0, 0] }, null, texts.length);
  for (const text of texts) {
    const bytes = Buffer.from(text);
    if (form === 'long') ids.addText(text, 7);
    else ids.addJson(bytes, 0, bytes.length, true, contentOfText(eventText(text)), BRACE);
  }
  return ids;
}

interface Written {
  readonly lines: Buffer<ArrayBuffer>;
  /** What each event was sent with, by its id. */
  readonly contexts: ReadonlyMap<string, EventContext | null>;
}

function write(requests: readonly Request[]): Written {
  const all: Buffer[] = [];
  const contexts = new Map<string, EventContext | null>();
  for (const [number, request] of requests.entries()) {
    const { events, before, run, ids } = request;
    const names = Array.from({ length: before + events }, (_each, index) => `${number}-${index}`);
    const texts = names.map((name) => eventText(name));
    const block = EventBlock.of(...texts);
    block.context = contextOf(request);
    block.ids = idsFor(ids, names);
    for (const name of names.slice(before)) contexts.set(name, block.context);
    const mark = { none: null, run: runMark(RUN), batch: batchMark(RUN) }[run];
    const size = blockBytes(block, before, before + events);
    const target = Buffer.alloc(size + CONTEXT_BYTES_MORE + BATCH_MARK_BYTES);
    const queued = { block, withdrawn: false, acknowledge: () => undefined };
    const end = writeLines(target, 0, [{ request: queued, from: before, to: before + events }], mark);
    const more = before > 0 && request.trace !== null ? CONTEXT_BYTES_MORE : 0;
    if (end !== size + more + (mark?.length ?? 0)) throw new Error('the size is not that of the lines');
    all.push(target.subarray(0, end));
  }
  return { lines: Buffer.concat(all), contexts };
}

/** What each event came with. */
function read(bytes: Buffer, contexts: EventContexts): Map<string, EventContext | null> {
  const ids = idsOf(bytes.toString().split('\n').slice(0, -1));
  return new Map(ids.map((id, index) => [id, contexts[index] ?? null]));
}

const REQUESTS = fc.array(
  fc.record<Request>({
    events: fc.integer({ min: 1, max: 4 }),
    ids: fc.constantFrom<IdForm[]>('none', 'short', 'of a holder', 'long'),
    trace: fc.option(fc.integer({ min: 0, max: 12 })),
    isReplay: fc.boolean(),
    run: fc.constantFrom<Request['run'][]>('none', 'none', 'batch'),
    before: fc.constantFrom(0, 0, 2),
  }),
  { minLength: 1, maxLength: 6 },
);

void t.test('the length of all white space tells which marks a line has', (t) => {
  const forms = (1 + ID_MARKS_BYTES.length) * (1 + CONTEXT_MARKS_BYTES.length) * 3;
  t.equal(MARKS.size, forms);
  for (const [bytes, { run, context, id }] of MARKS) t.equal(run + context + id, bytes);
  t.end();
});

for (const ids of ['none', 'short', 'of a holder', 'long'] as const)
  for (const run of ['none', 'run', 'batch'] as const)
    void t.test(`contexts come back beside ids (${ids}) and the run (${run})`, (t) => {
      const about = { ids, run: 'none', before: 0 } as const;
      const requests: Request[] = [
        { ...about, run, events: 3, trace: 9, isReplay: false },
        { ...about, events: 1, trace: null, isReplay: false },
        { ...about, events: 2, trace: 10, isReplay: true, before: 2 },
        { ...about, events: 2, trace: null, isReplay: true },
        { ...about, events: 1, trace: 11, isReplay: false },
      ];
      const { lines, contexts } = write(requests);
      const whole = readBatchLines(Buffer.from(lines), true);
      t.same(read(whole.bytes, whole.contexts), contexts);
      t.equal(whole.runId, run === 'none' ? null : RUN);
      const sound = soundLines(Buffer.from(lines));
      t.same(read(sound?.bytes ?? Buffer.alloc(0), sound?.contexts ?? []), contexts);
      t.equal(sound?.runId, run === 'none' ? null : RUN);
      t.same(whole.starts.length, run === 'batch' ? 1 : 0);
      t.equal(whole.bytes.includes(' \n') || whole.bytes.includes('\t'), false, 'no mark is left');
      t.end();
    });

void t.test('lines that are read part by part have the contexts of the whole', (t) => {
  const check = fc.property(REQUESTS, fc.infiniteStream(fc.integer({ min: 1, max: 5 })), (requests, cuts) => {
    const { lines, contexts } = write(requests);
    const found = new Map<string, EventContext | null>();
    let traceBefore: string | null = null;
    for (let at = 0; at < lines.length;) {
      let end = at;
      const { value: count } = cuts.next();
      for (let line = 0; line < count && end < lines.length; line++) end = lines.indexOf('\n', end) + 1;
      const part = { hasMarks: true, isFirst: at === 0, traceBefore };
      const some = readBatchLines(Buffer.from(lines.subarray(at, end)), true, part);
      for (const [id, context] of read(some.bytes, some.contexts)) found.set(id, context);
      traceBefore = some.traceAfter;
      at = end;
    }
    t.strictSame(found, contexts);
  });
  fc.assert(check, { seed: SEED, numRuns: 50 });
  t.end();
});

/** @returns events that came with the `traceparent` of others, or are a replay and were none, or the other way round */
function wrong(found: ReadonlyMap<string, EventContext | null>, { contexts }: Written): string[] {
  return [...found].flatMap(([id, context]) => {
    const sent = contexts.get(id) ?? null;
    const traceparent = context?.traceparent ?? null;
    const isOther = traceparent !== null && traceparent !== sent?.traceparent;
    return isOther || (context?.isReplay ?? false) !== (sent?.isReplay ?? false) ? [id] : [];
  });
}

void t.test('damaged bits never give an event the context of another', (t) => {
  let missing = 0;
  const flips = fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), {
    minLength: 1,
    maxLength: 12,
  });
  const check = fc.property(REQUESTS, flips, (requests, places) => {
    const written = write(requests);
    const damaged = Buffer.from(written.lines);
    for (const place of places) {
      const bit = Math.floor(place * damaged.length * 8);
      damaged[bit >> 3] = (damaged[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    }
    const { bytes, contexts } = readBatchLines(damaged, true, {
      hasMarks: true,
      isFirst: true,
      traceBefore: null,
    });
    const found = read(bytes, contexts);
    for (const [id, context] of found)
      if ((context?.traceparent ?? null) !== (written.contexts.get(id)?.traceparent ?? null)) missing++;
    return wrong(found, written).length === 0;
  });
  fc.assert(check, { seed: SEED, numRuns: 5000 });
  t.ok(missing > 0, `${missing} events have lost theirs`);
  t.end();
});

void t.test('nor do lines that are gone', (t) => {
  const check = fc.property(REQUESTS, fc.infiniteStream(fc.boolean()), (requests, isGone) => {
    const written = write(requests);
    const lines = written.lines.toString().split('\n').slice(0, -1);
    const kept = lines.filter(() => isGone.next().value !== true);
    const { bytes, contexts } = readBatchLines(Buffer.from(kept.map((line) => `${line}\n`).join('')), true);
    return wrong(read(bytes, contexts), written).length === 0;
  });
  fc.assert(check, { seed: SEED, numRuns: 2000 });
  t.end();
});

void t.test('the sizes of parts of a request add up to its size', (t) => {
  const block = EventBlock.of(...Array.from({ length: 5 }, (_each, n) => eventText(`${n}`)));
  block.context = { traceparent: traceOf(9), isReplay: false };
  t.equal(blockBytes(block, 0, 2) + blockBytes(block, 2, 5), blockBytes(block, 0, 5));
  t.equal(blockBytes(block, 3, 3), 0);
  t.equal(blockBytes(block, 0, 0), 0);
  t.end();
});

void t.test('a further event of a request costs 38 characters', (t) => {
  const sizeOf = (context: EventContext | null): number => {
    const block = EventBlock.of(...Array.from({ length: 5 }, (_each, n) => eventText(`${n}`)));
    block.context = context;
    return blockBytes(block, 0, 5);
  };
  t.equal(sizeOf({ traceparent: traceOf(9), isReplay: true }) - sizeOf(null), 206 + 4 * 38);
  t.equal(sizeOf({ traceparent: null, isReplay: true }) - sizeOf(null), 5 * 6);
  t.equal(RUN_MARK_BYTES, 64);
  t.end();
});
