import { Batch } from '../seams/batch.js';
import { partKey } from '../seams/batch-key.js';
import { contextsBetween } from '../seams/event-contexts.js';
import { rangeText } from '../base/batch-range.js';
import { SinkError } from '../seams/sink-error.js';
import type { Refusal } from '../seams/sink-error.js';

const LINE_FEED = 10;

/** The outcome of a batch or of a part. Without a refusal, the sink has it. */
export interface Outcome {
  readonly refusal: SinkError | null;
  /** Attempts that it took. */
  readonly attempts: number;
  /** Set if the sink failed on it and must not get it again at once as it is. */
  readonly failed?: Failed | null;
}

/** What becomes of a part that the sink failed on. */
export interface Failed {
  /** `keep`: unchanged; `split`: into halves; `last`: others go first; `apart`: it is one event, and waits apart. */
  readonly next: 'keep' | 'split' | 'last' | 'apart';
  /** Whether the batch gives its place to others. */
  readonly leaves: boolean;
  /** For an event that waits apart: how often the sink has failed on it alone while it took others. */
  readonly tries?: number;
}

/** Why an event becomes a dead letter. */
export interface Verdict extends Refusal {
  /** Attempts that included it. */
  readonly attempts: number;
}

/** An event that becomes a dead letter. */
export interface RefusedEvent extends Verdict {
  /** The event's own text. */
  readonly event: Buffer;
}

/** Consecutive events of a batch. */
export interface Part {
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
  readonly attempts: number;
  /** Set for an event that waits apart: `Failed.tries`. */
  readonly tries?: number;
}

/** How far a batch has come at the sink. */
export interface Course {
  readonly events: number;
  /** Whether it is a piece of a large file whose other pieces may be offered meanwhile. */
  hasOthers: boolean;
  /** Parts to offer, the next one first. */
  open: Part[];
  /** Events that the sink fails on while it takes others: each waits apart. */
  apart: Part[];
  /** Whether its turn ends, or has ended, before each open part was offered. */
  leaves: boolean;
  /** The events that the sink refused. */
  verdicts: Verdict[];
  /** How many events the sink has. */
  taken: number;
  /** Whether failing parts are split: the batch is suspect. */
  isSuspect: boolean;
  /** How often the sink has failed on it, and since when, on the clock of `performance.now()`. */
  failures: number;
  failingSinceMs: number;
  /** Attempts that the sink had answered well at the last failure, and whether there were more than at the one before. */
  answered: number;
  takesOthers: boolean;
  /** How long the last attempt took, in milliseconds. */
  tookMs: number;
}

export function newCourse({ events }: { readonly events: number }): Course {
  const open = events === 0 ? [] : [{ from: 0, to: events, attempts: 0 }];
  const sink = { failures: 0, failingSinceMs: 0, answered: 0, takesOthers: false, tookMs: 0 };
  return {
    events,
    hasOthers: false,
    open,
    apart: [],
    leaves: false,
    verdicts: [],
    taken: 0,
    isSuspect: false,
    ...sink,
  };
}

/**
 * Offers a batch to the sink until it has taken or refused every event (N9, N10). If the sink refuses a batch without
 * saying which events it means, each half is offered separately, down to single events: at most 2n - 1 offers for n
 * events, and about 2k·log2(n/k) if k of them are refused. The first half goes first, so the order stays. A part that
 * the sink fails on is split in the same way, if `offer` says so.
 *
 * The name of a part is that of the batch with its range after it (`batch_…_7.jsonl#1-50`). It is the same after a
 * crash.
 *
 * @param offer resolves to `null` if the server stops meanwhile
 * @param course its progress, updated in place
 * @returns the refused events, in order; `null` if some events are neither taken nor refused yet
 */
