import { setTimeout as wait } from 'node:timers/promises';

/** The longest that `setTimeout` can wait, in milliseconds: it takes 31 bits. */
const WAIT_MS_MAX = 2 ** 31 - 1;

/**
 * When events are due, in an open loop: event n at start + n / rate, whatever became of the ones before it.
 * There is no timer for each event: after a wake-up all events that are due by then come without waiting.
 * Times are those of `performance.now()`.
 */
export class Pace {
  readonly #intervalMs: number;
  readonly #signal: AbortSignal;
  #startMs = performance.now();
  #events = 0;

  /** @param rate events a second */
  constructor(rate: number, signal: AbortSignal) {
    this.#intervalMs = 1000 / rate;
    this.#signal = signal;
  }

  /** Waits until the next event is due. Gives the moment at which it was; throws when the signal is aborted. */
  async next(): Promise<number> {
    const dueMs = this.#nextDueMs();
    this.#events += 1;
    for (;;) {
      this.#signal.throwIfAborted();
      const leftMs = dueMs - performance.now();
      if (leftMs <= 0) return dueMs;
      await wait(Math.min(Math.ceil(leftMs), WAIT_MS_MAX), undefined, { signal: this.#signal });
    }
  }

  /**
   * The next event did not exist before now, and was asked for at `askedMs`: it and the ones after it are due
   * so much later. Without this a source that pauses would be followed by a burst without any rate.
   */
  arrivedNow(askedMs: number): void {
    this.#startMs += Math.max(0, performance.now() - Math.max(askedMs, this.#nextDueMs()));
  }

  #nextDueMs(): number {
    return this.#startMs + this.#events * this.#intervalMs;
  }
}
