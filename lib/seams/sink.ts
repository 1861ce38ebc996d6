import type { Batch } from './batch.js';

export interface SinkDescription {
  /** `http`, `postgres`, …: letters, digits and hyphens. */
  readonly kind: string;
  /** Where its events go, without secrets: `https://api.example.com/ingest`. */
  readonly target?: string;
  /**
   * `true` if it throws events away. It gets events that were accepted for another sink only with the operator's
   * consent.
   */
  readonly keepsNothing?: true;
}

/** For a sink that does not describe itself. */
export const CUSTOM_SINK: SinkDescription = { kind: 'custom' };

/**
 * Where batches go. A sink tries once: it resolves when the batch is safe on its side, or throws. After an error the
 * batch comes again, without end, except for events that a `SinkError` refuses for good: these become dead letters.
 * The same batch may come more than once, also after a crash, always with the same key. A refused batch comes again in
 * parts, each under its own key, to find out which events are meant.
 */
export interface Sink {
  /** How log lines, the page and the lock file describe it. */
  readonly description?: SinkDescription;
  /**
   * @param batch its `bytes` are NDJSON, one event per line
   * @param signal aborts when the server stops and no longer waits for the answer
   * @param traceparent of the span of this attempt, if there are spans (`--trace-url`)
   */
  deliver(batch: Batch, signal: AbortSignal, traceparent?: string): Promise<void>;
  /** Reads its setup again, and opens its own files again, if it has any. Called at a `SIGHUP`. */
  reload?(): Promise<void>;
  /** Called once, after the last `deliver` has settled or was aborted. */
  close?(): Promise<void>;
}