export async function settle(
  batch: Batch,
  offer: (part: Batch, range: Part) => Promise<Outcome | null>,
  course: Course = newCourse(batch),
): Promise<RefusedEvent[] | null> {
  let known: readonly number[] | null = null;
  const starts = (): readonly number[] => (known ??= lineStarts(batch.bytes));
  course.leaves = true;
  for (let part = course.open.shift(); part !== undefined; part = course.open.shift()) {
    const { from, to } = part;
    const outcome = await offer(partOf(batch, part, starts, course.isSuspect), part);
    if (outcome === null) return null;
    const { refusal, failed = null } = outcome;
    const attempts = part.attempts + outcome.attempts;
    if (failed !== null) {
      putBack(
        course,
        { ...part, attempts, ...(failed.tries !== undefined && { tries: failed.tries }) },
        failed.next,
      );
      if (failed.leaves) return null;
      continue;
    }
    const refused: Verdict[] = [];
    const add = ({ index, reason, status }: { index: number; reason: unknown; status: unknown }): void => {
      const given = typeof status === 'number' || typeof status === 'string' ? status : null;
      const why = typeof reason === 'string' ? reason : 'refused by the sink';
      refused.push({ index: from + index, reason: why, status: given, attempts });
    };
    if (Array.isArray(refusal?.refused)) {
      const byIndex = new Map((refusal.refused as readonly Refusal[]).map((each) => [each.index, each]));
      for (const each of byIndex.values()) add(each);
    } else if (refusal !== null && to - from === 1) {
      add({ index: 0, reason: refusal.message, status: refusal.status });
    } else if (refusal !== null) {
      putBack(course, { ...part, attempts }, 'split');
      continue;
    }
    course.taken += to - from - refused.length;
    course.verdicts.push(...refused);
  }
  course.leaves = false;
  if (course.apart.length > 0) return null;
  course.verdicts.sort((a, b) => a.index - b.index);
  return refusedEvents(batch, course.verdicts);
}

function putBack(course: Course, part: Part, next: Failed['next']): void {
  const { from, to, attempts } = part;
  const middle = (from + to) >> 1;
  if (next === 'keep') course.open.unshift(part);
  else if (next === 'split')
    course.open.unshift({ from, to: middle, attempts }, { from: middle, to, attempts });
  else course[next === 'last' ? 'open' : 'apart'].push(part);
}

/** The events that earlier verdicts on the batch are about. */
export function refusedEvents(batch: Batch, verdicts: readonly Verdict[]): RefusedEvent[] {
  if (verdicts.length === 0) return [];
  const starts = lineStarts(batch.bytes);
  return verdicts.map((verdict) => ({
    ...verdict,
    event: linesOf(batch, starts, verdict.index, verdict.index + 1).subarray(0, -1),
  }));
}

/**
 * The error of an attempt, if it is a refusal that can be followed: of a batch, or of events that are in it. A list
 * that is empty or names other events says nothing for certain, so the attempt just failed.
 */
export function asRefusal(thrown: unknown, { events }: Batch): SinkError | null {
  if (!(thrown instanceof SinkError) || thrown.refused === null) return null;
  if (thrown.refused === 'all') return thrown;
  // a custom sink may have given anything
  const refused: unknown = thrown.refused;
  if (!Array.isArray(refused) || refused.length === 0) return null;
  const isInBatch = (each: Partial<Refusal> | null | undefined): boolean => {
    const index = each?.index ?? -1;
    return Number.isInteger(index) && index >= 0 && index < events;
  };
  return [...refused].every(isInBatch) ? thrown : null;
}

/**
 * @param isNew whether its name has a range even if it is the whole batch: a sink may keep its failure with the key of
 * the batch
 */
function partOf(batch: Batch, { from, to }: Part, starts: () => readonly number[], isNew: boolean): Batch {
  if (to - from === batch.events && !isNew) return batch;
  const range = rangeText({ from, to });
  const bytes = linesOf(batch, starts(), from, to);
  return new Batch({
    name: batch.name + range,
    key: () => partKey(batch.key, range, bytes),
    events: to - from,
    bytes,
    contexts: contextsBetween(batch.contexts, from, to),
  });
}

/** Some lines of a batch, with their line feeds. */
function linesOf({ bytes }: Batch, starts: readonly number[], from: number, to: number): Buffer<ArrayBuffer> {
  return bytes.subarray(starts[from], starts[to]);
}

/** The start of each line, and the end of the last one. */
function lineStarts(bytes: Buffer): number[] {
  const starts = [0];
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1))
    starts.push(at + 1);
  return starts;
}
