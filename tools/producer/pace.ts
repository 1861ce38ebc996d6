import { setImmediate as breathe, setTimeout as wait } from 'node:timers/promises';
import type { Schedule } from './schedule.js';

/** The longest that `setTimeout` can wait, in milliseconds: it takes 31 bits. */
const WAIT_MS_MAX = 2 ** 31 - 1;

/** How long events that are due still leave after the end of a run that ends by time, in milliseconds. */
export const GRACE_MS = 1000;

/** How long events leave without a look at the answers, where many are due at once, in milliseconds. */
const BREATH_MS = 2;

/**
 * Waits until events are due, in an open loop: each at its moment of the schedule, whatever became of the ones before.
 * There is no timer for each event: after a wake-up all events that are due by then come without waiting.
 * Times are those of `performance.now()`.
 */
export class Pace {
  readonly #schedule: Schedule;
  readonly #signal: AbortSignal;
  readonly #stride: number;
  readonly #phase: number;
  #startMs = performance.now();
  #breathMs = this.#startMs;
  #taken = 0;

  /**
   * @param stride how many events leave together; they are due with the first of them
   * @param phase a part of a stride by which all is later, from 0 to 1: so that workers take turns
   */
  constructor(schedule: Schedule, signal: AbortSignal, stride = 1, phase = 0) {
    this.#schedule = schedule;
    this.#signal = signal;
    this.#stride = stride;
    this.#phase = phase;
  }

  /** When its first event could be due. */
  get startMs(): number {
    return this.#startMs;
  }

  /** Whether the time is over, with its grace; never where the number of events ends the run. */
  get isOver(): boolean {
    return performance.now() > this.#startMs + this.#schedule.endMs + GRACE_MS;
  }

  /**
   * How many events were due before a moment, and not after the end, and were not taken.
   *
   * @param countFromMs what was due before this does not count
   */
  leftAt(ms: number, countFromMs = -Infinity): number {
    return Math.max(
      0,
      this.#dueBefore(ms) - Math.max(this.#taken * this.#stride, this.#dueBefore(countFromMs)),
    );
  }

  /** Events are due with the first of those that leave together; of the last of them all that there are. */
  #dueBefore(ms: number): number {
    const due = this.#schedule.countBefore(ms - this.#startMs);
    if (due >= this.#schedule.events) return due;
    const together = due === 0 ? 0 : Math.floor((due - 1) / this.#stride - this.#phase) + 1;
    return Math.min(Math.max(0, together) * this.#stride, this.#schedule.events);
  }

  /**
   * Waits until the next is due. Gives the moment at which it was; `null`: there is none, or the time is over. Throws when the signal is
   * aborted.
   */
  async next(): Promise<number | null> {
    const dueMs = this.#nextDueMs();
    if (dueMs === null || this.isOver) return null;
    for (;;) {
      this.#signal.throwIfAborted();
      const nowMs = performance.now();
      const leftMs = dueMs - nowMs;
      if (leftMs <= 0) {
        if (nowMs - this.#breathMs > BREATH_MS) {
          await breathe();
          this.#breathMs = performance.now();
        }
        this.#taken += 1;
        return dueMs;
      }
      await wait(Math.min(Math.ceil(leftMs), WAIT_MS_MAX), undefined, { signal: this.#signal });
      this.#breathMs = performance.now();
    }
  }

  /**
   * The next event did not exist before now, and was asked for at `askedMs`: it and the ones after it are due
   * so much later. Without this a source that pauses would be followed by a burst without any rate.
   */
  arrivedNow(askedMs: number): void {
    const dueMs = this.#nextDueMs();
    if (dueMs !== null) this.#startMs += Math.max(0, performance.now() - Math.max(askedMs, dueMs));
  }

  #nextDueMs(): number | null {
    const dueMs =
      this.#schedule.dueMs((this.#taken + this.#phase) * this.#stride) ??
      this.#schedule.dueMs(this.#taken * this.#stride); // the last may have no room for the phase
    return dueMs === null ? null : this.#startMs + dueMs;
  }
}
