import type { LettersSize } from '../seams/dead-letters.js';
import { asError } from '../base/errors.js';
import type { Batch, PendingBatch, StoredBatch } from '../seams/batch.js';
import { refusedEvents } from './settlement.js';
import type { RefusedEvent, Verdict } from './settlement.js';

/** At most this much of a reason or status is kept, in characters: dead letters that had to wait have the rest cut off. */
const TEXT_LENGTH_MAX = 500;
/** Approximate memory of a batch and of a verdict, in bytes. */
const BATCH_BYTES = 500;
const VERDICT_BYTES = 80;

/** Events of some pieces that the sink refused and that are not among the dead letters yet. */
export interface NotKept {
  /** `null` if they take too much memory: all of the file is offered again. */
  readonly pieces: readonly { readonly index: number; readonly verdicts: readonly Verdict[] }[] | null;
  readonly error: Error;
}

type PieceVerdicts = Exclude<NotKept['pieces'], null>;

/** A batch that the sink took except for refused events, which are to become dead letters. */
export interface LettersAside {
  readonly pending: PendingBatch;
  readonly pieces: PieceVerdicts;
  /** All of its dead letters, those that are kept already included. */
  readonly deadLettered: number;
  readonly size: LettersSize;
  /** Its approximate memory, in bytes. */
  readonly memoryBytes: number;
  /** Whether its file could not be read, so that others go first. */
  readonly isAway: boolean;
}

export function lettersAside(
  pending: PendingBatch,
  pieces: PieceVerdicts,
  deadLettered: number,
  size: LettersSize,
): LettersAside {
  const memoryBytes = pieces.reduce((sum, { verdicts }) => sum + shortVerdicts(verdicts).memoryBytes, 0);
  return { pending, pieces, deadLettered, size, memoryBytes, isAway: false };
}

/**
 * Puts the refused events of a batch that waited among the dead letters.
 *
 * @param keep resolves to the error if that fails
 * @returns the same
 */
export async function keepLetters(
  batch: StoredBatch,
  { pieces }: LettersAside,
  keep: (piece: Batch, refused: readonly RefusedEvent[]) => Promise<Error | null>,
): Promise<Error | null> {
  for (const { index, verdicts } of pieces) {
    const piece = await batch.piece(index).catch(asError);
    if (piece instanceof Error) return piece;
    if (piece.events !== (batch.pieces[index] ?? batch).events) return new Error(`${piece.name} has changed`);
    const error = await keep(piece, refusedEvents(piece, verdicts));
    if (error !== null) return error;
  }
  return null;
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
