import { nextTurn } from '../base/in-turns.js';
import type { EventLog } from '../seams/event-log.js';
import type { Batch, StoredBatch } from '../seams/batch.js';
import type { FileCourse } from './file-course.js';
import type { NotKept } from './letters-aside.js';
import type { Retries } from './retries.js';
import type { Settler } from './settler.js';

/** How often a piece is read in its place in the order before others go first. */
const READS_IN_PLACE = 3;

/** The outcome of a whole file. */
export interface FileSettlement {
  /** Its events; fewer than were read first if some of a large file are gone since. */
  readonly events: number;
  readonly deadLettered: number;
  /** What of it could not become dead letters; `null` if all is kept. */
  readonly notKept: NotKept | null;
}

export interface Settling {
  readonly log: Pick<EventLog, 'miss'>;
  readonly retries: Retries;
  readonly settler: Pick<Settler, 'settle'>;
}

/**
 * Settles a file: the batches in it, or the pieces of a large one, one by one. Events that wait apart hold up no other
 * piece. If some dead letters have no room, the other pieces are delivered, and the file waits until there is room.
 *
 * @param course its progress, updated in place
 * @param mayHaveLetters whether some of its events may be among the dead letters already
 * @param took called with the events of a piece that the sink took in this turn
 * @returns `null` if it is not settled yet: the server stops, or the batch leaves its place
 */
export async function settleFile(
  batch: StoredBatch,
  course: FileCourse,
  mayHaveLetters: boolean,
  settling: Settling,
  took: (events: number) => void,
): Promise<FileSettlement | null> {
  const { log, settler } = settling;
  for (let index = course.next(); index !== null; index = course.next()) {
    // a sink may answer without a wait: requests are read in between
    if (batch.pieces.length > 0) await nextTurn();
    const part = await readInPlace(batch, index, settling);
    const ofPiece = course.begin(index, part ?? batch.pieces[index] ?? batch);
    const { taken: takenBefore } = ofPiece;
    const settlement = part === null ? null : await settler.settle(part, ofPiece, mayHaveLetters);
    if (ofPiece.taken > takenBefore) took(ofPiece.taken - takenBefore);
    if (ofPiece.leaves && settlement === null) return null;
    if (settlement === null) course.setApart(ofPiece);
    if (part === null) return null;
    if (settlement === null) continue;
    course.begun.delete(index);
    if (settlement.notKept !== null) course.addNotKept(index, settlement.refused, settlement.notKept);
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
  return { ...settled, notKept };
}

/** @returns `null` if it cannot be read now, or if the server stops */
async function readInPlace(
  batch: StoredBatch,
  index: number,
  { retries }: Pick<Settling, 'retries'>,
): Promise<Batch | null> {
  const read: Batch[] = [];
  let tries = 0;
  await retries.untilDone('read', batch, async () => {
    if (++tries <= READS_IN_PLACE) read.push(await batch.piece(index));
  });
  return read[0] ?? null;
}
