import { setMaxListeners } from 'node:events';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import type { AppendLog } from '../append-log/append-log.js';
import type { Batch, SealedBatch, StoredBatch } from '../append-log/batch.js';
import { asError } from '../errors.js';
import type { LogLines } from '../log-lines.js';
import type { Sink } from '../sinks/sink.js';
import { backoffMs } from './backoff.js';

/** How often a file is read in its place in the order, and how many may step aside because they cannot be. */
const READS_IN_PLACE = 3;
const ASIDE_MAX = 100;
/** After so long without an answer from the sink the log says so, in milliseconds. */
const SILENCE_MS = 30_000;

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
  /** Attempts that failed. */
  failures = 0;
  /** The last failure since the last success. */
  lastError: Error | null = null;
  readonly #log: AppendLog;
  readonly #sink: Sink;
  readonly #lines: LogLines;
  /** Batches that may still go to the sink beside those that do. */
  #places: number;
  readonly #random: () => number;
  /** Aborted to begin no further attempt. */
  readonly #stopping = new AbortController();
  /** Aborted to wait no longer for the attempts that run. */
  readonly #abandoning = new AbortController();
  readonly #active = new Set<Promise<void>>();
  /** Batches that have stepped aside and are not read yet. */
  #aside = 0;
  /** Asks for the next batch; set while all places are taken. */
  #next: (() => void) | null = null;

  constructor({ log, sink, lines, concurrency, random = Math.random }: DelivererOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#sink = sink;
    this.#lines = lines;
    this.#places = concurrency;
    this.#random = random;
    // one listener for each batch on its way
    setMaxListeners(0, this.#stopping.signal, this.#abandoning.signal);
  }

  /** Begins no further attempt; those that run may end. What is not confirmed stays on disk. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Waits no longer for the attempts that run either. */
  abandon(): void {
    this.#stopping.abort();
    this.#abandoning.abort();
  }

  override _write(batch: SealedBatch, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#places--;
    let hasPlace = true;
    const leavePlace = (): void => {
      if (!hasPlace) return;
      hasPlace = false;
      this.#places++;
      const next = this.#next;
      this.#next = null;
      next?.();
    };
    const delivery = this.#deliver(batch, leavePlace).then(
      () => {
        this.#active.delete(delivery);
        leavePlace();
      },
      (error: unknown) => {
        this.destroy(asError(error));
      },
    );
    this.#active.add(delivery);
    if (this.#places > 0) done();
    else this.#next = done;
  }

  override _final(done: (error?: Error | null) => void): void {
    Promise.all(this.#active).then(() => {
      done();
    }, done);
  }

  /** From the disk to the sink, and off the disk. Ends early, with nothing lost, when the server stops. */
  async #deliver(sealed: SealedBatch, leavePlace: () => void): Promise<void> {
    if (this.#stopping.signal.aborted) return;
    const batch = await this.#read(sealed, leavePlace);
    if (batch === null || this.#stopping.signal.aborted) return;
    const events = `(${batch.events} events)`;
    if (sealed.leftover) {
      this.#line('Replaying batch', `${batch.name} ${events}`, batch);
    }
    if (batch.events > 0) {
      const confirmed = await this.#untilDone('Delivery failed', batch, () => this.#attempt(batch));
      if (confirmed === null) return;
      this.#line('SinkAPI', `Successfully sent batch ${events}`, batch);
    }
    const path = this.#log.path(batch.name);
    const deleted = await this.#untilDone('Could not delete batch file', batch, () => this.#delete(batch));
    if (deleted === null) return;
    this.delivered += batch.events;
    if (sealed.leftover) this.#line('Successfully replayed and deleted', batch.name, batch);
    else this.#line('Deleted batch file', path, batch);
    this.emit('gone', sealed);
  }

  /** A file that cannot be read does not hold up those behind it for ever: after some tries it steps aside. */
  async #read(sealed: SealedBatch, leavePlace: () => void): Promise<StoredBatch | null> {
    let tries = 0;
    let stepsAside = false;
    const batch = await this.#untilDone('Could not read batch', sealed, async () => {
      if (++tries > READS_IN_PLACE && !stepsAside && this.#aside < ASIDE_MAX) {
        stepsAside = true;
        this.#aside++;
        this.#lines.error(`${this.#log.path(sealed.name)} cannot be read: others go first, it is tried on`);
        leavePlace();
      }
      return this.#log.read(sealed);
    });
    if (stepsAside) this.#aside--;
    return batch;
  }

  /** One attempt. A sink that does not listen to its signal is not waited for when the server stops. */
  async #attempt(batch: Batch): Promise<true> {
    const { signal } = this.#abandoning;
    let abandon = (): void => undefined;
    const abandoned = new Promise<never>((_resolve, reject) => {
      abandon = () => {
        reject(new Error('the server stops'));
      };
      signal.addEventListener('abort', abandon);
    });
    const silent = setInterval(() => {
      this.#lines.warn(`The sink has not answered ${batch.name} for another ${SILENCE_MS / 1000} seconds`);
    }, SILENCE_MS);
    try {
      await Promise.race([this.#sink.deliver(batch, signal), abandoned]);
      return true;
    } finally {
      clearInterval(silent);
      signal.removeEventListener('abort', abandon);
    }
  }

  async #delete(batch: StoredBatch): Promise<true> {
    await this.#log.delete(batch);
    return true;
  }

  /** Tries once, and again until it succeeds. `null` where the server stops before. */
  async #untilDone<T>(
    what: string,
    batch: SealedBatch | Batch,
    attempt: () => Promise<T>,
  ): Promise<T | null> {
    for (let failures = 1; ; failures++) {
      try {
        const result = await attempt();
        this.lastError = null;
        return result;
      } catch (thrown) {
        if (this.#abandoning.signal.aborted) return null;
        const error = asError(thrown);
        this.failures++;
        this.lastError = error;
        this.emit('failure', error);
        const waitMs = backoffMs(failures, this.#random());
        const text = `${batch.name}, attempt ${failures}: ${error.message}; next attempt in ${waitMs} ms`;
        const events = batch.events ?? 0;
        this.#lines.batch({ kind: what, text, batch: batch.name, events, error }, 'warn');
        await sleep(waitMs, undefined, { signal: this.#stopping.signal }).catch(() => null);
        if (this.#stopping.signal.aborted) return null;
      }
    }
  }

  #line(kind: string, text: string, { name, events }: Batch): void {
    this.#lines.batch({ kind, text, batch: name, events });
  }
}
