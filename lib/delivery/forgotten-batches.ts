import type { EventLog } from '../seams/event-log.js';
import type { PendingBatch, StoredBatch } from '../seams/batch.js';
import type { LettersSize } from '../seams/dead-letters.js';

/** At most this many names are read from the directory at once, and kept of batches that need no room. */
const NAMES_MAX = 1000;
const FREE_MAX = 50_000;
const NOTHING = { batches: 0, events: 0, bytes: 0, letterBytes: 0, bornMs: Infinity };

/** Batches in the directory that are not forgotten. */
export interface Others {
  /** Names of batches that are being delivered or wait for it. */
  readonly busy: () => Iterable<string>;
  /** The newest batch that delivery was given: younger ones have not been forgotten. */
  readonly newest: () => string | null;
}

/**
 * Batches aside for which memory has no room. They are only counted and summed; their names are found again in the
 * directory. One at a time goes to the sink again. The names of batches that need no room for dead letters are kept,
 * so these batches do not wait for the others.
 */
export class ForgottenBatches {
  readonly #log: EventLog;
  readonly #others: Others;
  #sums = NOTHING;
  /** Batches that need no room for dead letters, as far as memory holds them. */
  readonly #free = new Set<string>();
  /** Batches that were found again, and whether the search was for all or only for those that need no room. */
  #found: PendingBatch[] = [];
  #isOfAll = true;
  /** Names of found batches whose delivery is not over. */
  readonly #out = new Set<string>();
  /** The found batch whose turn it is. */
  #atSink: string | null = null;

  constructor(log: EventLog, others: Others) {
    this.#log = log;
    this.#others = others;
  }

  /** Includes batches whose delivery is not over. */
  get batches(): number {
    return this.#sums.batches + this.#out.size;
  }

  /** Whether one more batch may go to the sink. */
  isNextDue(hasRoom: boolean): boolean {
    return (hasRoom ? this.#sums.batches : this.#free.size) > 0 && this.#atSink === null;
  }

  /** Enough room for the dead letters of any one of them. */
  get size(): LettersSize {
    return { bytes: this.#sums.letterBytes, earlierBytes: 0 };
  }

  /** When the oldest was created, in milliseconds of `performance.now()`. It may be settled by now. */
  get bornMs(): number {
    return this.#sums.bornMs;
  }

  /** @param size `null` if it needs no room for dead letters, as far as is known */
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
   * The next batch for the sink; `null` if there is none.
   *
   * @param hasRoom whether there is room for the dead letters of any; if not, only a batch that needs none is due
   * @throws the system's error
   */
  async next(hasRoom: boolean): Promise<PendingBatch | null> {
    if (hasRoom !== this.#isOfAll) this.#found = [];
    this.#isOfAll = hasRoom;
    const newest = this.#others.newest();
    if (this.#found.length === 0 && newest !== null) {
      // as of now: a batch that is being delivered may be off the disk once the directory has been read
      const busy = new Set(this.#others.busy());
      const free = new Set(this.#free);
      const isForgotten = (name: string): boolean =>
        !busy.has(name) && this.#log.compare(name, newest) <= 0 && (hasRoom || free.has(name));
      const batches = hasRoom ? this.#sums.batches : free.size;
      this.#found = await this.#log.find(isForgotten, NAMES_MAX);
      // files may be gone, and other batches may have come meanwhile
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

  /** Called when a batch was read for delivery. */
  read(batch: StoredBatch): void {
    if (this.#out.has(batch.name)) this.#add(0, -batch.events, -this.#log.pendingBytesOf(batch));
  }

  /** A batch cannot be read now: others go first. @returns whether it was its turn */
  leaves({ name }: PendingBatch): boolean {
    if (name !== this.#atSink) return false;
    this.#atSink = null;
    return true;
  }

  /** The delivery of a batch has ended. @returns whether it was one of these */
  ended(pending: PendingBatch): boolean {
    this.leaves(pending);
    return this.#out.delete(pending.name);
  }

  /** Once all have been at the sink: how many events were no longer in any file. They count as missed then. */
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
