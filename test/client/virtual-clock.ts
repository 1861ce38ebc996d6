import type { Clock } from '../../lib/client/clock.js';
import { until } from '../helpers/wait-for.js';

/** Time that passes only when the test says so. */
export class VirtualClock implements Clock {
  /** What `random` returns. */
  chance = 0;
  /** How far the clock that the client reads was set forward, in milliseconds. */
  stepMs = 0;
  #nowMs = Date.UTC(2026, 0, 1);
  readonly #timers = new Set<{ readonly ms: number; readonly dueMs: number; readonly run: () => void }>();

  nowMs(): number {
    return this.#nowMs + this.stepMs;
  }

  random(): number {
    return this.chance;
  }

  after(ms: number, run: () => void): () => void {
    const timer = { ms, dueMs: this.#nowMs + ms, run };
    this.#timers.add(timer);
    return () => {
      this.#timers.delete(timer);
    };
  }

  /** How long each timer was to wait, in milliseconds. */
  get waits(): number[] {
    return [...this.#timers].map(({ ms }) => ms);
  }

  /** Lets the client's next wait of exactly this long pass. */
  async pass(ms: number): Promise<void> {
    await until(() => this.waits.includes(ms), `a wait of ${ms} ms`).catch((error: unknown) => {
      throw new Error(`${String(error)}, but of ${this.waits.join(', ')}`, { cause: error });
    });
    this.advance(ms);
  }

  advance(ms: number): void {
    this.#nowMs += ms;
    for (const timer of [...this.#timers].filter(({ dueMs }) => dueMs <= this.#nowMs)) {
      if (this.#timers.delete(timer)) timer.run();
    }
  }
}
