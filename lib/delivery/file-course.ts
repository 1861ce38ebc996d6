import type { StoredBatch } from '../seams/batch.js';
import { DeadLettersFull } from '../seams/dead-letters.js';
import { shortVerdicts } from './letters-aside.js';
import type { NotKept } from './letters-aside.js';
import { newCourse } from './settlement.js';
import type { Course, Part, Verdict } from './settlement.js';

/** Memory for the pieces of a file that wait while other pieces are delivered, in bytes. */
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
/** Approximate memory of a part, in bytes. */
const PART_BYTES = 80;
/** If the sink takes nothing, one turn in this many is for a new piece. */
const NEW_EVERY = 4;

/** How far a file has come at the sink: its batches if it holds several, the pieces of a large one, or one piece. */
export class FileCourse {
  /** Pieces that were started and are not settled, by their index in the file. The piece with the latest turn is last. */
  readonly begun = new Map<number, Course>();
  /** Totals of the settled pieces. */
  settled = { events: 0, taken: 0, deadLettered: 0 };
  /** What of the settled pieces could not become dead letters; `null` if all is kept. */
  notKept: NotKept | null = null;
  #notKeptBytes = 0;
  readonly #pieces: number;
  /** The first piece that was not started. */
  #next = 0;
  #latest: Course;
  /** Turns in a row in which the sink took nothing, and what it had taken before this one. */
  #turnsInVain = 0;
  #takenBefore = 0;

  constructor(batch: StoredBatch) {
    this.#pieces = Math.max(1, batch.pieces.length);
    this.#latest = newCourse(batch);
  }

  /** Events of the file that the sink took. */
  get taken(): number {
    return this.#courses.reduce((sum, { taken }) => sum + taken, this.settled.taken);
  }

  /** How many of its parts wait apart. */
  get apart(): number {
    return this.#courses.reduce((sum, { apart }) => sum + apart.length, 0);
  }

  /** Whether more is left of it than parts that wait apart. */
  get isOpen(): boolean {
    return this.#next < this.#pieces || this.#courses.some(isOpen);
  }

  /** The last attempt: whether the sink took others, and how long it took. */
  get takesOthers(): boolean {
    return this.#latest.takesOthers;
  }

  get tookMs(): number {
    return this.#latest.tookMs;
  }

  /** Starts a turn of the file: parts that wait apart are offered again, after all others. */
  startTurn(): void {
    this.#turnsInVain = this.taken > this.#takenBefore ? 0 : this.#turnsInVain + 1;
    this.#takenBefore = this.taken;
    for (const course of this.begun.values()) course.open.push(...course.apart.splice(0));
  }

  /**
   * The piece to settle next; `null` if there is none. New pieces come first while the sink takes any, then pieces that
   * have given way, and last pieces whose parts wait apart. If it takes nothing, a piece that has failed is tried further, as
   * its parts may show what is wrong, and a new one every few turns.
   */
  next(): number | null {
    const isInVain = this.#turnsInVain % NEW_EVERY > 0 && this.taken === this.#takenBefore;
    const failed = isInVain ? this.#mostFailed() : null;
    if (failed !== null) return failed;
    if (this.#next < this.#pieces) return this.#next++;
    for (const [index, course] of this.begun) if (isOpen(course)) return index;
    for (const [index, { open, apart }] of this.begun)
      if (open.length > 0 || apart.length === 0) return index;
    return null;
  }

  /** Starts the turn of a piece; other pieces come first after it. @param piece with the number of its events as of now */
  begin(index: number, piece: { readonly events: number }): Course {
    const known = this.begun.get(index);
    this.begun.delete(index);
    this.#latest = known?.events === piece.events ? known : newCourse(piece); // some may be gone
    this.#latest.hasOthers = this.isOpen;
    this.begun.set(index, this.#latest);
    return this.#latest;
  }

  /** Keeps the rest of a piece for another turn. If that takes too much memory, all of it is offered again. */
  setApart(course: Course): void {
    course.apart.push(...course.open.splice(0).map(waiting));
    if (this.#pieces === 1 || this.shrink() <= MEMORY_BYTES_MAX) return;
    Object.assign(course, newCourse(course));
    course.apart = course.open.splice(0).map(waiting);
  }

  /** The dead letters of a settled piece could not be kept. */
  addNotKept(index: number, refused: readonly Verdict[], error: Error): void {
    const before = this.notKept;
    const { verdicts, memoryBytes } = shortVerdicts(refused);
    this.#notKeptBytes += memoryBytes;
    const isKnown = before?.pieces !== null && this.#notKeptBytes <= MEMORY_BYTES_MAX;
    const pieces = isKnown ? [...(before?.pieces ?? []), { index, verdicts }] : null;
    this.notKept = { pieces, error: before === null ? error : together(before.error, error) };
  }

  /** Drops all that the next turn does not need. @returns the approximate memory of the rest, in bytes */
  shrink(): number {
    let bytes = 0;
    for (const course of this.#courses) {
      const { verdicts, memoryBytes } = shortVerdicts(course.verdicts);
      course.verdicts = verdicts;
      bytes += memoryBytes + PART_BYTES * (course.open.length + course.apart.length);
    }
    return (this.notKept?.pieces ?? null) === null ? bytes : bytes + this.#notKeptBytes;
  }

  /** Forgets all progress: the whole file is offered again. */
  drop(): void {
    for (const course of this.#courses) course.open = [];
  }

  /** Of the pieces that have given way. */
  #mostFailed(): number | null {
    let most: number | null = null;
    let failures = 0;
    for (const [index, course] of this.begun) {
      if (!isOpen(course) || course.failures <= failures) continue;
      most = index;
      failures = course.failures;
    }
    return most;
  }

  get #courses(): Course[] {
    return [...this.begun.values()];
  }
}

/** Whether parts of it are left besides those that have waited apart. */
function isOpen({ open }: Course): boolean {
  return open.some(({ tries }) => tries === undefined);
}

function waiting(part: Part): Part {
  return { ...part, tries: part.tries ?? 0 };
}

/** The dead letters of all pieces must have room together. */
function together(before: Error, error: Error): Error {
  if (!(before instanceof DeadLettersFull && error instanceof DeadLettersFull)) return error;
  const bytes = before.size.bytes + error.size.bytes;
  return new DeadLettersFull(error.message, {
    bytes,
    earlierBytes: before.size.earlierBytes + error.size.earlierBytes,
  });
}
