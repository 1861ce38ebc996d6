/** A folder may hold very many files: at most this share of all time is spent on looking at it. */
const SHARE_MAX = 1 / 20;

/** Decides when an expensive look at all files of a folder is due again. */
export class LookPace {
  readonly #keptMs: number;
  #nextMs = -Infinity;

  /** @param keptMs how long a result is kept at least, in milliseconds */
  constructor(keptMs: number) {
    this.#keptMs = keptMs;
  }

  get isDue(): boolean {
    return performance.now() >= this.#nextMs;
  }

  /** Runs a look. No other look is due until it ends, and for some time after. */
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
