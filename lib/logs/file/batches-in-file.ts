import { Batch } from '../../seams/batch.js';
import type { BatchContent, Piece } from '../../seams/batch.js';
import { partKey } from '../../seams/batch-key.js';
import { rangeText } from '../../seams/batch-range.js';
import type { Range } from '../../seams/batch-range.js';

/** Where a batch starts in a file of several, or where the last one ends. */
export interface BatchStart {
  /** Lines of the file before it, damaged ones included: it is the same whatever happens to them. */
  readonly line: number;
  /** Sound events before it. */
  readonly events: number;
  /** Its position in the file, in bytes. */
  readonly at: number;
  /** Its position in the lines without marks, in bytes. */
  readonly textAt: number;
}

/** A batch in a file of several. */
export interface BatchInFile extends Range {
  readonly start: BatchStart;
  readonly end: BatchStart;
  /** Its sound events. */
  readonly events: number;
}

const FILE_START: BatchStart = { line: 0, events: 0, at: 0, textAt: 0 };

/** The batches between these starts; none if the file has only one. */
export function batchesBetween(starts: readonly BatchStart[], end: BatchStart): BatchInFile[] {
  const [first] = starts;
  if (first === undefined) return [];
  // without its first line a batch is part of the one before; the first of all has nothing before it
  const all = first.at === 0 ? starts : [FILE_START, ...starts];
  return all
    .map((start, index) => {
      const next = all[index + 1] ?? end;
      return { from: start.line, to: next.line, start, end: next, events: next.events - start.events };
    })
    .filter(({ events }) => events > 0);
}

/** The batches of a file whose lines are in memory, without marks. */
export function heldBatches(
  { name, key, bytes }: Pick<BatchContent, 'name' | 'bytes'> & { readonly key: string },
  batches: readonly BatchInFile[],
): Piece[] {
  return batches.map(({ start, end, events, ...range }) => ({
    events,
    read: async () => {
      const lines = bytes.subarray(start.textAt, end.textAt);
      const text = rangeText(range);
      return new Batch({
        name: `${name}${text}`,
        key: () => partKey(key, text, lines),
        events,
        bytes: lines,
      });
    },
  }));
}
