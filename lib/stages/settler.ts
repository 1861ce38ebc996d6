import type { AppendLog } from '../append-log/append-log.js';
import type { Batch } from '../append-log/batch.js';
import { asError } from '../errors.js';
import type { LogLines } from '../log-lines.js';
import type { Sink } from '../sinks/sink.js';
import { SinkError } from '../sinks/sink-error.js';
import { AdaptiveLimit } from './adaptive-limit.js';
import { backoffMs } from './backoff.js';
import { CircuitBreaker } from './circuit-breaker.js';
import type { BreakerState } from './circuit-breaker.js';
import { withoutEvents } from './quoted-events.js';
import type { Retries } from './retries.js';
import { settle } from './settlement.js';
import type { Outcome, RefusedEvent } from './settlement.js';
import { SinkAttempts } from './sink-attempts.js';
import { count } from '../words.js';

/** What is known of the sink. */
export interface SinkState {
  /** `closed`: it is well; `open`: it is left alone; `half-open`: one attempt finds out. */
  readonly breaker: BreakerState;
  /** Whether it is left alone because it is set up wrongly: credentials, a right, a path. */
  readonly misconfigured: boolean;
  /** How long the breaker lets no attempt through, in milliseconds; `null`: it is not open. */
  readonly nextAttemptMs: number | null;
  /** How often the breaker has opened in this run. */
  readonly openings: number;
  /** Attempts that failed since the last that the sink answered well. */
  readonly failuresInARow: number;
  /** Why the last of them failed; `null` where there is none. */
  readonly lastError: string | null;
  /** Attempts of this run by how they ended, and those that run. */
  readonly attempts: {
    readonly taken: number;
    readonly refused: number;
    readonly failed: number;
    readonly running: number;
  };
  /** Batches that may be on their way at once, now. */
  readonly concurrency: number;
  /** Whether events that it refused have no room among the dead letters (`--dead-letters-max`). */
  readonly deadLettersFull: boolean;
  /** Batches with such events, or whose dead letters the disk does not take. They wait on disk, and hold up no others. */
  readonly batchesAside: number;
}

/** What came of a batch: the sink has its events, but for those that it refused. */
export interface Settlement {
  readonly refused: readonly RefusedEvent[];
  /** Why the refused events are not among the dead letters; `null`: they are. */
  readonly notKept: Error | null;
}

export interface SettlerOptions {
  readonly log: AppendLog;
  readonly sink: Sink;
  readonly lines: LogLines;
  readonly retries: Retries;
  /** Aborted to begin no further attempt. */
  readonly stopping: AbortSignal;
  readonly random: () => number;
  /** Batches that may be on their way at once; `auto`: as many as the sink takes best, up to `sinkConcurrencyMax`. */
  readonly sinkConcurrency: number | 'auto';
  readonly sinkConcurrencyMax: number;
  /** Answers that blame the batch, after which it counts as refused; `null`: however often, it does not. */
  readonly sinkTriesMax: number | null;
}

/**
 * Answers of HTTP that blame what is in front of the sink, or the moment: an outage is not poison. From 507 on as edges,
 * proxies and full disks tell it.
 */
const OUTAGE = new Set([
  502, 503, 504, 507, 509, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599,
]);

/** Settles each batch: the sink has its events, or the dead letters have them. Knows how the sink does. */
export class Settler {
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  readonly #retries: Retries;
  readonly #stopping: AbortSignal;
  readonly #random: () => number;
  readonly #breaker: CircuitBreaker;
  readonly #places: number | AdaptiveLimit;
  readonly #triesMax: number;
  readonly #attempts: SinkAttempts;

  constructor(options: SettlerOptions) {
    const { log, lines, retries, stopping, random, sinkConcurrency, sinkConcurrencyMax } = options;
    this.#log = log;
    this.#lines = lines;
    this.#retries = retries;
    this.#stopping = stopping;
    this.#random = random;
    this.#breaker = new CircuitBreaker(lines, stopping, random);
    const limit = sinkConcurrency === 'auto' ? new AdaptiveLimit(sinkConcurrencyMax) : null;
    this.#places = limit ?? Number(sinkConcurrency);
    this.#triesMax = options.sinkTriesMax ?? Infinity;
    this.#attempts = new SinkAttempts({ ...options, breaker: this.#breaker, limit });
  }

