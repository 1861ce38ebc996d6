import { Batch } from '../../seams/batch.js';
import type { BatchContent, Piece } from '../../seams/batch.js';
import { contextsBetween } from '../../seams/event-contexts.js';
import { partKey } from '../../seams/batch-key.js';
import { rangeText } from '../../base/batch-range.js';
import type { Range } from '../../base/batch-range.js';

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
  /** Whether its line says so; otherwise that line is damaged, and may have. */
  readonly isMarked: boolean;
}

/** A batch in a file of several. */
export interface BatchInFile extends Range {
  readonly start: BatchStart;
  readonly end: Omit<BatchStart, 'isMarked'>;
  /** Its sound events. */
  readonly events: number;
}

const FILE_START: BatchStart = { line: 0, events: 0, at: 0, textAt: 0, isMarked: false };

/**
 * The batches between these starts; none if the file is for only one. A damaged line ends a batch, as it may have been the
 * first line of the next one: so the one before keeps its name.
 *
 * @param end where the last one ends
 */
export function batchesBetween(
  starts: readonly BatchStart[],
  end: Omit<BatchStart, 'isMarked'>,
): BatchInFile[] {
  if (!starts.some(({ isMarked }) => isMarked)) return [];
  const all = starts[0]?.at === 0 ? starts : [FILE_START, ...starts];
  return all
    .map((start, index) => {
      const next = all[index + 1] ?? end;
      return { from: start.line, to: next.line, start, end: next, events: next.events - start.events };
    })
    .filter(({ events }) => events > 0);
}

type Lines = Required<Pick<BatchContent, 'bytes' | 'contexts'>>;

/** The events of a batch, of those of its file. */
export function linesIn({ bytes, contexts }: Lines, { start, end }: BatchInFile): Lines {
  return {
    bytes: bytes.subarray(start.textAt, end.textAt),
    contexts: contextsBetween(contexts, start.events, end.events),
  };
}

/** @param linesOf the events of a batch, without marks, from memory */
export function heldBatches(
  { name, key }: { readonly name: string; readonly key: string },
  batches: readonly BatchInFile[],
  linesOf: (batch: BatchInFile) => Lines,
): Piece[] {
  return batches.map((batch) => ({
    events: batch.events,
    read: async () => {
      const lines = linesOf(batch);
      const range = rangeText(batch);
      const about = { name: `${name}${range}`, key: () => partKey(key, range, lines.bytes) };
      return Promise.resolve(new Batch({ ...about, ...lines, events: batch.events }));
    },
  }));
}
