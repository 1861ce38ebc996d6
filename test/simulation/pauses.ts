import type { Forebay } from '../../lib/forebay.js';
import type { Ledger } from './ledger.js';
import type { Surroundings } from './simulated-disk.js';

/** How long an operator waits before the next change, in milliseconds. */
const WAIT_MS = [5, 3000] as const;

/**
 * An operator who pauses delivery and lets it go on, and knows what was answered: over kills, power cuts and starts. What was
 * not answered may have been done or not.
 */
export class Pauses {
  readonly #around: Surroundings;
  readonly #ledger: Ledger;
  /** As of the last answer; `null`: nobody knows. */
  #isPaused: boolean | null = false;

  constructor(around: Surroundings, ledger: Ledger) {
    this.#around = around;
    this.#ledger = ledger;
  }

  /** An attempt at the sink starts. */
  attempt(batch: string): void {
    if (this.#isPaused === true) this.#ledger.violated(`delivery is paused, and an attempt starts: ${batch}`);
    else this.#around.tally.count('checks', 'attempts that start while delivery is not paused');
  }

  /** A process is gone, maybe in the middle of a change. */
  started(forebay: Forebay): void {
    const { tally } = this.#around;
    if (this.#isPaused === true && forebay.paused === null)
      this.#ledger.violated('a pause was answered, and the next start does not know of it');
    if (this.#isPaused === true) tally.count('worlds', 'starts while delivery was paused');
  }

  /** Changes it now and then, as long as the process lives. */
  changeNowAndThen(forebay: Forebay): void {
    const { time, random } = this.#around;
    const next = (): void =>
      void time.after(random.spread(...WAIT_MS), 'an operator pauses or resumes', () => {
        const isPause = random.chance(forebay.paused === null ? 0.7 : 0.2);
        const forMs = isPause && random.chance(0.2) ? Math.ceil(random.spread(1000, 20_000)) : undefined;
        void this.#change(isPause ? { pause: forebay, forMs } : { resume: forebay }).then(next);
      });
    next();
  }

  /** @returns whether it was answered well */
  async pause(forebay: Forebay): Promise<boolean> {
    return this.#change({ pause: forebay });
  }

  async resume(forebay: Forebay): Promise<boolean> {
    return this.#change({ resume: forebay });
  }

  async #change({
    pause,
    resume,
    forMs,
  }: {
    readonly pause?: Forebay;
    readonly resume?: Forebay;
    readonly forMs?: number | undefined;
  }): Promise<boolean> {
    const { tally, trace } = this.#around;
    this.#isPaused = null;
    try {
      const outcome = await (pause?.pause({ by: 'someone', forMs }) ?? resume?.resume({ by: 'someone' }));
      // one that ends by itself is over at any time
      this.#isPaused = pause === undefined ? false : outcome?.pause?.untilMs === null ? true : null;
      trace.add(`  ${pause === undefined ? 'resumed' : 'paused'}`);
      tally.count('worlds', pause === undefined ? 'delivery resumed' : 'delivery paused');
      return true;
    } catch (error) {
      trace.add(`  not ${pause === undefined ? 'resumed' : 'paused'}: ${String(error)}`);
      tally.count('worlds', 'pauses that could not be kept or ended');
      return false;
    }
  }
}
