import type { BatchEnd } from '../../seams/event-log.js';
import type { StreamMessage } from './stream-message.js';

export interface MergeBounds {
  readonly batchSize: number;
  readonly batchBytes: number;
  readonly batchWaitMs: number;
}

/**
 * Merges messages into batches. An instance stores what it has at hand, often one event, and a message is handed out as a
 * whole; so where batches end is decided here, by the same limits.
 */
export class Merge {
  readonly #bounds: MergeBounds;
  readonly #ended: (messages: readonly StreamMessage[], end: BatchEnd) => void;
  #messages: StreamMessage[] = [];
  #events = 0;
  #bytes = 0;
  #timer: NodeJS.Timeout | undefined;

  /** @param ended takes the messages of a batch */
  constructor(bounds: MergeBounds, ended: (messages: readonly StreamMessage[], end: BatchEnd) => void) {
    this.#bounds = bounds;
    this.#ended = ended;
  }

  get messages(): readonly StreamMessage[] {
    return this.#messages;
  }

  add(message: StreamMessage): void {
    const { batchSize, batchBytes, batchWaitMs } = this.#bounds;
    const { events, data, storedAtMs } = message;
    const hasSome = this.#messages.length > 0;
    if (hasSome && this.#events + events > batchSize) this.end('size');
    else if (hasSome && this.#bytes + data.length > batchBytes) this.end('bytes');
    this.#messages.push(message);
    this.#events += events;
    this.#bytes += data.length;
    if (this.#events >= batchSize) this.end('size');
    else {
      // clocks of machines differ
      const ageMs = Math.min(batchWaitMs, Math.max(0, Date.now() - storedAtMs));
      this.#timer ??= setTimeout(() => {
        this.end('time');
      }, batchWaitMs - ageMs);
    }
  }

  end(why: BatchEnd): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const messages = this.#messages;
    this.#messages = [];
    this.#events = 0;
    this.#bytes = 0;
    if (messages.length > 0) this.#ended(messages, why);
  }

  /** Ends no further batch. */
  stop(): void {
    clearTimeout(this.#timer);
  }
}
