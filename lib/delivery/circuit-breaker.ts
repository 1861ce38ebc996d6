import { EventEmitter, once, setMaxListeners } from 'node:events';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Reporter } from '../base/reporter.js';
import { SinkError } from '../seams/sink-error.js';
import { backoffMs, setupBackoffMs } from './backoff.js';
import type { PauseGate } from './pause-gate.js';
import { Stopping } from './retries.js';

/** The breaker opens after this many failed attempts in a row, of any batches. */
const FAILURES_MAX = 5;
/** The longest wait that a sink may ask for, in milliseconds. */
const RETRY_AFTER_MS_MAX = 3_600_000;

/**
 * - `closed`: attempts go to the sink.
 * - `open`: no attempt does, until a wait is over.
 * - `half-open`: one attempt probes the sink, and all others wait for its outcome.
 */
export type BreakerState = 'closed' | 'open' | 'half-open';

/** Numbers the time between two changes of state: shows which attempts started before the last one. */
type Period = number;

/**
 * Leaves a failing sink alone, for all batches together. It opens after 5 failed attempts in a row, or after one
 * answer that asks for a wait (`retryAfterMs`) or shows a wrong setup (`misconfigured`). After the wait one attempt
 * probes the sink; if that fails, the next wait is longer.
 *
 * Waiting here loses nothing and does not count as an attempt.
 */
export class CircuitBreaker {
  state: BreakerState = 'closed';
  /** How often it went from `closed` to `open`. */
  openings = 0;
  /** Attempts that failed since the sink last answered well. */
  failuresInARow = 0;
  /** The error of the last of them. */
  lastError: Error | null = null;
  readonly #reporter: Reporter;
  readonly #stopping: AbortSignal;
  readonly #random: () => number;
  readonly #gate: PauseGate;
  readonly #turns = new EventEmitter();
  #period: Period = 0;
  /** Openings since it was last closed: the wait depends on them. */
  #openingsInARow = 0;
  /** When it may become half-open, on the clock of `performance.now()`. */
  #openUntilMs = 0;
  #openedAtMs = 0;
  /** Whether the sink asked for the wait itself. */
  #isAskedFor = false;

  constructor(reporter: Reporter, stopping: AbortSignal, random: () => number, gate: PauseGate) {
    this.#reporter = reporter;
    this.#stopping = stopping;
    this.#random = random;
    this.#gate = gate;
    // one listener for each waiting batch
    setMaxListeners(0, this.#turns);
  }

  /** Milliseconds until an attempt may start; 0 if only the outcome of a probe is waited for. */
  get waitMs(): number {
    return this.state === 'open' ? Math.max(0, Math.ceil(this.#openUntilMs - performance.now())) : 0;
  }

  /** Whether the sink is left alone because it is misconfigured. */
  get misconfigured(): boolean {
    return this.state !== 'closed' && isMisconfigured(this.lastError);
  }

  /**
   * Waits until an attempt may start; while delivery is paused none may (N15). Returns no promise if it may start at once.
   *
   * @throws Stopping
   */
  admit(): Period | Promise<Period> {
    return this.state === 'closed' && !this.#gate.isClosed ? this.#period : this.#admitLater();
  }

  /** Ends the wait: an operator has corrected the setup. A wait that the sink asked for stays. */
  cutWait(): void {
    if (this.state !== 'open' || this.#isAskedFor) return;
    this.#openUntilMs = 0;
    this.#turns.emit('cut');
  }

  /** The sink answered: it took the batch or refused it. */
  succeeded(): void {
    if (this.state === 'closed' && this.failuresInARow === 0) return;
    // an attempt that started earlier does not end a wait that the sink asked for
    if (this.state === 'open' && this.#isAskedFor) return;
    this.failuresInARow = 0;
    this.lastError = null;
    if (this.state === 'closed') return;
    const seconds = Math.round((performance.now() - this.#openedAtMs) / 1000);
    this.#reporter.info(`The sink answers again after ${seconds} s: the breaker is closed`);
    this.#openingsInARow = 0;
    this.#turn('closed');
  }

  /** An attempt that was admitted in this period failed. */
  failed(error: Error, period: Period): void {
    const askedMs = retryAfterMs(error);
    // an attempt that started before the last change says nothing about the present
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
    // the first bound is for a batch that fails alone: the breaker starts with the second
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

  /** Extends the wait to what the sink asked for; the longest counts. */
  #ask(askedMs: number): void {
    this.#openUntilMs = Math.max(this.#openUntilMs, performance.now() + askedMs);
    this.#isAskedFor = true;
  }

  #turn(state: BreakerState): void {
    this.state = state;
    this.#period++;
    this.#turns.emit('turn');
  }

  /**
   * Sleeps until the wait is over or cut. Without `AbortSignal.any`: each call leaves something at a signal that lives
   * on.
   */
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
      while (this.#gate.isClosed || this.state !== 'closed') {
        if (this.#gate.isClosed) await this.#gate.opened(signal);
        else if (this.state === 'half-open') await once(this.#turns, 'turn', { signal });
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

/** How long the sink asked to be left alone, in milliseconds; `null` if it did not. */
function retryAfterMs(error: Error): number | null {
  const askedMs = error instanceof SinkError ? Number(error.retryAfterMs) : NaN;
  return Number.isFinite(askedMs) && askedMs > 0 ? Math.min(askedMs, RETRY_AFTER_MS_MAX) : null;
}

function isMisconfigured(error: Error | null): boolean {
  return error instanceof SinkError && error.misconfigured;
}
