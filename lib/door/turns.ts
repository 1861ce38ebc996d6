/** At most this many milliseconds of a turn of the event loop go to reading connections. */
const TURN_MS = 3;
/** The same, if a connection was accepted since the last turn: usually more are waiting. */
const ACCEPTING_MS = 1;

/**
 * Shares the turns of the event loop among connections. libuv accepts one connection a turn, so a new client waits
 * for one turn per connection ahead of it. A turn must be short, whatever other clients have sent.
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

  /** Whether work waits for a turn. New work waits after it. */
  get isCrowded(): boolean {
    return this.#waiting.size > 0;
  }

  accept(): void {
    this.#isAccepting = true;
  }

  /** Does some work in a later turn, after the work that waits already. Adding it twice has no effect. */
  wait(work: () => void): void {
    if (this.#waiting.has(work)) return;
    this.#waiting.add(work);
    setImmediate(this.#next); // one for each: ticks that the work causes count before the next work
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

/** Turns of this thread's event loop. */
export const turns = new Turns();
