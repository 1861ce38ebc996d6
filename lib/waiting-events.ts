import { ForebayError } from './errors.js';
import type { QueuedEvent } from './stages/batcher.js';

/** Gets the outcome of an event, once. */
export type Answer = (error: Error | null) => void;

interface WaitingEvent extends QueuedEvent {
  withdrawn: boolean;
  readonly answer: Answer;
  /** When its client has waited long enough, in milliseconds of `performance.now()`. */
  readonly dueMs: number;
}

/**
 * The events whose clients wait for the disk, oldest first. No client waits longer than `timeoutMs`: then it gets
 * `IN_DOUBT`, because a write that hangs may still come to its end. The event itself stays in the queue, which
 * bounds memory, until the disk answers; one that the writer has not taken yet is not written any more.
 */
export class WaitingEvents {
  /** Events whose clients got `IN_DOUBT` and that are still in the queue. While there are any, the disk hangs. */
  overdue = 0;
  readonly #timeoutMs: number;
  readonly #waiting = new Set<WaitingEvent>();
  #timer: NodeJS.Timeout | null = null;

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs;
  }

  add(line: string, bytes: number, answer: Answer): QueuedEvent {
    const event: WaitingEvent = {
      line,
      bytes,
      answer,
      dueMs: performance.now() + this.#timeoutMs,
      withdrawn: false,
      acknowledge: (error = null) => {
        if (this.#waiting.delete(event)) answer(error);
        else if (event.withdrawn) this.overdue--;
      },
    };
    this.#waiting.add(event);
    if (this.#timer === null) this.#timer = this.#startTimer(this.#timeoutMs);
    return event;
  }

  /** Ends the timer. To be called when no event waits any more. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** One timer for all: whoever came later is due later. */
  #startTimer(ms: number): NodeJS.Timeout {
    return setTimeout(() => {
      this.#withdrawDue();
    }, ms);
  }

  #withdrawDue(): void {
    const nowMs = performance.now();
    this.#timer = null;
    for (const event of this.#waiting) {
      if (event.dueMs > nowMs) {
        this.#timer = this.#startTimer(Math.ceil(event.dueMs - nowMs));
        break;
      }
      this.#waiting.delete(event);
      event.withdrawn = true;
      this.overdue++;
      const message = `Not on disk within ${this.#timeoutMs} ms (--ack-timeout); it may still be delivered`;
      event.answer(new ForebayError('IN_DOUBT', { message, retryAfterMs: this.#timeoutMs }));
    }
  }
}
