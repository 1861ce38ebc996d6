import { setMaxListeners } from 'node:events';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppendLog } from '../append-log/append-log.js';
import type { Batch, SealedBatch, StoredBatch } from '../append-log/batch.js';
import { asError } from '../errors.js';
import type { LogLines } from '../log-lines.js';
import type { Sink } from '../sinks/sink.js';
import { SinkError } from '../sinks/sink-error.js';
import { backoffMs } from './backoff.js';
import { ReadAhead } from './read-ahead.js';
import type { Waiting } from './read-ahead.js';
import { asRefusal, settle } from './settlement.js';
import type { Outcome, RefusedEvent } from './settlement.js';
import { SinkAttempts } from './sink-attempts.js';

/** How often a file is read in its place in the order, and how many may step aside because they cannot be. */
const READS_IN_PLACE = 3;
const ASIDE_MAX = 100;
/**
 * While a backlog is caught up with, so many files of confirmed batches may wait for their deletion before no further
 * batch goes to the sink: a crash sends them again. With fewer, a sink that is faster than the disk waits for it.
 */
const DELETIONS_MAX = 32;

/** A batch whose events the sink has, or the dead letters. */
interface Settled extends Omit<StoredBatch, 'bytes'> {
  readonly sealed: SealedBatch;
  /** How many of its events are dead letters. */
  readonly deadLettered: number;
}

const RETRY_AFTER_MS_MAX = 3_600_000;

export interface DelivererOptions {
  readonly log: AppendLog;
  readonly sink: Sink;
  readonly lines: LogLines;
  /** Batches on their way to the sink at the same time; with 1 they arrive in order. */
  readonly concurrency: number;
  readonly random?: () => number;
}

/**
 * Gives each batch to the sink until the sink confirms it, then deletes its file: the only way by which an
 * event leaves the disk. A failure is tried again without end, and nothing but this stage waits for it.
 *
 * Emits `gone` with the batch when its file is deleted, and `failure` with the error of each failed attempt.
 */
export class Deliverer extends Writable {
  /** Events that the sink confirmed and that are off the disk. */
  delivered = 0;
  /** Events that the sink refused, that are among the dead letters and off the log. */
  deadLettered = 0;
  /** Attempts that failed. */
  failures = 0;
  /** The last failure since the last success. */
  lastError: Error | null = null;
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  /** Batches that may still go to the sink beside those that do. */
  #places: number;
  readonly #random: () => number;
  /** Aborted to begin no further attempt. */
  readonly #stopping = new AbortController();
  readonly #attempts: SinkAttempts;
  readonly #ahead: ReadAhead;
  /** Batches that have had a place and are neither deleted nor given up. */
  #active = 0;
  /** Those of them that the sink has confirmed and whose files are not deleted yet. */
  #deletions = 0;
  /**
   * By which those of them leave their place that have one still. With few behind it a batch is off the disk before
   * the next goes out; with many the disk is not waited for.
   */
  readonly #lingering = new Set<() => void>();
  /** Batches that have stepped aside and are not read yet. */
  #aside = 0;
  /** Asks for the next batch; set while enough wait. */
  #next: (() => void) | null = null;
  #whenIdle: (() => void) | null = null;

  constructor({ log, sink, lines, concurrency, random = Math.random }: DelivererOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#lines = lines;
    this.#ahead = new ReadAhead(log);
    this.#attempts = new SinkAttempts(sink, lines);
    this.#places = concurrency;
    this.#random = random;
    // one listener for each batch that waits for its next attempt
    setMaxListeners(0, this.#stopping.signal);
  }

  /** Begins no further attempt; those that run may end. What is not confirmed stays on disk. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Waits no longer for the attempts that run either. */
  abandon(): void {
    this.#stopping.abort();
    this.#attempts.abandon();
  }

  override _write(
    sealed: SealedBatch,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#ahead.add(sealed);
    this.#next = done;
    this.#goOn();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenIdle = done;
    this.#goOn();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#attempts.end();
    done(error);
  }

  /** Gives free places to those who wait for one, oldest first, and asks for more. */
  #goOn(): void {
    if (this.#ahead.isLong) {
      for (const leavePlace of this.#lingering) leavePlace();
      this.#lingering.clear();
    }
    while (this.#places > 0 && this.#deletions < DELETIONS_MAX) {
      const first = this.#ahead.shift();
      if (first === null) break;
      this.#begin(first);
    }
    if (!this.#ahead.isFull) {
      const next = this.#next;
      this.#next = null;
      next?.();
    }
    if (this.#active === 0 && this.#ahead.isEmpty) {
      const whenIdle = this.#whenIdle;
      this.#whenIdle = null;
      whenIdle?.();
    }
  }

  #begin(first: Waiting): void {
    this.#active++;
    this.#places--;
    let hasPlace = true;
    const leavePlace = (): void => {
      if (hasPlace) this.#places++;
      hasPlace = false;
    };
    this.#confirm(first, leavePlace)
      .then((confirmed) => (confirmed === null ? undefined : this.#remove(confirmed, leavePlace)))
      .then(
        () => {
          this.#active--;
          leavePlace();
          this.#goOn();
        },
        (error: unknown) => {
          this.destroy(asError(error));
        },
      );
  }

  /** From the disk to the sink. `null`: it ended early, with nothing lost, because the server stops. */
  async #confirm({ sealed, read }: Waiting, leavePlace: () => void): Promise<Settled | null> {
    if (this.#stopping.signal.aborted) {
      await read; // its file is open
      return null;
    }
    const batch = await this.#read(sealed, read, leavePlace);
    if (batch === null || this.#stopping.signal.aborted) return null;
    const events = `(${batch.events} events)`;
    if (sealed.leftover) {
      this.#line('Replaying batch', `${batch.name} ${events}`, batch);
    }
    const refused = batch.events === 0 ? [] : await settle(batch, (part) => this.#offer(part));
    if (refused === null) return null;
    const taken = batch.events - refused.length;
    if (taken > 0) this.#line('SinkAPI', `Successfully sent batch (${taken} events)`, batch);
    if (refused.length > 0 && !(await this.#keepRefused(batch, refused))) return null;
    const { name, fileBytes } = batch;
    return { sealed, name, events: batch.events, fileBytes, deadLettered: refused.length };
  }

  /** One batch, or a part of it, until the sink has taken or refused it; `null` where the server stops before. */
  async #offer(part: Batch): Promise<Outcome | null> {
    let attempts = 0;
    let refusal: SinkError | null = null;
    if (this.#stopping.signal.aborted) return null;
    const isDone = await this.#untilDone('Delivery failed', part, async () => {
      attempts++;
      try {
        await this.#attempts.run(part);
      } catch (error) {
        refusal = asRefusal(error, part);
        if (refusal === null) throw error;
      }
    });
    return isDone ? { refusal, attempts } : null;
  }

  /** `false` where the server stops before they are kept. */
  async #keepRefused(batch: Batch, refused: readonly RefusedEvent[]): Promise<boolean> {
    return this.#untilDone('Could not keep dead letters', batch, async () => {
      const path = await this.#log.deadLetters.keep(batch.name, refused);
      const [first] = refused;
      const text = `${refused.length} of ${batch.events} events of ${batch.name} are in ${path} (${first?.reason})`;
      this.#lines.batch({ kind: 'Dead lettered', text, batch: batch.name, events: refused.length }, 'warn');
    });
  }

