import { SinkError } from '../seams/sink-error.js';

/** An attempt that takes so much longer than with few others beside it waits at the sink for its turn. */
const SLOWER = 1.5;
/** What is left of the limit where the sink says that it is too busy; in the first climb the limit before counts. */
const DECREASE = 0.95;
const FIRST_DECREASE = 0.5;
/** Answers that say so. */
const BUSY = new Set<number | string>([429, 503]);
/** The part of the limit at which it is measured how long an attempt takes where none waits for another. */
const FEW = 0.75;
/** How long the limit rests after trouble, in times of what an attempt takes, or of what the sink asked to wait. */
const REST = 100;
/** But no longer than a minute, or ten times that, and never longer than a quarter of an hour, in milliseconds. */
const REST_MS = 60_000;
const REST_MS_MAX = 900_000;
/** So much more than were served goes to a sink that made others wait: a place must not stand empty between two. */
const HEADROOM = 1.25;
/** Attempts that are measured before the limit moves, at least. */
const WINDOW_MIN = 20;
/** One that takes so much less than was measured before shows that the measurement is out of date. */
const FASTER = 0.7;
/** So many measurements in a row must be slower: one may be by chance. */
const SLOWER_WINDOWS = 2;

/** An attempt that runs, as the limit saw it begin. */
export interface Begun {
  readonly window: number;
  readonly atMs: number;
  /** Attempts that ran then, with this one. */
  readonly running: number;
}

/**
 * Finds how many attempts a sink takes best at once: one more each time that as many as there are now have been answered
 * as fast as ever, fewer when they take longer or the sink says that it is busy (additive increase, multiplicative
 * decrease; D. Chiu, R. Jain, 1989). Up to the first trouble it doubles.
 *
 * What "as fast as ever" is, is measured anew after each trouble, with fewer: so a sink that has changed, or one
 * that was measured when it was too busy already, is understood in the next round.
 */
export class AdaptiveLimit {
  /** Attempts that may run at once. */
  current = 1;
  readonly #most: number;
  /** Attempts that began with the same limit belong together. */
  #window = 0;
  readonly #tookMs: number[] = [];
  /** Whether as many ran as may. */
  #isReached = false;
  /** What an attempt takes where none waits for another, in milliseconds; `null`: it is being measured. */
  #aloneMs: number | null = null;
  /** The limit to go to once that is known; `null`: on from where it is. */
  #resumeAt: number | null = null;
  #restUntilMs = 0;
  /** Measurements in a row that were slower. */
  #slower = 0;
  #isFirstClimb = true;

  /** @param most the limit never goes beyond it */
  constructor(most: number) {
    this.#most = most;
  }

  /** @param running with this one */
  began(running: number): Begun {
    if (running >= this.current) this.#isReached = true;
    return { window: this.#window, atMs: performance.now(), running };
  }

  /** @param error why it failed; `null`: the sink answered, if only with a refusal */
  ended({ window, atMs, running }: Begun, error: Error | null): void {
    if (window !== this.#window) return;
    if (error !== null) {
      // one alone is not too many: a probe of the breaker, say
      if (isBusy(error) && running > 1) this.#decrease(error);
      return;
    }
    this.#tookMs.push(performance.now() - atMs);
    if (this.#tookMs.length >= Math.max(WINDOW_MIN, this.current)) this.#judge(median(this.#tookMs));
  }

  #judge(tookMs: number): void {
    const { current } = this;
    // a sink that was slow when it was measured may have become well
    if (this.#aloneMs === null || tookMs < this.#aloneMs * FASTER) this.#aloneMs = tookMs;
    const aloneMs = this.#aloneMs;
    this.#slower = tookMs > aloneMs * SLOWER ? this.#slower + 1 : 0;
    if (this.#slower >= SLOWER_WINDOWS) {
      // so many were served at once, if the others waited (J. Little, 1961)
      const served = (current * aloneMs) / tookMs;
      this.#resumeAt = Math.max(1, Math.floor(served * HEADROOM));
      this.#aloneMs = null;
      this.#rest(tookMs);
      this.#moveTo(Math.ceil(this.#resumeAt * FEW));
    } else if (this.#slower > 0) {
      this.#moveTo(current);
    } else if (this.#resumeAt !== null) {
      this.#moveTo(this.#resumeAt);
      this.#resumeAt = null;
    } else if (this.#isReached && performance.now() >= this.#restUntilMs) {
      this.#moveTo(Math.min(this.#most, this.#isFirstClimb ? current * 2 : current + 1));
    } else this.#moveTo(current);
  }

  #decrease(error: Error): void {
    const askedMs = error instanceof SinkError ? Number(error.retryAfterMs) : NaN;
    const less = Math.floor(this.current * (this.#isFirstClimb ? FIRST_DECREASE : DECREASE));
    // from half of a limit that was too high it goes on at once, by steps
    this.#rest(this.#isFirstClimb ? 0 : Math.max(askedMs || 0, this.#aloneMs ?? 0));
    this.#resumeAt = null;
    this.#moveTo(Math.max(1, less));
  }

  #rest(ms: number): void {
    const known = Number.isFinite(ms) ? ms : 0;
    const most = Math.min(REST_MS_MAX, Math.max(REST_MS, 10 * known));
    this.#restUntilMs = performance.now() + Math.min(REST * known, most);
    this.#slower = 0;
    this.#isFirstClimb = false;
  }

  #moveTo(limit: number): void {
    this.current = limit;
    this.#window++;
    this.#tookMs.length = 0;
    this.#isReached = false;
  }
}

/** Whether the sink had too much to do; one that cannot be reached did not say so. */
function isBusy(error: Error): boolean {
  return error instanceof SinkError && (BUSY.has(error.status ?? '') || error.retryAfterMs !== undefined);
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}
