import type { AppendLog } from '../logs/file/append-log.js';
import type { DeletedBatch } from '../seams/batch.js';
import type { Retries } from './retries.js';

/**
 * While a backlog is caught up with, so many files of confirmed batches may wait for their deletion before no further
 * batch goes to the sink: a crash sends them again. With fewer, a sink that is faster than the disk waits for it.
 */
const DELETIONS_MAX = 32;

/** Takes the files of settled batches off the disk, each until the disk does it. */
export class Deletions {
  readonly #log: AppendLog;
  readonly #retries: Retries;
  #running = 0;
  /**
   * By which those leave their place that have one still. With few behind it a batch is off the disk before the next goes
   * out; with many the disk is not waited for.
   */
  readonly #lingering = new Set<() => void>();

  constructor(log: AppendLog, retries: Retries) {
    this.#log = log;
    this.#retries = retries;
  }

  get isFull(): boolean {
    return this.#running >= DELETIONS_MAX;
  }

  /** Those whose files are still there leave their places. */
  leavePlaces(): void {
    for (const leavePlace of this.#lingering) leavePlace();
    this.#lingering.clear();
  }

  /** Resolves to `false` where the server stops before the file is deleted. */
  async run(batch: DeletedBatch, leavePlace: () => void): Promise<boolean> {
    this.#running++;
    this.#lingering.add(leavePlace);
    const deleted = await this.#retries.untilDone('Could not delete batch file', batch, () =>
      this.#log.delete(batch),
    );
    this.#lingering.delete(leavePlace);
    this.#running--;
    return deleted;
  }
}
