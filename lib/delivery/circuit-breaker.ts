import { EventEmitter, once, setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reporter } from '../base/reporter.js';
import { SinkError } from '../seams/sink-error.js';
import { backoffMs, setupBackoffMs } from './backoff.js';
import { Stopping } from './retries.js';

/** So many attempts in a row fail, of any batches, before the sink is left alone. */
const FAILURES_MAX = 5;
/** A sink that asks for more is not believed, in milliseconds. */
const RETRY_AFTER_MS_MAX = 3_600_000;

/**
 * - `closed`: attempts go to the sink.
 * - `open`: none does, until a wait is over.
 * - `half-open`: one does, as a probe, and all others wait for what comes of it.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** Between two changes of state; tells what began before the last one. */
type Period = number;

/**
 * Leaves a sink alone that fails, for all batches together: 5 failed attempts in a row, or one answer that says for how
 * long (`retryAfterMs`) or that the sink is set up wrongly (`misconfigured`), open it. After the wait one attempt probes the sink; if that fails, the next wait is longer.
 *
 * A batch that waits here is neither lost nor older by an attempt.
 */
export class CircuitBreaker {
  state: BreakerState = 'closed';
  /** How often it went from `closed` to `open`. */
  openings = 0;
  /** Attempts that failed since the last one that the sink answered well. */
  failuresInARow = 0;
  /** Why the last of them failed. */
  lastError: Error | null = null;
  readonly #reporter: Reporter;
  readonly #stopping: AbortSignal;
  readonly #random: () => number;
  readonly #turns = new EventEmitter();
  #period: Period = 0;
  /** How often it opened since it was closed: the wait depends on it. */
  #openingsInARow = 0;
  /** When it may be half-open, on the clock of `performance.now()`. */
  #openUntilMs = 0;
  #openedAtMs = 0;
  /** Whether the sink said itself for how long. */
  #isAskedFor = false;

  constructor(reporter: Reporter, stopping: AbortSignal, random: () => number) {
    this.#reporter = reporter;
    this.#stopping = stopping;
    this.#random = random;
    // one listener for each batch that waits
    setMaxListeners(0, this.#turns);
  }

  /** How long until an attempt may begin, in milliseconds; 0 where only a probe is waited for. */
  get waitMs(): number {
    return this.state === 'open' ? Math.max(0, Math.ceil(this.#openUntilMs - performance.now())) : 0;
  }

  /** Whether the sink is left alone because it is set up wrongly. */
  get misconfigured(): boolean {
    return this.state !== 'closed' && isMisconfigured(this.lastError);
  }

  /**
   * Waits until an attempt may begin. No promise where it may at once.
   *
   * @throws Stopping
   */
  admit(): Period | Promise<Period> {
    return this.state === 'closed' ? this.#period : this.#admitLater();
  }

  /** Ends the wait: somebody has mended what the sink was set up with. A time that the sink asked for stays. */
  cutWait(): void {
    if (this.state !== 'open' || this.#isAskedFor) return;
    this.#openUntilMs = 0;
    this.#turns.emit('cut');
  }

  /** The sink answered: it has the batch, or refuses it. */
  succeeded(): void {
    if (this.state === 'closed' && this.failuresInARow === 0) return;
    // one that began earlier says nothing about the time that the sink asked for
    if (this.state === 'open' && this.#isAskedFor) return;
    this.failuresInARow = 0;
    this.lastError = null;
    if (this.state === 'closed') return;
    const seconds = Math.round((performance.now() - this.#openedAtMs) / 1000);
    this.#reporter.info(`The sink answers again after ${seconds} s: the breaker is closed`);
    this.#openingsInARow = 0;
    this.#turn('closed');
  }

  /** An attempt failed that was admitted in this period. */
  failed(error: Error, period: Period): void {
    const askedMs = retryAfterMs(error);
    // one that began before the last change says nothing about what is now
    if (period !== this.#period && askedMs === null) return;
    const wasMisconfigured = this.misconfigured;
    const isOpening = this.state === 'closed';
    this.lastError = error;
    this.failuresInARow++;
    if (this.state === 'open') {
      if (askedMs !== null) this.#ask(askedMs);
    } else if (this.state === 'half-open') {
      if (period === this.#period) this.#open(askedMs, error);
    } else if (askedMs !== null || isMisconfigured(error) || this.failuresInARow >= FAILURES_MAX) {
      this.openings++;
      this.#openedAtMs = performance.now();
      this.#open(askedMs, error);
    }
    if (this.misconfigured && !wasMisconfigured) {
      const text = `The sink is set up wrongly: ${error.message}; events wait on disk until it is mended`;
      this.#reporter.error('SINK_MISCONFIGURED', `${text}, the next attempt in ${this.waitMs} ms`);
    } else if (isOpening && this.state === 'open') {
      const why =
        askedMs === null
          ? `${this.failuresInARow} attempts in a row failed`
          : 'the sink asks to be left alone';
      const text = `The breaker is open: ${why} (${error.message})`;
      this.#reporter.warn(
        'SINK_DOWN',
        `${text}; from now on one attempt at a time, the next in ${this.waitMs} ms`,
      );
    }
  }

  #open(askedMs: number | null, error: Error): void {
    this.#isAskedFor = false;
    const failures = ++this.#openingsInARow;
    // a batch that fails alone waits as long as the first number says
    const waitMs = isMisconfigured(error)
      ? setupBackoffMs(failures, this.#random())
      : backoffMs(1 + failures, this.#random());
    this.#openUntilMs = performance.now() + waitMs;
    if (askedMs !== null) {
      this.#openUntilMs = 0;
      this.#ask(askedMs);
    }
    this.#turn('open');
  }

  /** The sink said itself for how long; the longest counts. */
  #ask(askedMs: number): void {
    this.#openUntilMs = Math.max(this.#openUntilMs, performance.now() + askedMs);
    this.#isAskedFor = true;
  }

  #turn(state: BreakerState): void {
    this.state = state;
    this.#period++;
    this.#turns.emit('turn');
  }

  /** Until the wait is over, or cut. Without `AbortSignal.any`: each leaves something at a signal that lives on. */
  async #sleep(): Promise<void> {
    this.#stopping.throwIfAborted();
    const waking = new AbortController();
    const wake = (): void => {
      waking.abort();
    };
    this.#turns.once('cut', wake);
    this.#stopping.addEventListener('abort', wake);
    await sleep(this.waitMs, undefined, { signal: waking.signal }).catch(() => undefined);
    this.#turns.off('cut', wake);
    this.#stopping.removeEventListener('abort', wake);
    this.#stopping.throwIfAborted();
  }

  async #admitLater(): Promise<Period> {
    const signal = this.#stopping;
    try {
      while (this.state !== 'closed') {
        if (this.state === 'half-open') await once(this.#turns, 'turn', { signal });
        else if (this.waitMs > 0) await this.#sleep();
        else {
          this.#turn('half-open');
          break;
        }
      }
    } catch {
      throw new Stopping();
    }
    if (signal.aborted) throw new Stopping();
    return this.#period;
  }
}

/** How long the sink asked to be left alone, in milliseconds; `null` where it did not. */
function retryAfterMs(error: Error): number | null {
  const askedMs = error instanceof SinkError ? Number(error.retryAfterMs) : NaN;
  return Number.isFinite(askedMs) && askedMs > 0 ? Math.min(askedMs, RETRY_AFTER_MS_MAX) : null;
}

function isMisconfigured(error: Error | null): boolean {
  return error instanceof SinkError && error.misconfigured;
}
