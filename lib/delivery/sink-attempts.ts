import { setMaxListeners } from 'node:events';
import type { Batch } from '../seams/batch.js';
import { asError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import { reachedSink } from '../seams/sink-error.js';
import type { SinkError } from '../seams/sink-error.js';
import type { Sink } from '../seams/sink.js';
import type { CircuitBreaker } from './circuit-breaker.js';
import { shownError } from './redaction.js';
import { Stopping } from './retries.js';
import { asRefusal } from './settlement.js';

/** If the sink has not answered for this long, the log says so, in milliseconds. */
const SILENCE_MS = 30_000;
/** How often to check for that, in milliseconds. */
const LOOK_MS = 10_000;

interface Attempt {
  readonly batch: string;
  /** How many checks found it running. */
  looks: number;
  readonly fail: (error: Error) => void;
}

/** How an attempt ended. If both are `null`, the sink has the batch. */
export interface Ended {
  /** The refusal, if the sink answered with one. */
  readonly refusal: SinkError | null;
  /** Why it failed, if another attempt can help: the error itself, and as log lines may have it. */
  readonly failure: { readonly error: Error; readonly shown: Error } | null;
  /** How long the sink had it, in milliseconds, without the wait for the breaker. */
  readonly tookMs: number;
}

export interface SinkAttemptsOptions {
  readonly sink: Sink;
  readonly reporter: Reporter;
  readonly breaker: CircuitBreaker;
}

/**
 * The attempts that run at the sink. They share one timer and one listener: an interval and a listener for each
 * attempt cost several microseconds per batch.
 */
export class SinkAttempts {
  /** Ended attempts, by outcome. */
  readonly ended = { taken: 0, refused: 0, failed: 0 };
  readonly #sink: Sink;
  readonly #reporter: Reporter;
  readonly #breaker: CircuitBreaker;
  readonly #abandoning = new AbortController();
  readonly #running = new Set<Attempt>();
  /** Runs on for a while without an attempt, as the next one usually comes soon. */
  #timer: NodeJS.Timeout | undefined;

  constructor({ sink, reporter, breaker }: SinkAttemptsOptions) {
    this.#sink = sink;
    this.#reporter = reporter;
    this.#breaker = breaker;
    // a sink may add a listener in each attempt
    setMaxListeners(0, this.#abandoning.signal);
  }

  /** Attempts that the sink answered well, if only with a refusal. */
  get answered(): number {
    return this.ended.taken + this.ended.refused;
  }

  get running(): number {
    return this.#running.size;
  }

  /**
   * Runs one attempt once the breaker lets it through.
   *
   * @param isApart whether the sink is known to fail on it while it takes others: that says nothing about the sink
   * @throws Stopping
   */
  async run(batch: Batch, isApart: boolean): Promise<Ended> {
    const admitted = this.#breaker.admit();
    const period = typeof admitted === 'number' ? admitted : await admitted;
    const startMs = performance.now();
    let error: Error | null = null;
    try {
      await this.#deliver(batch);
    } catch (thrown) {
      if (thrown instanceof Stopping) throw thrown;
      error = asError(thrown);
    }
    const tookMs = performance.now() - startMs;
    const refusal = error === null ? null : asRefusal(error, batch);
    if (error !== null && refusal === null) {
      this.ended.failed++;
      const shown = shownError(error, batch);
      if (!isApart || !reachedSink(error)) this.#breaker.failed(shown, period);
      return { refusal, failure: { error, shown }, tookMs };
    }
    this.#breaker.succeeded();
    this.ended[refusal === null ? 'taken' : 'refused']++;
    return { refusal, failure: null, tookMs };
  }

  /** Stops waiting for running attempts: a sink that does not listen to its signal goes on alone. */
  abandon(): void {
    this.#abandoning.abort();
    for (const { fail } of this.#running) fail(new Stopping());
    this.end();
  }

  #deliver(batch: Batch): Promise<void> {
    return new Promise((resolve, reject) => {
      const answer = Promise.resolve(this.#sink.deliver(batch, this.#abandoning.signal));
      const attempt: Attempt = { batch: batch.name, looks: 0, fail: reject };
      this.#running.add(attempt);
      this.#timer ??= setInterval(() => {
        this.#look();
      }, LOOK_MS).unref();
      answer.then(
        () => {
          this.#running.delete(attempt);
          resolve();
        },
        (error: Error) => {
          this.#running.delete(attempt);
          reject(error);
        },
      );
    });
  }

  /** Called when no attempt runs. */
  end(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
  }

  #look(): void {
    if (this.#running.size === 0) this.end();
    for (const attempt of this.#running) {
      // the first check may come at once
      if (attempt.looks++ === 0 || (attempt.looks - 1) % (SILENCE_MS / LOOK_MS) > 0) continue;
      const seconds = ((attempt.looks - 1) * LOOK_MS) / 1000;
      this.#reporter.warn('SINK_SILENT', `The sink has not answered ${attempt.batch} for ${seconds} seconds`);
    }
  }
}
