import type { EventLog } from '../seams/event-log.js';
import type { Batch } from '../seams/batch.js';
import type { Blame } from '../seams/blame.js';
import { asError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { Sink } from '../seams/sink.js';
import { reachedSink, SinkError } from '../seams/sink-error.js';
import { backoffMs } from './backoff.js';
import { CircuitBreaker } from './circuit-breaker.js';
import type { BreakerState } from './circuit-breaker.js';
import { withoutEvents } from './redaction.js';
import type { Retries, Wait } from './retries.js';
import { settle } from './settlement.js';
import { Isolation } from './isolation.js';
import type { PauseGate } from './pause-gate.js';
import type { Course, Failed, Outcome, Part, RefusedEvent } from './settlement.js';
import { SinkAttempts } from './sink-attempts.js';

/** The state of the sink. */
export interface SinkState {
  /** `closed`: it works; `open`: it is left alone; `half-open`: one attempt probes it. */
  readonly breaker: BreakerState;
  /** Whether it is left alone because it is misconfigured: credentials, a right, a path. */
  readonly misconfigured: boolean;
  /** Milliseconds until the breaker lets an attempt through; `null` if it is not open. */
  readonly nextAttemptMs: number | null;
  /** How often the breaker has opened in this run. */
  readonly openings: number;
  /** Attempts that failed since the sink last answered well. */
  readonly failuresInARow: number;
  /** The error of the last of them; `null` if there is none. */
  readonly lastError: string | null;
  /** Attempts of this run by outcome, and those that are running. */
  readonly attempts: {
    readonly taken: number;
    readonly refused: number;
    readonly failed: number;
    readonly running: number;
  };
  /** Batches that may be at the sink at once. */
  readonly concurrency: number;
  /** Whether refused events have no room among the dead letters (`--dead-letters-max`). */
  readonly deadLettersFull: boolean;
  /** Batches with such events, or whose dead letters the disk does not take. They wait on disk and hold up no others. */
  readonly batchesAside: number;
  /** Events that it fails at while it takes others. They wait apart, on disk, and hold up no others. */
  readonly isolatedEvents: number;
}

/** The outcome of a batch: the sink has its events, except for those that it refused. */
export interface Settlement {
  readonly refused: readonly RefusedEvent[];
  /** Why the refused events are not among the dead letters; `null` if they are. */
  readonly notKept: Error | null;
}

export interface SettlerOptions {
  readonly log: EventLog;
  readonly sink: Sink;
  readonly reporter: Reporter;
  readonly retries: Retries;
  /** Aborted when no further attempt may start. */
  readonly stopping: AbortSignal;
  /** Closed while delivery is paused. */
  readonly gate: PauseGate;
  readonly random: () => number;
  /** Batches that may be at the sink at once. */
  readonly sinkConcurrency: number;
  /** An event counts as refused after this many failures while the sink takes others; `null`: never. */
  readonly sinkTriesMax: number | null;
  /** Whether another batch waits for a place. */
  readonly othersWait: () => boolean;
  readonly blame?: Blame;
}

/** What becomes of a part that the sink failed on, in the words of log lines. */
const FAILED_WORDS = {
  keep: 'others go first',
  split: 'its halves are offered by themselves',
  last: 'the rest of its batch goes first',
  apart: 'it waits apart, others are delivered',
} as const satisfies Record<Failed['next'], string>;

/** Settles each batch: the sink has its events, or the dead letters have them. Knows the state of the sink. */
export class Settler {
  readonly #log: EventLog;
  readonly #reporter: Reporter;
  readonly #retries: Retries;
  readonly #stopping: AbortSignal;
  readonly #random: () => number;
  readonly #breaker: CircuitBreaker;
  /** Batches that may be settled at once. */
  readonly concurrency: number;
  readonly #attempts: SinkAttempts;
  readonly #isolation: Isolation;
  readonly #blame: Blame | undefined;

  constructor(options: SettlerOptions) {
    const { log, reporter, retries, stopping, random, sinkConcurrency } = options;
    this.#log = log;
    this.#reporter = reporter;
    this.#retries = retries;
    this.#stopping = stopping;
    this.#random = random;
    this.#blame = options.blame;
    this.#breaker = new CircuitBreaker(reporter, stopping, random, options.gate);
    this.concurrency = sinkConcurrency;
    this.#attempts = new SinkAttempts({ ...options, breaker: this.#breaker });
    const { othersWait, sinkTriesMax } = options;
    const parties = { attempts: this.#attempts, breaker: this.#breaker, othersWait };
    this.#isolation = new Isolation({ ...parties, triesMax: sinkTriesMax ?? Infinity });
  }

  get state(): Omit<SinkState, 'deadLettersFull' | 'batchesAside' | 'isolatedEvents'> {
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

  /**
   * @param course its progress, updated in place
   * @param mayHaveLetters whether some of its events may be among the dead letters already
   * @returns `null` if the sink has not taken or refused each event yet: the server stops, or the batch leaves its
   *   place
   */
  async settle(batch: Batch, course: Course, mayHaveLetters: boolean): Promise<Settlement | null> {
    const refused = await settle(batch, (part, range) => this.#offer(part, range, course), course);
    if (refused === null) {
      const { open, apart } = course;
      const places = apart.map(({ from }) => from).toSorted((one, other) => one - other);
      if (open.length === 0 && apart.length > 0) this.#blame?.held(batch, places);
      return null;
    }
    const { name } = batch;
    const { taken: events } = course;
    if (events > 0) this.#reporter.batch({ what: 'sent', batch: name, events });
    this.#blame?.taken(batch, refused);
    const isSettled = refused.length === 0 && !mayHaveLetters;
    return { refused, notKept: isSettled ? null : await this.keep(batch, refused) };
  }

  /** Puts the refused events of a batch, and no others, among the dead letters. @returns the error if that failed */
  async keep(batch: Batch, refused: readonly RefusedEvent[]): Promise<Error | null> {
    let path: string;
    try {
      if (refused.length === 0) {
        await this.#log.deadLetters.withdraw(batch);
        return null;
      }
      path = await this.#log.deadLetters.keep(batch, refused);
    } catch (error) {
      const places = refused.map(({ index }) => index);
      this.#blame?.held(batch, places);
      return asError(error);
    }
    this.#blame?.refused(batch, refused);
    const [first] = refused;
    const reason = withoutEvents(first?.reason ?? '', batch, first?.status);
    const about = { batch: batch.name, events: refused.length, of: batch.events };
    this.#reporter.batch({ what: 'dead letters', ...about, path, reason });
    return null;
  }

  /** Asks the sink at once if the breaker leaves it alone: an operator has corrected its setup. */
  probe(): void {
    this.#breaker.cutWait();
  }

  /** Stops waiting for running attempts. */
  abandon(): void {
    this.#attempts.abandon();
  }

  end(): void {
    this.#attempts.end();
  }

  /** Offers a batch or a part until it is settled or put off; `null` if the server stops first. */
  async #offer(part: Batch, range: Part, course: Course): Promise<Outcome | null> {
    if (this.#stopping.aborted) return null;
    const isApart = range.tries !== undefined;
    const waitsOn = { next: 'apart', leaves: true, tries: range.tries ?? 0 } as const;
    if (this.#isolation.mustWait(range)) return { refusal: null, attempts: 0, failed: waitsOn };
    let attempts = 0;
    let outcome: Omit<Outcome, 'attempts'> = { refusal: null };
    const attempt = async (): Promise<void> => {
      const isOther = isApart && this.#breaker.state === 'closed';
      const { refusal, failure, tookMs } = await this.#attempts.run(part, isOther);
      course.tookMs = tookMs;
      outcome = { refusal };
      if (failure === null) {
        attempts++;
        return;
      }
      const { error, shown } = failure;
      const isReached = reachedSink(error);
      // an attempt that did not reach the sink does not count
      if (isReached) attempts++;
      else if (!isApart) throw shown;
      const failed = isReached ? this.#isolation.failed(course, range) : waitsOn;
      if (failed === null) throw shown;
      // as far as is known, the event is at fault
      const isEvent = typeof failed === 'number' || failed.next === 'apart';
      if (isEvent && course.takesOthers && this.#breaker.state === 'closed') this.#breaker.succeeded();
      if (typeof failed === 'number') {
        const status = error instanceof SinkError ? error.status : null;
        outcome = {
          refusal: new SinkError(`${error.message} (${failed} times)`, { status, refused: 'all' }),
        };
        return;
      }
      outcome = { refusal: null, failed };
      if (failed.next === 'apart' && !isApart) {
        const { name, events } = part;
        this.#reporter.batch({ what: 'apart', batch: name, events, error: shown });
      }
      this.#retries.failed('deliver', part, shown, `${shown.message}; ${FAILED_WORDS[failed.next]}`);
    };
    const wait = (failures: number): Wait => {
      const isOfAttempt = this.#breaker.state !== 'closed';
      return { ms: isOfAttempt ? this.#breaker.waitMs : backoffMs(failures, this.#random()), isOfAttempt };
    };
    const isDone = (await this.#retries.untilDone('deliver', part, attempt, wait)) !== null;
    return isDone ? { ...outcome, attempts } : null;
  }
}