  /** Batches that may be settled at the same time, now. */
  get concurrency(): number {
    return typeof this.#places === 'number' ? this.#places : this.#places.current;
  }

  get state(): Omit<SinkState, 'deadLettersFull' | 'batchesAside'> {
    const { state: breaker, misconfigured, waitMs, openings, failuresInARow, lastError } = this.#breaker;
    const attempts = { ...this.#attempts.ended, running: this.#attempts.running };
    const { concurrency } = this;
    return {
      breaker,
      misconfigured,
      nextAttemptMs: breaker === 'open' ? waitMs : null,
      openings,
      failuresInARow,
      lastError: lastError?.message ?? null,
      attempts,
      concurrency,
    };
  }

  /** @returns `null` if the server stops before the sink has taken or refused each event */
  async settle(batch: Batch): Promise<Settlement | null> {
    const refused = batch.events === 0 ? [] : await settle(batch, (part) => this.#offer(part));
    if (refused === null) return null;
    const { name } = batch;
    const events = batch.events - refused.length;
    const text = `Successfully sent batch (${events} events)`;
    if (events > 0) this.#lines.batch({ kind: 'SinkAPI', text, batch: name, events });
    return { refused, notKept: refused.length === 0 ? null : await this.keep(batch, refused) };
  }

  /** Puts what the sink refused of a batch among the dead letters. @returns why that failed */
  async keep(batch: Batch, refused: readonly RefusedEvent[]): Promise<Error | null> {
    let path: string;
    try {
      path = await this.#log.deadLetters.keep(batch, refused);
    } catch (error) {
      return asError(error);
    }
    const [first] = refused;
    const why = withoutEvents(first?.reason ?? '', batch, first?.status);
    const text = `${refused.length} of ${count(batch.events, 'event')} of ${batch.name} are in ${path} (${why})`;
    const about = { batch: batch.name, events: refused.length };
    this.#lines.batch({ kind: 'Dead lettered', code: 'DEAD_LETTERS', text, ...about });
    return null;
  }

  /** Waits no longer for the attempts that run. */
  abandon(): void {
    this.#attempts.abandon();
  }

  end(): void {
    this.#attempts.end();
  }

  /** One batch, or a part of it, until the sink has taken or refused it; `null` where the server stops before. */
  async #offer(part: Batch): Promise<Outcome | null> {
    if (this.#stopping.aborted) return null;
    let attempts = 0;
    let tries = 0;
    let refusal: SinkError | null = null;
    const attempt = async (): Promise<void> => {
      const { refusal: refused, failure } = await this.#attempts.run(part);
      if (failure === null) {
        refusal = refused;
        attempts++;
        return;
      }
      const { error, shown } = failure;
      // one that did not reach the sink counts for nothing
      if (!(error instanceof SinkError) || error.status === null) throw shown;
      attempts++;
      if (!blamesBatch(error) || ++tries < this.#triesMax) throw shown;
      this.#breaker.succeeded(); // it is the batch, as far as anyone knows
      refusal = new SinkError(`${error.message} (${tries} times)`, { status: error.status, refused: 'all' });
    };
    const wait = (_error: Error, failures: number): number =>
      this.#breaker.state === 'closed' ? backoffMs(failures, this.#random()) : this.#breaker.waitMs;
    const isDone = await this.#retries.untilDone('Delivery failed', part, attempt, wait);
    return isDone ? { refusal, attempts } : null;
  }
}

/** Whether the sink may have failed because of what is in the batch: not if it says itself that the moment is the matter. */
function blamesBatch({ status, retryAfterMs }: SinkError): boolean {
  if (retryAfterMs !== undefined) return false;
  return typeof status === 'number' && status >= 500 && status < 600 && !OUTAGE.has(status);
}
