/** A folder may hold very many files: of all time at most this part goes into looking at it. */
const SHARE_MAX = 1 / 20;

/** When one may look again at what cannot be told without a look at all files of a folder. */
export class LookPace {
  readonly #keptMs: number;
  #nextMs = -Infinity;

  /** @param keptMs so long the answer of a look that took no time is kept, in milliseconds */
  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  get isDue(): boolean {
    return performance.now() >= this.#nextMs;
  }

  /** Looks; until it ends, and some time after that, no other look is due. */
  async look<T>(look: () => Promise<T>): Promise<T> {
    const startMs = performance.now();
    this.#nextMs = Infinity;
    try {
      return await look();
    } finally {
      const endMs = performance.now();
      this.#nextMs = endMs + Math.max(this.#keptMs, (endMs - startMs) / SHARE_MAX);
    }
  }
}
