import { Readable } from 'node:stream';
import type { AppendLog } from '../append-log/append-log.js';
import type { SealedBatch } from '../append-log/batch.js';
import { asError } from '../errors.js';
import type { LogLines } from '../log-lines.js';

/**
 * Names held in memory, about 100 bytes each; the others stay in the directory. Reading a directory of
 * 100,000 names takes about 0.1 s, so it is read once for many batches.
 */
const NAMES_MAX = 10_000;
const LIST_RETRY_MS = 1000;

/**
 * Sealed batches, oldest first: at start what an earlier run left, then what was sealed since. It carries
 * names, never events, and only so many of them: when more wait than it may hold, it forgets the newest and
 * reads the directory again once the older ones are gone.
 */
export class Backlog extends Readable {
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  readonly #namesMax: number;
  #batches: SealedBatch[] = [];
  /** The newest name given on; the directory is read from there. */
  #last: string | null = null;
  /** Whether the directory may hold sealed batches that are not in `#batches`. */
  #moreOnDisk: boolean;
  #listing = false;
  #sealedMeanwhile = false;
  #listTimer: NodeJS.Timeout | undefined;
  #wanted = false;
  #stopped = false;

  constructor(log: AppendLog, lines: LogLines, namesMax: number = NAMES_MAX) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#lines = lines;
    this.#namesMax = namesMax;
    this.#moreOnDisk = log.leftoverBatches > 0;
  }

  /** When the oldest batch was made that waits here, in milliseconds of `performance.now()`; `null` where none is known. */
  get oldestBornMs(): number | null {
    return this.#batches[0]?.bornMs ?? null;
  }

  /** Takes a batch that was sealed just now, after all others in the order of names. */
  offer(batch: SealedBatch): void {
    if (this.#listing) this.#sealedMeanwhile = true;
    else if (this.#moreOnDisk || this.#batches.length >= this.#namesMax) this.#moreOnDisk = true;
    else this.#batches.push(batch);
    if (this.#wanted) this.#give();
  }

  /** Gives nothing more: what is left stays on disk for the next run. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#listTimer);
    this.push(null);
  }

  override _read(): void {
    this.#wanted = true;
    this.#give();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stopped = true;
    clearTimeout(this.#listTimer);
    done(error);
  }

  #give(): void {
    if (this.#stopped || this.#listing) return;
    const batch = this.#batches.shift();
    if (batch !== undefined) {
      this.#last = batch.name;
      this.#wanted = false;
      this.push(batch);
    } else if (this.#moreOnDisk) {
      void this.#list();
    }
  }

  /** Reads the oldest names from the directory. One that was sealed meanwhile may be missing in what was read. */
  async #list(): Promise<void> {
    this.#listing = true;
    this.#sealedMeanwhile = false;
    try {
      this.#batches = await this.#log.list(this.#last, this.#namesMax);
      this.#moreOnDisk = this.#batches.length >= this.#namesMax || this.#sealedMeanwhile;
    } catch (error) {
      this.#lines.error(
        'DISK_FAILED',
        `Could not read the directory ${this.#log.dir}; trying again`,
        asError(error),
      );
      await new Promise((resolve) => {
        this.#listTimer = setTimeout(resolve, LIST_RETRY_MS);
      });
    }
    this.#listing = false;
    this.#give();
  }
}
