import type { PendingBatch } from '../../seams/batch.js';
import type { BatchSums } from './batch-sums.js';
import { newlyGone } from './batch-reader.js';
import type { BatchContent } from './batch-reader.js';
import type { Survey } from './directory-listing.js';

/** What the log counts (N12). A file of an earlier run is counted when it is read. */
export class LogCounts {
  /** Files that an earlier run left, counted at start. */
  readonly leftoverBatches: number;
  /** Those of them whose events are not counted yet: their files have not been read. */
  unreadBatches: number;
  /** Events in the directory: appended or found in a file of an earlier run, and not deleted. */
  pendingEvents = 0;
  /** What the batch files take of the disk, as far as they are acknowledged, in bytes: whole blocks. */
  pendingBytes: number;
  /** Events of earlier runs, counted when their file is read. */
  recoveredEvents = 0;
  /** Files with a torn end. */
  torn = 0;
  /** Lines set aside as damaged, and acknowledged events of this run that are missing on disk. */
  quarantined = 0;

  /** Batches of this run whose names are not in memory, and their events, until they are read. */
  #dropped = { batches: 0, events: 0 };

  constructor({ batches, bytes }: Survey) {
    this.leftoverBatches = batches;
    this.unreadBatches = batches;
    this.pendingBytes = bytes;
  }

  /** Events of batches that were read, and are in no file any longer. */
  miss(events: number, bytes: number): void {
    this.quarantined += events;
    this.pendingEvents -= events;
    this.pendingBytes -= bytes;
  }

  /** A batch of this run waits of which nothing is kept in memory. */
  dropped({ events }: PendingBatch): void {
    this.#dropped = { batches: this.#dropped.batches + 1, events: this.#dropped.events + (events ?? 0) };
  }

  /** Batch files are gone of which nothing was in memory. The events of some are known when the others are read. */
  missFiles({ batches, leftovers, bytes }: BatchSums): void {
    this.unreadBatches -= leftovers;
    this.pendingBytes -= bytes;
    this.#found(batches - leftovers, 0);
  }

  #found(batches: number, events: number): void {
    if (this.#dropped.batches === 0) return;
    this.#dropped = { batches: this.#dropped.batches - batches, events: this.#dropped.events - events };
    if (this.#dropped.batches > 0) return;
    this.miss(this.#dropped.events, 0);
    this.#dropped = { batches: 0, events: 0 };
  }

  /** A batch file was read. */
  protected countRead(batch: PendingBatch, read: BatchContent): void {
    const { events } = read;
    const isNew = batch.past === null;
    const gone = newlyGone(batch, read);
    this.quarantined += gone;
    if (read.torn && isNew) this.torn++;
    if (batch.leftover && isNew) {
      this.recoveredEvents += events + gone;
      this.unreadBatches--;
    }
    this.pendingEvents += batch.leftover && isNew ? events : -gone;
    if (isNew && !batch.leftover && batch.events === null) this.#found(1, events + gone);
  }
}
