import { Batch } from '../append-log/batch.js';
import { partKey } from '../append-log/batch-key.js';
import { SinkError } from '../sinks/sink-error.js';
import type { Refusal } from '../sinks/sink-error.js';

const LINE_FEED = 10;

/** What came of a batch, or a part of one: `null`: the sink has it; else what it refused. */
export interface Outcome {
  readonly refusal: SinkError | null;
  /** Attempts that were needed to know. */
  readonly attempts: number;
}

/** Why an event goes to the dead letters. */
export interface Verdict extends Refusal {
  /** Attempts that it was part of. */
  readonly attempts: number;
}

/** An event that goes to the dead letters. */
export interface RefusedEvent extends Verdict {
  /** The event's own text. */
  readonly event: Buffer;
}

interface Part {
  readonly from: number;
  /** Before this one. */
  readonly to: number;
  readonly attempts: number;
}

/**
 * Offers a batch to the sink until it has taken or refused every event. Where the sink refuses a batch and does not
 * say which events it means, each half is offered by itself, down to single events: at most 2n - 1 offers for n events,
 * and about 2k·log2(n/k) where k of them are refused. The first half goes first, so the order stays.
 *
 * A part has the name of the batch with its range behind it (`batch_…_7.jsonl#0-50`), the same after a crash.
 *
 * @param offer resolves to `null` where the server stops meanwhile
 * @returns what the sink refused, in order; `null` where the server stops
 */
export async function settle(
  batch: Batch,
  offer: (part: Batch) => Promise<Outcome | null>,
): Promise<RefusedEvent[] | null> {
  const refused: RefusedEvent[] = [];
  let known: readonly number[] | null = null;
  const starts = (): readonly number[] => (known ??= lineStarts(batch.bytes));
  const parts: Part[] = [{ from: 0, to: batch.events, attempts: 0 }];
  for (let part = parts.pop(); part !== undefined; part = parts.pop()) {
    const { from, to } = part;
    const outcome = await offer(partOf(batch, part, starts));
    if (outcome === null) return null;
    const { refusal } = outcome;
    if (refusal === null) continue;
    const attempts = part.attempts + outcome.attempts;
    const add = ({ index, reason, status }: { index: number; reason: unknown; status: unknown }): void => {
      const event = linesOf(batch, starts(), from + index, from + index + 1).subarray(0, -1);
      const given = typeof status === 'number' || typeof status === 'string' ? status : null;
      const why = typeof reason === 'string' ? reason : 'refused by the sink';
      refused.push({ index: from + index, reason: why, status: given, event, attempts });
    };
    if (Array.isArray(refusal.refused)) {
      const byIndex = new Map((refusal.refused as readonly Refusal[]).map((each) => [each.index, each]));
      for (const each of [...byIndex.values()].toSorted((a, b) => a.index - b.index)) add(each);
    } else if (to - from === 1) {
      add({ index: 0, reason: refusal.message, status: refusal.status });
    } else {
      const middle = (from + to) >> 1;
      parts.push({ from: middle, to, attempts }, { from, to: middle, attempts });
    }
  }
  return refused;
}

/** The events that verdicts of an earlier look at the batch are about. */
export function refusedEvents(batch: Batch, verdicts: readonly Verdict[]): RefusedEvent[] {
  const starts = lineStarts(batch.bytes);
  return verdicts.map((verdict) => ({
    ...verdict,
    event: linesOf(batch, starts, verdict.index, verdict.index + 1).subarray(0, -1),
  }));
}

/**
 * What an attempt threw, if it is a refusal that can be followed: of a batch, or of events that are in it. A list that is
 * empty or names something else says nothing for certain, so the attempt has just failed.
 */
export function asRefusal(thrown: unknown, { events }: Batch): SinkError | null {
  if (!(thrown instanceof SinkError) || thrown.refused === null) return null;
  if (thrown.refused === 'all') return thrown;
  // a sink of one's own may have given anything
  const refused: unknown = thrown.refused;
  if (!Array.isArray(refused) || refused.length === 0) return null;
  const isInBatch = (each: Partial<Refusal> | null | undefined): boolean => {
    const index = each?.index ?? -1;
    return Number.isInteger(index) && index >= 0 && index < events;
  };
  return [...refused].every(isInBatch) ? thrown : null;
}

function partOf(batch: Batch, { from, to }: Part, starts: () => readonly number[]): Batch {
  if (to - from === batch.events) return batch;
  const range = `#${from}-${to}`;
  const bytes = linesOf(batch, starts(), from, to);
  return new Batch({
    name: batch.name + range,
    key: partKey(batch.key, range, bytes),
    events: to - from,
    bytes,
  });
}

/** Some lines of a batch, with their line feeds. */
function linesOf({ bytes }: Batch, starts: readonly number[], from: number, to: number): Buffer<ArrayBuffer> {
  return bytes.subarray(starts[from], starts[to]);
}

/** Where each line begins, and where the last one ends. */
function lineStarts(bytes: Buffer): number[] {
  const starts = [0];
  for (let at = bytes.indexOf(LINE_FEED); at !== -1; at = bytes.indexOf(LINE_FEED, at + 1))
    starts.push(at + 1);
  return starts;
}