  /** Off the disk. Its bytes are let go before: many deletions may wait for a disk that hangs. */
  async #remove(batch: Settled, leavePlace: () => void): Promise<void> {
    const { sealed } = batch;
    this.#deletions++;
    this.#lingering.add(leavePlace);
    this.#goOn();
    const deleted = await this.#untilDone('Could not delete batch file', batch, () =>
      this.#log.delete(batch),
    );
    this.#lingering.delete(leavePlace);
    this.#deletions--;
    if (!deleted) return;
    this.delivered += batch.events - batch.deadLettered;
    this.deadLettered += batch.deadLettered;
    if (sealed.leftover) this.#line('Successfully replayed and deleted', batch.name, batch);
    else this.#line('Deleted batch file', this.#log.path(batch.name), batch);
    this.emit('gone', sealed);
  }

  /** A file that cannot be read does not hold up those behind it for ever: after some tries it steps aside. */
  async #read(
    sealed: SealedBatch,
    ahead: Waiting['read'],
    leavePlace: () => void,
  ): Promise<StoredBatch | null> {
    let batch: StoredBatch | null = null;
    let tries = 0;
    let stepsAside = false;
    await this.#untilDone('Could not read batch', sealed, async () => {
      if (++tries > READS_IN_PLACE && !stepsAside && this.#aside < ASIDE_MAX) {
        stepsAside = true;
        this.#aside++;
        this.#lines.error(`${this.#log.path(sealed.name)} cannot be read: others go first, it is tried on`);
        leavePlace();
        this.#goOn();
      }
      const read = await (tries === 1 && ahead !== null ? ahead : this.#log.read(sealed));
      if (read instanceof Error) throw read;
      batch = read;
    });
    if (stepsAside) this.#aside--;
    return batch;
  }

  /** Tries once, and again until it succeeds. `false` where the server stops before. */
  async #untilDone(
    what: string,
    batch: SealedBatch | Omit<Batch, 'bytes'>,
    attempt: () => Promise<void>,
  ): Promise<boolean> {
    for (let failures = 1; ; failures++) {
      try {
        await attempt();
        this.lastError = null;
        return true;
      } catch (thrown) {
        if (this.#attempts.areAbandoned) return false;
        const error = asError(thrown);
        this.failures++;
        this.lastError = error;
        this.emit('failure', error);
        const waitMs = waitAfter(error) ?? backoffMs(failures, this.#random());
        const text = `${batch.name}, attempt ${failures}: ${error.message}; next attempt in ${waitMs} ms`;
        const events = batch.events ?? 0;
        this.#lines.batch({ kind: what, text, batch: batch.name, events, error }, 'warn');
        await sleep(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => null);
        if (this.#stopping.signal.aborted) return false;
      }
    }
  }

  #line(kind: string, text: string, { name, events }: Omit<Batch, 'bytes'>): void {
    this.#lines.batch({ kind, text, batch: name, events });
  }
}

/** How long the sink asked to be left alone, in milliseconds; it need not be believed for more than an hour. */
function waitAfter(error: Error): number | undefined {
  const waitMs = error instanceof SinkError ? error.retryAfterMs : undefined;
  return Number.isFinite(waitMs) && Number(waitMs) > 0
    ? Math.min(Number(waitMs), RETRY_AFTER_MS_MAX)
    : undefined;
}
