import type { PendingBatch } from '../seams/batch.js';
import type { Reporter } from '../base/reporter.js';
import type { FileCourse } from './file-course.js';

/** Memory for all of them, in bytes. */
const MEMORY_BYTES_MAX = 8 * 1024 * 1024;
/** The bounds of a wait that nothing shortens, in milliseconds; the last if only events that wait apart are left. */
const FIRST_MS = 1000;
const MOST_MS = 30_000;
const APART_MOST_MS = 600_000;
/** A batch that causes its own failures takes at most a fifth of a place. */
const REST = 4;
/** After at most this many turns in a row in which the sink took nothing, a batch that does not rest goes first. */
const TURNS_IN_VAIN_MAX = 3;

interface Resting {
  readonly pending: PendingBatch;
  readonly course: FileCourse;
  readonly memoryBytes: number;
  /** Turns in a row in which the sink took nothing of it. */
  readonly turns: number;
  /** When its next turn is due, on the clock of `performance.now()`. */
  dueMs: number;
  /** Whether its file cannot be read now. It gets its turn by itself once it can be read. */
  isAway: boolean;
}

export interface RestingBatchesOptions {
  readonly reporter: Reporter;
  readonly stopping: AbortSignal;
  readonly random: () => number;
  readonly memoryBytesMax?: number | undefined;
  /** Delivers a batch again, in its turn; `ended` is called when that is over. */
  readonly deliver: (pending: PendingBatch) => void;
  /** Whether a batch that does not rest waits for a place. */
  readonly othersWait: () => boolean;
}

/**
 * Batches that the sink failed on and that have left their places. Each is on disk; memory keeps only its name and its
 * progress. One at a time gets a turn again: soon if others were taken meanwhile or if its parts are to be tried,
 * later and later if only events that wait apart are left.
 */
export class RestingBatches {
  /** Events that wait apart. */
  events = 0;
  readonly #options: RestingBatchesOptions;
  readonly #resting = new Map<string, Resting>();
  /** The batch whose turn it is. */
  #atSink: { readonly name: string; readonly turns: number } | null = null;
  #memoryBytes = 0;
  #timer: NodeJS.Timeout | null = null;
  /** Whether events were set apart since the log said that there are none. */
  #hasSet = false;
  /** Turns in a row, of any of these batches, in which the sink took nothing. */
  #turnsInVain = 0;
  /** No event that waits apart is offered before this time. */
  #pauseUntilMs = 0;

  constructor(options: RestingBatchesOptions) {
    this.#options = options;
    options.stopping.addEventListener('abort', () => {
      this.end();
    });
  }

