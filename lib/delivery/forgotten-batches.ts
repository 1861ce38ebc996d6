import type { EventLog } from '../seams/event-log.js';
import type { PendingBatch, StoredBatch } from '../seams/batch.js';
import type { LettersSize } from '../seams/dead-letters.js';

/** At most this many names are read from the directory at once, and kept of batches that need no room. */
const NAMES_MAX = 1000;
const FREE_MAX = 50_000;
const NOTHING = { batches: 0, events: 0, bytes: 0, letterBytes: 0, bornMs: Infinity };

/** Which batches of the directory are not forgotten ones. */
export interface Others {
  /** The names of batches that are being delivered or wait for it. */
  readonly busy: () => Iterable<string>;
  /** The newest batch that has come to be delivered: younger ones have not been forgotten. */
  readonly newest: () => string | null;
}

/**
 * Batches aside that memory has no room for. Only how many there are is known, and their sums; their names are found again
 * in the directory. One at a time goes to the sink again. Of those that need no room for dead letters the names are kept, so
 * they do not wait for those that do.
 */
export class ForgottenBatches {
  readonly #log: EventLog;
  readonly #others: Others;
  #sums = NOTHING;
  /** Those that need no room, but for more than memory holds. */
  readonly #free = new Set<string>();
  /** Some of them, found again, and whether it was for all that was looked or only for those that need no room. */
  #found: PendingBatch[] = [];
  #isOfAll = true;
  /** Names of those that were found and whose delivery is not over. */
  readonly #out = new Set<string>();
  /** The one of them that has its turn. */
  #atSink: string | null = null;

  constructor(log: EventLog, others: Others) {
    this.#log = log;
    this.#others = others;
  }

  /** With those whose delivery is not over. */
  get batches(): number {
    return this.#sums.batches + this.#out.size;
  }

  /** Whether one more may go to the sink. */
  isNextDue(hasRoom: boolean): boolean {
    return (hasRoom ? this.#sums.batches : this.#free.size) > 0 && this.#atSink === null;
  }

  /** Room that is enough for the dead letters of each of those that need some. */
  get size(): LettersSize {
    return { bytes: this.#sums.letterBytes, earlierBytes: 0 };
  }

  /** When the oldest was created, or one that is settled, in milliseconds of `performance.now()`. */
  get bornMs(): number {
    return this.#sums.bornMs;
  }

  /** @param size `null`: it needs no room for dead letters, as far as is known */
  add(pending: PendingBatch, size: LettersSize | null): void {
    const { name, events, bornMs } = pending;
    if (size === null && this.#free.size < FREE_MAX) this.#free.add(name);
    const sums = this.#sums;
    this.#sums = {
      batches: sums.batches + 1,
      events: sums.events + (events ?? 0),
      bytes: sums.bytes + this.#log.pendingBytesOf(pending),
      letterBytes: Math.max(sums.letterBytes, size?.bytes ?? 0),
      bornMs: Math.min(sums.bornMs, bornMs),
    };
  }

  /**
   * The next one for the sink; `null`: there is none.
   *
   * @param hasRoom whether there is room for the dead letters of each; if not, it is one that needs none
   * @throws the system's error
   */
  async next(hasRoom: boolean): Promise<PendingBatch | null> {
    if (hasRoom !== this.#isOfAll) this.#found = [];
    this.#isOfAll = hasRoom;
    const newest = this.#others.newest();
    if (this.#found.length === 0 && newest !== null) {
      // as of now: what is being delivered may be off the disk when the directory has been read
      const busy = new Set(this.#others.busy());
      const free = new Set(this.#free);
      const isForgotten = (name: string): boolean =>
        !busy.has(name) && this.#log.compare(name, newest) <= 0 && (hasRoom || free.has(name));
      const batches = hasRoom ? this.#sums.batches : free.size;
      this.#found = await this.#log.find(isForgotten, NAMES_MAX);
      // files may be gone; other batches may have come meanwhile
      if (this.#found.length < NAMES_MAX) {
        this.#add(this.#found.length - batches, 0, 0);
        for (const { name } of this.#found) free.delete(name);
        for (const name of free) this.#free.delete(name);
      }
    }
    const pending = this.#found.shift();
    if (pending === undefined) return null;
    this.#add(-1, 0, 0);
    this.#free.delete(pending.name);
    this.#atSink = pending.name;
    this.#out.add(pending.name);
    return { ...pending, past: 'offered' };
  }

  /** A batch was read that the sink gets. */
  read(batch: StoredBatch): void {
    if (this.#out.has(batch.name)) this.#add(0, -batch.events, -this.#log.pendingBytesOf(batch));
  }

  /** A batch cannot be read now: others have their turn meanwhile. @returns whether it had its turn */
  leaves({ name }: PendingBatch): boolean {
    if (name !== this.#atSink) return false;
    this.#atSink = null;
    return true;
  }

  /** The delivery of a batch is over. @returns whether it was one of these */
  ended(pending: PendingBatch): boolean {
    this.leaves(pending);
    return this.#out.delete(pending.name);
  }

  /** If all have been at the sink: how many events were in none of their files any longer. They are missed then. */
  missed(): number {
    if (this.batches > 0) return 0;
    const { events, bytes } = this.#sums;
    this.#sums = NOTHING;
    if (events !== 0 || bytes !== 0) this.#log.miss(events, bytes);
    return events;
  }

  #add(batches: number, events: number, bytes: number): void {
    const sums = this.#sums;
    this.#sums = {
      ...sums,
      batches: sums.batches + batches,
      events: sums.events + events,
      bytes: sums.bytes + bytes,
    };
  }
}
