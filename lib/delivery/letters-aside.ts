import type { LettersSize } from '../seams/dead-letters.js';
import type { PendingBatch } from '../seams/batch.js';
import type { Verdict } from './settlement.js';

/** More of a reason or status is not kept, in characters: dead letters that had to wait have it cut off. */
const TEXT_LENGTH_MAX = 500;
/** About what a batch and a verdict take in memory, in bytes. */
const BATCH_BYTES = 500;
const VERDICT_BYTES = 80;

/** A batch that the sink has, but for events that it refused; these are to become dead letters. */
export interface LettersAside {
  readonly pending: PendingBatch;
  readonly verdicts: readonly Verdict[];
  readonly size: LettersSize;
  /** What this takes in memory, about. */
  readonly memoryBytes: number;
  /** Its file could not be read: others go first. */
  readonly isAway: boolean;
}

/** @param refused their events, which may be held by it, are not kept */
export function lettersAside(
  pending: PendingBatch,
  refused: readonly Verdict[],
  size: LettersSize,
): LettersAside {
  return { pending, ...shortVerdicts(refused), size, isAway: false };
}

/** Verdicts on a batch that waits, and about what all that is kept of it takes in memory, in bytes. */
export function shortVerdicts(refused: readonly Verdict[]): { verdicts: Verdict[]; memoryBytes: number } {
  let memoryBytes = BATCH_BYTES;
  const texts = new Map<string, string>();
  /** Equal texts once, and none that is a part of a larger one, which would be held by it. */
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
