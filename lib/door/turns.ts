/** The most that connections are read in a turn of the event loop, in milliseconds; */
const TURN_MS = 3;
/** when one was accepted since the last: most often more are waiting. */
const ACCEPTING_MS = 1;

/**
 * Shares the turns of the event loop among connections. libuv accepts one connection a turn, so a new client waits for
 * as many turns as there are connections in front of it: whatever others have sent, a turn must be short.
 */
class Turns {
  readonly #waiting = new Set<() => void>();
  #isTurn = false;
  #isAccepting = false;
  #endMs = 0;

  /** Whether there is time left in this turn. */
  get hasTime(): boolean {
    if (this.#isTurn) return performance.now() < this.#endMs;
    this.#isTurn = true;
    this.#endMs = performance.now() + (this.#isAccepting ? ACCEPTING_MS : TURN_MS);
    this.#isAccepting = false;
    setImmediate(this.#end);
    return true;
  }

  /** Whether others wait for a turn: who comes now waits behind them. */
  get isCrowded(): boolean {
    return this.#waiting.size > 0;
  }

  /** A connection was accepted. */
  accept(): void {
    this.#isAccepting = true;
  }

  /** Does some work in one of the next turns, after what others wait for. What waits already, waits once. */
  wait(work: () => void): void {
    if (this.#waiting.has(work)) return;
    this.#waiting.add(work);
    setImmediate(this.#next); // one for each, as what a work leads to, in ticks, counts before the next one
  }

  readonly #end = (): void => {
    this.#isTurn = false;
  };

  readonly #next = (): void => {
    if (!this.hasTime) {
      setImmediate(this.#next);
      return;
    }
    for (const work of this.#waiting) {
      this.#waiting.delete(work);
      work();
      return;
    }
  };
}

/** Those of this thread's event loop. */
export const turns = new Turns();
