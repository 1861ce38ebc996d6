import type { PendingBatch, StoredBatch } from '../seams/batch.js';
import type { EventLog } from '../seams/event-log.js';
import { asError } from '../base/errors.js';

/** At most this many batches wait: 16 keep the disk busy while one is at the sink, and more gain nothing. */
const BATCHES_MAX = 16;
/** While this many bytes are being read, no further read starts: at most one batch exceeds it. */
const BYTES_MAX = 4 * 1024 * 1024;

/** A batch that waits for its place at the sink. */
export interface Waiting {
  readonly pending: PendingBatch;
  /** How much it counts in memory, in bytes. */
  readonly bytes: number;
  /** Its content, or why it could not be read; `null` if it was not read ahead. */
  readonly read: Promise<StoredBatch | Error> | null;
}

/** Batches that wait for a place at the sink, oldest first. They are read from disk meanwhile. */
export class ReadAhead {
  readonly #log: EventLog;
  readonly #waiting: Waiting[] = [];
  #bytes = 0;

  constructor(log: EventLog) {
    this.#log = log;
  }

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  get first(): PendingBatch | null {
    return this.#waiting[0]?.pending ?? null;
  }

  get isFull(): boolean {
    return this.#waiting.length >= BATCHES_MAX || this.#bytes >= BYTES_MAX;
  }

  /** Whether the sink has a backlog to catch up with. Normally, one or two batches wait. */
  get isLong(): boolean {
    return this.isFull || this.#waiting.length >= BATCHES_MAX / 2;
  }

  /** Adds a batch at the end, and starts to read it unless it is in memory anyway. */
  add(pending: PendingBatch): void {
    const isRead = !this.#log.remembers(pending);
    const bytes = isRead ? (pending.compressed?.readBytes ?? pending.logBytes) : 0;
    // an error is not lost: it counts as the first attempt once the batch has its place
    const read = isRead ? this.#log.read(pending).catch(asError) : null;
    this.#bytes += bytes;
    this.#waiting.push({ pending, bytes, read });
  }

  /** Puts a batch that has had its turn before all younger ones. It is not read before its next turn. */
  addAgain(pending: PendingBatch): void {
    const at = this.#waiting.findIndex((other) => this.#log.compare(other.pending.name, pending.name) > 0);
    this.#waiting.splice(at === -1 ? this.#waiting.length : at, 0, { pending, bytes: 0, read: null });
  }

  /** All waiting batches, oldest first. */
  get batches(): PendingBatch[] {
    return this.#waiting.map(({ pending }) => pending);
  }

  shift(): Waiting | null {
    const first = this.#waiting.shift() ?? null;
    if (first !== null) this.#bytes -= first.bytes;
    return first;
  }
}