  /** Whether another batch must get a place first: batches that are due again and again would take all places. */
  get #owesPlace(): boolean {
    return this.#turnsInVain >= TURNS_IN_VAIN_MAX && this.#options.othersWait();
  }

  get names(): readonly string[] {
    return [...this.#resting.keys()];
  }

  /** Whether any batch that can be read has more left than events that wait apart. */
  get isAnyOpen(): boolean {
    for (const { course, isAway } of this.#resting.values()) if (course.isOpen && !isAway) return true;
    return false;
  }

  /** When the oldest was created, in milliseconds of `performance.now()`; `Infinity` if there is none. */
  get oldestBornMs(): number {
    let oldestMs = Infinity;
    for (const { pending } of this.#resting.values()) oldestMs = Math.min(oldestMs, pending.bornMs);
    return oldestMs;
  }

  /**
   * A batch has left its place before the sink has all of it.
   *
   * @param tookAny whether the sink took some of it in this turn
   * @returns `false` if memory has no room for it
   */
  add(pending: PendingBatch, course: FileCourse, tookAny: boolean): boolean {
    const { random, memoryBytesMax = MEMORY_BYTES_MAX } = this.#options;
    const turns = tookAny || this.#atSink?.name !== pending.name ? 0 : this.#atSink.turns + 1;
    if (this.#atSink?.name === pending.name) this.#turnsInVain = tookAny ? 0 : this.#turnsInVain + 1;
    const memoryBytes = course.shrink();
    if (this.#memoryBytes + memoryBytes > memoryBytesMax) {
      course.drop();
      return false;
    }
    const mostMs = course.isOpen ? MOST_MS : APART_MOST_MS;
    const backoffMs = Math.min(mostMs, FIRST_MS * 2 ** turns) * (0.5 + random() / 2);
    const isTried = course.takesOthers && course.isOpen;
    const waitMs = Math.max(REST * course.tookMs, isTried ? 0 : backoffMs);
    const nowMs = performance.now();
    if (!course.isOpen) this.#pauseUntilMs = nowMs + Math.max(FIRST_MS, REST * course.tookMs);
    this.#memoryBytes += memoryBytes;
    this.events += course.apart;
    if (this.events > 0) this.#hasSet = true;
    this.#resting.set(pending.name, {
      pending,
      course,
      memoryBytes,
      turns,
      dueMs: nowMs + waitMs,
      isAway: false,
    });
    return true;
  }

  /**
   * Starts the turn of a batch. @returns its progress; `null` if nothing is known of it, or if it has changed
   * meanwhile
   */
  take({ name, events }: Pick<PendingBatch, 'name' | 'events'>): FileCourse | null {
    const resting = this.#resting.get(name);
    if (resting === undefined) return null;
    const { pending, course, memoryBytes } = resting;
    this.#resting.delete(name);
    this.#memoryBytes -= memoryBytes;
    this.events -= course.apart;
    if (pending.events !== events) {
      course.drop();
      return null;
    }
    course.startTurn();
    return course;
  }

  /** A batch cannot be read and leaves its place: others go first. */
  leaves({ name }: PendingBatch): void {
    if (this.#atSink?.name === name) {
      this.#atSink = null;
      const resting = this.#resting.get(name);
      if (resting !== undefined) resting.isAway = true;
    } else this.#turnsInVain = 0;
    this.#look();
  }

  /** The turn of a batch has ended, with any outcome. @param isWell whether the sink has all of it */
  ended({ name }: PendingBatch, isWell: boolean): void {
    if (this.#atSink?.name === name) {
      this.#atSink = null;
      this.#sayEnd();
      // the cause of all these failures may be gone
      if (isWell) this.#hurry(() => true);
    } else this.#turnsInVain = 0;
    if (this.#resting.size === 0) return;
    if (isWell) this.#hurry(({ course }) => !course.takesOthers);
    this.#look();
  }

  /** Starts no further turn. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #sayEnd(): void {
    if (this.events > 0 || !this.#hasSet) return;
    this.#hasSet = false;
    this.#options.reporter.info('No event waits apart any longer');
  }

  #hurry(who: (resting: Resting) => boolean): void {
    this.#pauseUntilMs = 0;
    for (const resting of this.#resting.values()) if (who(resting)) resting.dueMs = 0;
  }

  #look(): void {
    const { stopping, deliver } = this.#options;
    if (this.#atSink !== null || stopping.aborted || this.#owesPlace) return;
    let next: Resting | null = null;
    for (const resting of this.#resting.values())
      if (!resting.isAway && (next === null || this.#dueMs(resting) < this.#dueMs(next))) next = resting;
    if (next === null) return;
    this.end();
    const waitMs = this.#dueMs(next) - performance.now();
    if (waitMs > 0) {
      this.#timer = setTimeout(() => {
        this.#look();
      }, Math.ceil(waitMs));
      return;
    }
    this.#atSink = { name: next.pending.name, turns: next.turns };
    deliver(next.pending);
  }

  #dueMs({ course, dueMs }: Resting): number {
    return course.isOpen ? dueMs : Math.max(dueMs, this.#pauseUntilMs);
  }
}
