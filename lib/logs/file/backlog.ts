import { Readable } from 'node:stream';
import type { PendingBatch } from '../../seams/batch.js';
import { compareBatchNames } from './batch-name.js';
import { NOTHING, minus } from './batch-sums.js';
import type { BatchSums } from './batch-sums.js';
import { diskBytes } from './disk-blocks.js';
import { LookPace } from './look-pace.js';
import { asError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { count } from '../../base/words.js';

/**
 * At most this many names are in memory, about 100 bytes each; the others stay in the directory. Reading a directory
 * of 100,000 names takes about 0.1 s, so one read serves many batches.
 */
/** The log whose batches it gives. */
export interface ListedLog {
  readonly dir: string;
  readonly leftoverBatches: number;
  readonly pendingBytes: number;
  /** Whether `pendingBytes` is an estimate until the files were counted. */
  readonly isEstimate: boolean;
  list(after: string | null, most: number): Promise<PendingBatch[]>;
  /** @param begins called when they are looked at: what changes its form does so before, or after all of them */
  sums(after: string | null, begins: () => void): Promise<BatchSums>;
  dropped(batch: PendingBatch): void;
  missFiles(gone: BatchSums): void;
}

const NAMES_MAX = 10_000;
const LIST_RETRY_MS = 1000;
/** How often to count the others, in milliseconds: someone may delete files by hand. Less often if there are many. */
const COUNT_MS = 10_000;

/**
 * Sealed batches, oldest first: at the start the leftovers of earlier runs, then newly sealed ones. It carries names,
 * never events, and at most `NAMES_MAX` of them: if more wait, it forgets the newest and reads the directory again
 * once the older ones are gone.
 */
export class Backlog extends Readable {
  readonly #log: ListedLog;
  readonly #reporter: Reporter;
  readonly #namesMax: number;
  #batches: PendingBatch[] = [];
  /** The newest name passed on; the directory is read from there. */
  #last: string | null = null;
  /** Whether the directory may hold sealed batches that are not in `#batches`. */
  #moreOnDisk: boolean;
  /** The batches in the directory that are not in `#batches`. */
  #beyond: BatchSums;
  /** Whether their size is. */
  #isEstimate: boolean;
  readonly #pace: LookPace;
  readonly #countTimer: NodeJS.Timeout;
  #listing = false;
  #sealedMeanwhile = false;
  #listTimer: NodeJS.Timeout | undefined;
  #wanted = false;
  #stopped = false;
  /** A batch whose file is being replaced: it is not passed on. */
  #held: string | null = null;

  constructor(log: ListedLog, reporter: Reporter, namesMax: number = NAMES_MAX, countMs: number = COUNT_MS) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#reporter = reporter;
    this.#namesMax = namesMax;
    this.#moreOnDisk = log.leftoverBatches > 0;
    const { leftoverBatches, pendingBytes } = log;
    this.#beyond = { batches: leftoverBatches, leftovers: leftoverBatches, bytes: pendingBytes };
    this.#isEstimate = log.isEstimate;
    this.#pace = new LookPace(countMs);
    this.#countTimer = setInterval(() => {
      if (this.#moreOnDisk && !this.#listing && this.#pace.isDue) void this.#count();
    }, countMs).unref();
  }

  /** When the oldest waiting batch was created, in milliseconds of `performance.now()`; `null` if none is known. */
  get oldestBornMs(): number | null {
    return this.#batches[0]?.bornMs ?? null;
  }

  /** Adds a batch that was just sealed, after all others in the order of names. */
  offer(batch: PendingBatch): void {
    if (this.#listing) this.#sealedMeanwhile = true;
    else if (this.#moreOnDisk || this.#batches.length >= this.#namesMax) this.#moreOnDisk = true;
    else this.#batches.push(batch);
    if (this.#batches.at(-1) !== batch) {
      this.#log.dropped(batch);
      const { batches, leftovers, bytes } = this.#beyond;
      this.#beyond = { batches: batches + 1, leftovers, bytes: bytes + diskBytes(batch.logBytes) };
    }
    if (this.#wanted) this.#give();
  }

  /** Whether a batch is still here: delivery was not given it. */
  has(name: string): boolean {
    return !this.#stopped && (this.#last === null || compareBatchNames(name, this.#last) > 0);
  }

  /** Passes a batch on only after `release`. @returns whether it is still here */
  hold(name: string): boolean {
    if (!this.has(name)) return false;
    this.#held = name;
    return true;
  }

  /** @param replaced the batch that was held, if its file is another one now, and its size before */
  release(
    replaced: Pick<PendingBatch, 'name' | 'logBytes' | 'compressed'> | null,
    logBytesBefore: number,
  ): void {
    this.#held = null;
    if (replaced !== null) this.#replace(replaced, logBytesBefore);
    if (this.#wanted) this.#give();
  }

  #replace(
    { name, logBytes, compressed }: Pick<PendingBatch, 'name' | 'logBytes' | 'compressed'>,
    before: number,
  ): void {
    const at = this.#indexOf(name);
    const batch = this.#batches[at];
    if (batch?.name === name) {
      this.#batches[at] = { ...batch, logBytes, compressed, isAcknowledged: true };
      return;
    }
    const { batches, leftovers, bytes } = this.#beyond;
    this.#beyond = { batches, leftovers, bytes: bytes + diskBytes(logBytes) - diskBytes(before) };
  }

  /** Where a batch is among those in memory, or would be. */
  #indexOf(name: string): number {
    let [low, high] = [0, this.#batches.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      const other = this.#batches[middle];
      if (other !== undefined && compareBatchNames(other.name, name) < 0) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  /** Passes nothing more on: the rest stays on disk for the next run. */
  stop(): void {
    if (this.#stopped) return;
    this.#stopped = true;
    clearTimeout(this.#listTimer);
    clearInterval(this.#countTimer);
    this.push(null);
  }

  override _read(): void {
    this.#wanted = true;
    this.#give();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#stopped = true;
    clearTimeout(this.#listTimer);
    clearInterval(this.#countTimer);
    done(error);
  }

  #give(): void {
    if (this.#stopped || this.#listing) return;
    if (this.#held !== null && this.#batches[0]?.name === this.#held) return;
    const batch = this.#batches.shift();
    if (batch !== undefined) {
      this.#last = batch.name;
      this.#wanted = false;
      this.push(batch);
    } else if (this.#moreOnDisk) {
      void this.#list();
    }
  }

  /** Reads the oldest names from the directory. A batch that was sealed meanwhile may be missing. */
  async #list(): Promise<void> {
    this.#listing = true;
    this.#sealedMeanwhile = false;
    try {
      this.#batches = await this.#log.list(this.#last, this.#namesMax);
      const before = this.#beyond;
      this.#beyond = minus(before, sumsOf(this.#batches));
      this.#moreOnDisk = this.#batches.length >= this.#namesMax || this.#sealedMeanwhile;
      if (!this.#moreOnDisk) this.#miss(this.#beyond);
    } catch (error) {
      this.#reporter.error(
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

  async #count(): Promise<void> {
    try {
      await this.#pace.look(async () => {
        let expected = this.#beyond;
        const last = this.#batches.at(-1)?.name ?? this.#last;
        const there = await this.#log.sums(last, () => (expected = this.#beyond));
        // some have come into memory meanwhile: wait for the next count
        if (!this.#listing && last === (this.#batches.at(-1)?.name ?? this.#last))
          this.#miss(minus(expected, there));
      });
    } catch (error) {
      this.#reporter.error('DISK_FAILED', `Could not read the directory ${this.#log.dir}`, asError(error));
    }
  }

  /** Someone else has deleted these files, or their size was estimated. */
  #miss(gone: BatchSums): void {
    if (gone.batches < 0 || (gone.batches === 0 && !this.#isEstimate)) return;
    this.#isEstimate = false;
    this.#beyond = minus(this.#beyond, gone);
    this.#log.missFiles(gone);
    if (gone.batches === 0) return;
    const files = count(gone.batches, 'batch file is', 'batch files are');
    this.#reporter.error('BATCH_GONE', `${files} gone that waited: someone else has deleted or moved them`);
  }
}

function sumsOf(batches: readonly PendingBatch[]): BatchSums {
  return batches.reduce(
    (sums, { logBytes, leftover }) => ({
      batches: sums.batches + 1,
      leftovers: sums.leftovers + Number(leftover),
      bytes: sums.bytes + diskBytes(logBytes),
    }),
    NOTHING,
  );
}
