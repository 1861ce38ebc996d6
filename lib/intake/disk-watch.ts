import { asError, ForebayError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { EventLog } from '../seams/event-log.js';
import { Outage } from '../base/outage.js';

/** How often the disk is tried while it takes no events, in milliseconds. */
const TRY_MS = 1000;
/** What is known of the disk is asked for again when it is older than this, in milliseconds, and someone wants to know. */
const KNOWN_MS = 5000;
/** What a try writes: at least what any file takes of a disk, and not more than needs to be kept in memory for it. */
const BYTES_MIN = 4096;
const BYTES_MAX = 1_048_576;
/** How long a stop waits for a try at least, in milliseconds. */
const CLOSE_MS = 1000;

/**
 * Knows whether the disk takes events. Each event that it takes or refuses tells; where none comes, the disk is tried:
 * once a second while it is in trouble, and when someone asks and the last word is old. So nobody needs to send an
 * event to find out, and trouble ends without one.
 */
export class DiskWatch {
  readonly #log: Pick<EventLog, 'place' | 'probe'>;
  readonly #ackTimeoutMs: number;
  readonly #trouble: Outage;
  /** When the disk last took something, or refused it. */
  #knownAtMs = performance.now();
  /** When the try began that runs; `null`: none does. */
  #triedAtMs: number | null = null;
  #trying: Promise<void> = Promise.resolve();
  /** What a try writes: as much as an event would. */
  #bytes = BYTES_MIN;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(log: Pick<EventLog, 'place' | 'probe'>, reporter: Reporter, ackTimeoutMs: number) {
    this.#log = log;
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#trouble = new Outage(
      reporter,
      `The disk takes no events: ${log.place}; clients get 503 until it does`,
    );
  }

  /** It took events. */
  took(): void {
    this.#knownAtMs = performance.now();
    if (this.#trouble.error !== null) this.#trouble.end(`The disk takes events again: ${this.#log.place}`);
  }

  /** It did not take events, or a try. @returns whether the log says so now */
  refused(error: ForebayError): boolean {
    this.#knownAtMs = performance.now();
    const isSaid = this.#trouble.met(error);
    if (this.#isClosed) return isSaid;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      if (this.#trouble.error !== null) this.#try();
    }, TRY_MS).unref();
    return isSaid;
  }

  /**
   * Why it takes no event, as far as is known; `null`: it does.
   *
   * @param bytes what an event takes
   */
  failure(bytes: number): ForebayError | null {
    this.#bytes = Math.min(BYTES_MAX, Math.max(BYTES_MIN, bytes));
    const nowMs = performance.now();
    if (nowMs - this.#knownAtMs > KNOWN_MS) this.#try();
    if (nowMs - Math.max(this.#knownAtMs, this.#triedAtMs ?? Infinity) > this.#ackTimeoutMs) {
      const message = `The disk has not answered for ${this.#ackTimeoutMs} ms (--ack-timeout)`;
      this.refused(new ForebayError('LOG_FAILED', { message, retryAfterMs: TRY_MS }));
    }
    return this.#trouble.error;
  }

  /** Tries no more; resolves when the try that runs has ended, or is not waited for any longer. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, Math.max(this.#ackTimeoutMs, CLOSE_MS));
      void this.#trying.then(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }

  #try(): void {
    if (this.#isClosed || this.#triedAtMs !== null) return;
    this.#triedAtMs = performance.now();
    this.#trying = this.#log.probe(this.#bytes).then(
      () => {
        this.#triedAtMs = null;
        this.took();
      },
      (thrown: unknown) => {
        this.#triedAtMs = null;
        const error = asError(thrown);
        const isKnown = error instanceof ForebayError;
        this.refused(
          isKnown ? error : new ForebayError('LOG_FAILED', { cause: error, retryAfterMs: TRY_MS }),
        );
      },
    );
  }
}
