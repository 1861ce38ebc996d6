import type { AppendLog } from '../logs/file/append-log.js';
import { compareBatchNames } from '../logs/file/batch-name.js';
import type { SealedBatch, StoredBatch } from '../seams/batch.js';
import { asError } from '../base/errors.js';

/** So many batches wait at most: with 16 the disk is busy while one is at the sink, and more gain nothing. */
const BATCHES_MAX = 16;
/** While so many bytes are read, no further batch is begun; so it is at most the bytes of a batch more. */
const BYTES_MAX = 4 * 1024 * 1024;

/** A batch that waits for its place at the sink. */
export interface Waiting {
  readonly sealed: SealedBatch;
  /** What it counts in memory. */
  readonly bytes: number;
  /** Its content, or why it could not be read; `null`: nothing was read of it. */
  readonly read: Promise<StoredBatch | Error> | null;
}

/** Batches that wait for a place at the sink, oldest first, and are read from the disk meanwhile. */
export class ReadAhead {
  readonly #log: AppendLog;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(log: AppendLog) {
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get first(): SealedBatch | null {
    return this.#waiting[0]?.sealed ?? null;
  }

  get isFull(): boolean {
    return this.#waiting.length >= BATCHES_MAX || this.#bytes >= BYTES_MAX;
  }

  /** Whether the sink has a backlog to catch up with: in ordinary delivery one or two batches wait. */
  get isLong(): boolean {
    return this.isFull || this.#waiting.length >= BATCHES_MAX / 2;
  }

  /** Puts a batch at the end, and begins to read it unless it is in memory anyway. */
  add(sealed: SealedBatch): void {
    const isRead = !this.#log.remembers(sealed);
    const bytes = isRead ? sealed.fileBytes : 0;
    // an error is not lost: it counts as the first attempt once the batch has its place
    const read = isRead ? this.#log.read(sealed).catch(asError) : null;
    this.#bytes += bytes;
    this.#waiting.push({ sealed, bytes, read });
  }

  /** Puts a batch that has had its turn in front of all younger ones. Nothing is read of it before its next turn. */
  addAgain(sealed: SealedBatch): void {
    const at = this.#waiting.findIndex((other) => compareBatchNames(other.sealed.name, sealed.name) > 0);
    this.#waiting.splice(at === -1 ? this.#waiting.length : at, 0, { sealed, bytes: 0, read: null });
  }

  /** All that wait, oldest first. */
  get batches(): SealedBatch[] {
    return this.#waiting.map(({ sealed }) => sealed);
  }

  /** Takes the oldest. */
  shift(): Waiting | null {
    const first = this.#waiting.shift() ?? null;
    if (first !== null) this.#bytes -= first.bytes;
    return first;
  }
}
