import type { AppendLog } from '../append-log/append-log.js';
import type { Batch, StoredBatch } from '../append-log/batch.js';
import type { Retries } from './retries.js';
import { newCourse } from './settlement.js';
import type { Course, RefusedEvent } from './settlement.js';
import type { Settler } from './settler.js';

/** What came of a whole file. */
export interface FileSettlement {
  /** Its events; fewer than were read first, if some of a large file are gone since. */
  readonly events: number;
  readonly deadLettered: number;
  /** `null`: nobody knows any longer, as it is a large file. */
  readonly refused: readonly RefusedEvent[] | null;
  readonly notKept: Error | null;
}

export interface Settling {
  readonly log: AppendLog;
  readonly retries: Retries;
  readonly settler: Pick<Settler, 'settle'>;
}

/** How far the batch of a file has come: of a large one, the piece that is settled now. */
export interface FileCourse extends Course {
  piece: number;
  /** What came of the pieces before that. */
  earlier: { readonly events: number; readonly taken: number; readonly deadLettered: number };
}

export function fileCourse(batch: StoredBatch): FileCourse {
  const earlier = { events: 0, taken: 0, deadLettered: 0 };
  return { ...newCourse(batch.pieces[0] ?? batch), piece: 0, earlier };
}

/** Events of the file that the sink has. */
export function takenOf({ taken, earlier }: FileCourse): number {
  return earlier.taken + taken;
}

/**
 * Settles the batch of a file, a large one piece by piece, of which one at a time is in memory. If dead letters of a piece
 * have no room, the whole file is settled again later: its pieces come to the sink again, with the same keys.
 *
 * @param course is kept up to date
 * @param mayHaveLetters whether some of its events may be among the dead letters already
 * @returns `null` if that is not over: the server stops, or the batch leaves its place
 */
export async function settleFile(
  batch: StoredBatch,
  course: FileCourse,
  mayHaveLetters: boolean,
  { log, retries, settler }: Settling,
): Promise<FileSettlement | null> {
  if (batch.pieces.length === 0) {
    const settlement = await settler.settle(batch, course, mayHaveLetters);
    if (settlement === null) return null;
    const { refused, notKept } = settlement;
    return { events: batch.events, deadLettered: refused.length, refused, notKept };
  }
  for (; course.piece < batch.pieces.length; course.piece++) {
    const piece = batch.pieces[course.piece];
    const read: Batch[] = [];
    const isRead = await retries.untilDone('Could not read batch', batch, async () => {
      if (piece !== undefined) read.push(await log.readPiece(batch, piece));
    });
    const [part] = read;
    if (!isRead || part === undefined) return null;
    if (part.events !== piece?.events) Object.assign(course, newCourse(part)); // some are gone since
    const settlement = await settler.settle(part, course, mayHaveLetters);
    if (settlement === null) return null;
    const { refused, notKept } = settlement;
    const { events, taken, deadLettered } = course.earlier;
    if (notKept !== null) return { events: batch.events, deadLettered, refused: null, notKept };
    course.earlier = {
      events: events + part.events,
      taken: taken + course.taken,
      deadLettered: deadLettered + refused.length,
    };
    Object.assign(course, newCourse(batch.pieces[course.piece + 1] ?? { events: 0 }));
  }
  const { events, deadLettered } = course.earlier;
  if (events !== batch.events) log.miss(batch.events - events, 0);
  return { events, deadLettered, refused: null, notKept: null };
}
