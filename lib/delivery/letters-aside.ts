import type { LettersSize } from '../seams/dead-letters.js';
import type { PendingBatch } from '../seams/batch.js';
import type { Verdict } from './settlement.js';

/** At most this much of a reason or status is kept, in characters: dead letters that had to wait have the rest cut off. */
const TEXT_LENGTH_MAX = 500;
/** Approximate memory of a batch and of a verdict, in bytes. */
const BATCH_BYTES = 500;
const VERDICT_BYTES = 80;

/** A batch that the sink took except for refused events, which are to become dead letters. */
export interface LettersAside {
  readonly pending: PendingBatch;
  readonly verdicts: readonly Verdict[];
  readonly size: LettersSize;
  /** Its approximate memory, in bytes. */
  readonly memoryBytes: number;
  /** Whether its file could not be read, so that others go first. */
  readonly isAway: boolean;
}

/** @param refused without their events, which may be views of the batch and would hold it in memory */
export function lettersAside(
  pending: PendingBatch,
  refused: readonly Verdict[],
  size: LettersSize,
): LettersAside {
  return { pending, ...shortVerdicts(refused), size, isAway: false };
}

/** Verdicts on a batch that waits, and the approximate memory of all that is kept of it, in bytes. */
export function shortVerdicts(refused: readonly Verdict[]): { verdicts: Verdict[]; memoryBytes: number } {
  let memoryBytes = BATCH_BYTES;
  const texts = new Map<string, string>();
  /** Equal texts are kept once, and copied, so that none holds a larger text in memory. */
  const short = (text: string): string => {
    const cut = text.length > TEXT_LENGTH_MAX ? `${text.slice(0, TEXT_LENGTH_MAX)}…` : text;
    let copy = texts.get(cut);
    if (copy === undefined) {
      copy = Buffer.from(cut).toString();
      texts.set(copy, copy);
      memoryBytes += 2 * copy.length;
    }
    return copy;
  };
  const verdicts = refused.map(({ index, reason, status, attempts }) => {
    memoryBytes += VERDICT_BYTES;
    return {
      index,
      reason: short(reason),
      status: typeof status === 'string' ? short(status) : status,
      attempts,
    };
  });
  return { verdicts, memoryBytes };
}
