import type { StoredBatch } from '../seams/batch.js';
import { shortVerdicts } from './letters-aside.js';
import { newCourse } from './settlement.js';
import type { Course, Part } from './settlement.js';

/** What is kept of the pieces of a file that wait while others of its pieces are delivered, in bytes of memory. */
const MEMORY_BYTES_MAX = 4 * 1024 * 1024;
/** About what a part takes in memory, in bytes. */
const PART_BYTES = 80;

/** How far the batch of a file has come at the sink: piece by piece if it is large; else it is one piece. */
export class FileCourse {
  /** Pieces that were begun and are not settled, by their place in the file. Which had a turn last is the last. */
  readonly begun = new Map<number, Course>();
  /** What came of those that are settled. */
  settled = { events: 0, taken: 0, deadLettered: 0 };
  /** Why the dead letters of some of them could not be kept; `null`: they are. */
  notKept: Error | null = null;
  readonly #pieces: number;
  /** The first one that was not begun. */
  #next = 0;
  #latest: Course;

  constructor(batch: StoredBatch) {
    this.#pieces = Math.max(1, batch.pieces.length);
    this.#latest = newCourse(batch);
  }

  /** Events of the file that the sink has. */
  get taken(): number {
    return this.#courses.reduce((sum, { taken }) => sum + taken, this.settled.taken);
  }

  /** How many parts of it wait apart. */
  get apart(): number {
    return this.#courses.reduce((sum, { apart }) => sum + apart.length, 0);
  }

  /** Whether there is more of it than what waits apart. */
  get isOpen(): boolean {
    return this.#next < this.#pieces || this.#courses.some(isOpen);
  }

  /** As of the last attempt: whether the sink took others, and how long it took. */
  get takesOthers(): boolean {
    return this.#latest.takesOthers;
  }

  get tookMs(): number {
    return this.#latest.tookMs;
  }

  /** The file has its turn: what waits apart is offered again, after all else. */
  startTurn(): void {
    for (const course of this.begun.values()) course.open.push(...course.apart.splice(0));
  }

  /** The piece to be settled next: those that have given way come after new ones, what waits apart last. `null`: none. */
  next(): number | null {
    if (this.#next < this.#pieces) return this.#next++;
    for (const [index, course] of this.begun) if (isOpen(course)) return index;
    for (const [index, { open, apart }] of this.begun)
      if (open.length > 0 || apart.length === 0) return index;
    return null;
  }

  /** A piece has its turn, after which others come first. @param events as many as there are now */
  begin(index: number, piece: { readonly events: number }): Course {
    const known = this.begun.get(index);
    this.begun.delete(index);
    this.#latest = known?.events === piece.events ? known : newCourse(piece); // some may be gone
    this.#latest.hasOthers = this.isOpen;
    this.begun.set(index, this.#latest);
    return this.#latest;
  }

  /** What is left of a piece waits for another turn. If that is too much for memory, all of it is offered again. */
  setApart(course: Course): void {
    course.apart.push(...course.open.splice(0).map(waiting));
    if (this.#pieces === 1 || this.shrink() <= MEMORY_BYTES_MAX) return;
    Object.assign(course, newCourse(course));
    course.apart = course.open.splice(0).map(waiting);
  }

  /** Keeps no more than is needed for the next turn. @returns about what it takes in memory, in bytes */
  shrink(): number {
    let bytes = 0;
    for (const course of this.#courses) {
      const { verdicts, memoryBytes } = shortVerdicts(course.verdicts);
      course.verdicts = verdicts;
      bytes += memoryBytes + PART_BYTES * (course.open.length + course.apart.length);
    }
    return bytes;
  }

  /** All of it is to be offered again, and nothing is known of it. */
  drop(): void {
    for (const course of this.#courses) course.open = [];
  }

  get #courses(): Course[] {
    return [...this.begun.values()];
  }
}

/** Whether there are parts of it other than those that have waited apart. */
function isOpen({ open }: Course): boolean {
  return open.some(({ tries }) => tries === undefined);
}

function waiting(part: Part): Part {
  return { ...part, tries: part.tries ?? 0 };
}
