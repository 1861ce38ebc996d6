import type { BatchEnd } from '../../seams/event-log.js';
import type { StreamMessage } from './stream-message.js';

/**
 * While a batch gathers, the servers are asked this often for what has come, in its time and in milliseconds at most. They
 * replicate and flush what they hand out, each time: for small messages, one by one, that was more work than to store
 * them.
 */
const PULLS_A_BATCH = 5;
const PAUSE_MS_MAX = 200;

/** How long messages gather at the servers before they are asked for, in milliseconds. */
export function pullPauseMs({ batchWaitMs }: Pick<MergeBounds, 'batchWaitMs'>): number {
  return Math.min(PAUSE_MS_MAX, batchWaitMs / PULLS_A_BATCH);
}

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
    const { events, lineBytes, storedAtMs } = message;
    const hasSome = this.#messages.length > 0;
    if (hasSome && this.#events + events > batchSize) this.end('size');
    else if (hasSome && this.#bytes + lineBytes > batchBytes) this.end('bytes');
    this.#messages.push(message);
    this.#events += events;
    this.#bytes += lineBytes;
    if (this.#events >= batchSize) this.end('size');
    else {
      // what is old was stored with others, which another request brings
      const leastMs = 2 * pullPauseMs(this.#bounds);
      // clocks of machines differ
      const ageMs = Math.max(0, Date.now() - storedAtMs);
      this.#timer ??= setTimeout(
        () => {
          this.end('time');
        },
        Math.max(leastMs, batchWaitMs - ageMs),
      );
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
