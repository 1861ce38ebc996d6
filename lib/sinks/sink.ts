import type { Batch } from '../append-log/batch.js';

/**
 * Where batches go. A sink tries once: it resolves when the batch is safe on its side, or throws. After an error the
 * batch comes again, without end, unless it is a `SinkError` that says what the sink refuses for good: that goes to the
 * dead letters. The same batch may come more than once, also after a crash, always under the same name. A refused batch
 * comes again in parts, to find out which events are meant; a part's name is the batch's with its range.
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
