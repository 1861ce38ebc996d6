import type { Batch } from '../append-log/batch.js';

/**
 * Where batches go. A sink tries once: it resolves when the batch is safe on its side, or throws. What it
 * throws is tried again, without end. The same batch may come more than once, also after a crash, always under
 * the same name.
 */
export interface Sink {
  /**
   * @param batch its `bytes` are NDJSON, one event a line
   * @param signal aborts when the server stops and no longer waits for the answer
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<void>;
  /** Called once, after the last `deliver` has settled or was aborted. */
  close?(): Promise<void>;
}
