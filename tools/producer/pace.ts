import { setImmediate as breathe, setTimeout as wait } from 'node:timers/promises';
import type { Schedule } from './schedule.js';

/** The longest wait of `setTimeout`, in milliseconds: it takes 31 bits. */
const WAIT_MS_MAX = 2 ** 31 - 1;

/** If time ends a run, events that are due may leave for this long after its end, in milliseconds. */
export const GRACE_MS = 1000;

/** If many events are due at once, they leave for at most this long before answers are read, in milliseconds. */
const BREATH_MS = 2;

/**
 * Waits until events are due, in an open loop: each event at its scheduled time, whatever happened to earlier ones.
 * Events have no timers of their own: after a wake-up, all events that are due by then follow without a wait. Times
 * are those of `performance.now()`.
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
   * @param stride how many events leave together, when the first of them is due
   * @param phase a share of a stride, from 0 to 1, by which everything is later, so that workers take turns
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

  /** Whether the time is over, including its grace; never if the number of events ends the run. */
  get isOver(): boolean {
    return performance.now() > this.#startMs + this.#schedule.endMs + GRACE_MS;
  }

  /**
   * Events that were due before a moment, and before the end, and were not taken.
   *
   * @param countFromMs events that were due earlier do not count
   */
  leftAt(ms: number, countFromMs = -Infinity): number {
    return Math.max(
      0,
      this.#dueBefore(ms) - Math.max(this.#taken * this.#stride, this.#dueBefore(countFromMs)),
    );
  }

  /** Events that leave together are due with the first of them. The last group may be smaller. */
  #dueBefore(ms: number): number {
    const due = this.#schedule.countBefore(ms - this.#startMs);
    if (due >= this.#schedule.events) return due;
    const together = due === 0 ? 0 : Math.floor((due - 1) / this.#stride - this.#phase) + 1;
    return Math.min(Math.max(0, together) * this.#stride, this.#schedule.events);
  }

  /**
   * Waits until the next event is due. Returns when it was due; `null`: there is none, or the time is over. Throws
   * when the signal is aborted.
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
   * The next event arrived only now, and was asked for at `askedMs`: it and all later ones are due later by that
   * time. Otherwise a pause of the source would be followed by a burst at no rate.
   */
  arrivedNow(askedMs: number): void {
    const dueMs = this.#nextDueMs();
    if (dueMs !== null) this.#startMs += Math.max(0, performance.now() - Math.max(askedMs, dueMs));
  }

  #nextDueMs(): number | null {
    const dueMs =
      this.#schedule.dueMs((this.#taken + this.#phase) * this.#stride) ??
      this.#schedule.dueMs(this.#taken * this.#stride); // the last event may have no room for the phase
    return dueMs === null ? null : this.#startMs + dueMs;
  }
}
