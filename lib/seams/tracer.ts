import type { EventBlock } from '../event/event-block.js';
import type { EventContext } from '../event/event-context.js';
import type { Batch } from './batch.js';
import type { SinkDescription } from './sink.js';

/** A request, as its span has it. */
export interface TracedRequest {
  readonly source: string;
  readonly path: string;
  readonly isTls: boolean;
  /** What came with it. */
  readonly context: EventContext | null;
}

/** The span of a request, from its head to its answer. */
export interface AcceptSpan {
  /** Its events are read: from now on their context is that of the span. */
  took(block: EventBlock): void;
  /** @param status of the answer; 0: the client was gone before it */
  end(status: number): void;
}

/** The span of an attempt at the sink. */
export interface DeliverSpan {
  readonly traceparent: string;
  /** @param error of the attempt; `null`: the sink has the batch */
  end(error: Error | null): void;
}

/** How many spans there were. */
export interface SpanCounts {
  /** Those that the collector has. */
  readonly sent: number;
  /** Those that it has not, and does not get: it was not there, or too slow. */
  readonly lost: number;
}

/** Makes spans. It throws nothing, and nothing waits for it. */
export interface Tracer {
  readonly counts: SpanCounts;
  /** `null`: this request is not traced. */
  accept(request: TracedRequest): AcceptSpan | null;
  /** `null`: this attempt is not traced. */
  deliver(batch: Batch, sink: SinkDescription): DeliverSpan | null;
  /** Sends what is left, for at most this many milliseconds. */
  close(waitMs: number): Promise<void>;
}
