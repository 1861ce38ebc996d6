import type { PendingBatch } from '../../seams/batch.js';
import type { BatchSums } from './batch-sums.js';
import type { ReadCounts } from './batch-reader.js';
import type { Survey } from './survey.js';

/** The counts of the log (N12). A file of an earlier run is counted when it is read. */
export class LogCounts {
  /** Leftover files, counted at start. */
  readonly leftoverBatches: number;
  /** Whether the size of leftover files was estimated at the start. */
  readonly isEstimate: boolean;
  /** Leftover files that are not read yet, so that their events are not counted. */
  unreadBatches: number;
  /** Events in the directory: appended, or found in a file of an earlier run, and not deleted. */
  pendingEvents = 0;
  /** The size of the batch files on disk, as far as they are acknowledged, in bytes: whole blocks. At a start it may be an estimate. */
  pendingBytes: number;
  /** Events of earlier runs, counted when their file is read. */
  recoveredEvents = 0;
  /** Files with a torn end. */
  torn = 0;
  /** Lines set aside as damaged, and acknowledged events of this run that are missing on disk. */
  quarantined = 0;

  /** Batches of this run whose names are not in memory, and their events, until they are read. */
  #dropped = { batches: 0, events: 0 };

  constructor({ batches, bytes, isEstimate }: Survey) {
    this.isEstimate = isEstimate;
    this.leftoverBatches = batches;
    this.unreadBatches = batches;
    this.pendingBytes = bytes;
  }

  /** Counts events of batches that were read and are no longer in any file. */
  miss(events: number, bytes: number): void {
    this.quarantined += events;
    this.pendingEvents -= events;
    this.pendingBytes -= bytes;
  }

  /** A batch of this run waits on disk, and its name is not in memory. */
  dropped({ events }: PendingBatch): void {
    this.#dropped = { batches: this.#dropped.batches + 1, events: this.#dropped.events + (events ?? 0) };
  }

  /** Batch files are gone that memory knew nothing of. The events of some are known once the others are read. */
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

  protected countRead(batch: PendingBatch, read: ReadCounts): void {
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

/** How many events of a batch are newly missing, according to its file. */
function newlyGone(batch: PendingBatch, { events, quarantined }: ReadCounts): number {
  if (batch.events !== null) return batch.events - events;
  return batch.past === null ? quarantined : 0;
}
