import type { Batch } from './batch.js';

export interface SinkDescription {
  /** `http`, `postgres`, …: letters, digits and hyphens. */
  readonly kind: string;
  /** Where its events go, without secrets: `https://api.example.com/ingest`. */
  readonly target?: string;
  /** `true` if it throws events away. What was accepted for another sink is not given to it without asking. */
  readonly keepsNothing?: true;
}

/** Of a sink that does not describe itself. */
export const CUSTOM_SINK: SinkDescription = { kind: 'custom' };

/**
 * Where batches go. A sink tries once: it resolves when the batch is safe on its side, or throws. After an error the
 * batch comes again, without end, unless it is a `SinkError` that says what the sink refuses for good: that goes to the
 * dead letters. The same batch may come more than once, also after a crash, always with the same key. A refused batch comes
 * again in parts, to find out which events are meant, each under a key of its own.
 */
export interface Sink {
  /** What people are told of it: log lines, the page, the lock file. */
  readonly description?: SinkDescription;
  /**
   * @param batch its `bytes` are NDJSON, one event a line
   * @param signal aborts when the server stops and no longer waits for the answer
   */
  deliver(batch: Batch, signal: AbortSignal): Promise<void>;
  /** Reads again what it was set up with, and opens its own files again, if it has any. Called at a `SIGHUP`. */
  reload?(): Promise<void>;
  /** Called once, after the last `deliver` has settled or was aborted. */
  close?(): Promise<void>;
}
