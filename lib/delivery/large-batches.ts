import type { EventLog } from '../seams/event-log.js';
import type { Batch, StoredBatch } from '../seams/batch.js';
import { DeadLettersFull } from '../seams/dead-letters.js';
import type { FileCourse } from './file-course.js';
import type { Retries } from './retries.js';
import type { RefusedEvent } from './settlement.js';
import type { Settler } from './settler.js';

/** How often a piece is read in its place in the order before others go first. */
const READS_IN_PLACE = 3;

/** The outcome of a whole file. */
export interface FileSettlement {
  /** Its events; fewer than were read first if some of a large file are gone since. */
  readonly events: number;
  readonly deadLettered: number;
  /** `null` if they are no longer known, as for a large file. */
  readonly refused: readonly RefusedEvent[] | null;
  readonly notKept: Error | null;
}

export interface Settling {
  readonly log: Pick<EventLog, 'miss'>;
  readonly retries: Retries;
  readonly settler: Pick<Settler, 'settle'>;
}

/**
 * Settles the batch of a file. A large file is settled piece by piece, with one piece in memory at a time. Events that
 * wait apart hold up no other piece. If some dead letters have no room, the other pieces are delivered; then the whole
 * file waits and is settled again later. Its pieces come to the sink again, with the same keys.
 *
 * @param course its progress, updated in place
 * @param mayHaveLetters whether some of its events may be among the dead letters already
 * @returns `null` if it is not settled yet: the server stops, or the batch leaves its place
 */
export async function settleFile(
  batch: StoredBatch,
  course: FileCourse,
  mayHaveLetters: boolean,
  settling: Settling,
): Promise<FileSettlement | null> {
  const { log, settler } = settling;
  const isLarge = batch.pieces.length > 0;
  let refused: readonly RefusedEvent[] | null = null;
  for (let index = course.next(); index !== null; index = course.next()) {
    const part = await readPart(batch, index, settling);
    const ofPiece = course.begin(index, part ?? batch.pieces[index] ?? batch);
    const settlement = part === null ? null : await settler.settle(part, ofPiece, mayHaveLetters);
    if (ofPiece.leaves && settlement === null) return null;
    if (settlement === null) course.setApart(ofPiece);
    if (part === null) return null;
    if (settlement === null) continue;
    course.begun.delete(index);
    if (settlement.notKept !== null) course.notKept = together(course.notKept, settlement.notKept);
    refused = isLarge ? null : settlement.refused;
    const { events, taken, deadLettered } = course.settled;
    course.settled = {
      events: events + part.events,
      taken: taken + ofPiece.taken,
      deadLettered: deadLettered + settlement.refused.length,
    };
  }
  if (course.begun.size > 0) return null;
  const { notKept, settled } = course;
  if (notKept === null && settled.events !== batch.events) log.miss(batch.events - settled.events, 0);
  return { ...settled, refused, notKept };
}

/** @returns `null` if it cannot be read now, or if the server stops */
async function readPart(
  batch: StoredBatch,
  index: number,
  { retries }: Pick<Settling, 'retries'>,
): Promise<Batch | null> {
  const piece = batch.pieces[index];
  if (piece === undefined) return batch;
  const read: Batch[] = [];
  let tries = 0;
  await retries.untilDone('read', batch, async () => {
    if (++tries <= READS_IN_PLACE) read.push(await piece.read());
  });
  return read[0] ?? null;
}

/** The dead letters of all pieces must have room before the file comes again. */
function together(before: Error | null, error: Error): Error {
  if (!(before instanceof DeadLettersFull && error instanceof DeadLettersFull)) return error;
  const bytes = before.size.bytes + error.size.bytes;
  return new DeadLettersFull(error.message, {
    bytes,
    earlierBytes: before.size.earlierBytes + error.size.earlierBytes,
  });
}
