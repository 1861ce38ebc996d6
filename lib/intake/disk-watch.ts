import { asError, ForebayError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { EventLog } from '../seams/event-log.js';
import { Outage } from '../base/outage.js';

/** How often to try the disk while it takes no events, in milliseconds. */
const TRY_MS = 1000;
/** On request, the disk is tried again if its last answer is older than this, in milliseconds. */
const KNOWN_MS = 5000;
/** The size of a try: at least what any file takes on a disk, and small enough to keep in memory. */
const BYTES_MIN = 4096;
const BYTES_MAX = 1_048_576;
/** A stop waits at least this long for a running try, in milliseconds. */
const CLOSE_MS = 1000;

/**
 * Knows whether the disk takes events. Each event that it takes or refuses shows that. If no event comes, the disk is
 * tried: once a second during an outage, and when someone asks and the last answer is old. So nobody needs to send an
 * event to find out, and an outage ends without one.
 */
export class DiskWatch {
  readonly #log: Pick<EventLog, 'place' | 'probe' | 'isConnected'>;
  readonly #ackTimeoutMs: number;
  /** What takes events: a replicated log has several disks. */
  readonly #taker: 'disk' | 'log';
  readonly #trouble: Outage;
  /** When the disk last took or refused something. */
  #knownAtMs = performance.now();
  /** When the running try started; `null` if none runs. */
  #triedAtMs: number | null = null;
  #trying: Promise<void> = Promise.resolve();
  /** The size of a try: as large as an event. */
  #bytes = BYTES_MIN;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(
    log: Pick<EventLog, 'place' | 'probe' | 'isConnected'>,
    reporter: Reporter,
    ackTimeoutMs: number,
  ) {
    this.#log = log;
    this.#ackTimeoutMs = ackTimeoutMs;
    this.#taker = log.isConnected === undefined ? 'disk' : 'log';
    const text = `The ${this.#taker} takes no events: ${log.place}; clients get 503 until it does`;
    this.#trouble = new Outage(reporter, text);
  }

  took(): void {
    this.#knownAtMs = performance.now();
    if (this.#trouble.error === null) return;
    this.#trouble.end(`The ${this.#taker} takes events again: ${this.#log.place}`);
  }

  /** The disk did not take events, or a try. @returns whether the log says so now */
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
   * Why it takes no event, as far as is known; `null` if it does.
   *
   * @param bytes the size of an event
   */
  failure(bytes: number): ForebayError | null {
    this.#bytes = Math.min(BYTES_MAX, Math.max(BYTES_MIN, bytes));
    const nowMs = performance.now();
    if (nowMs - this.#knownAtMs > KNOWN_MS) this.#try();
    if (nowMs - Math.max(this.#knownAtMs, this.#triedAtMs ?? Infinity) > this.#ackTimeoutMs) {
      const message = `The ${this.#taker} has not answered for ${this.#ackTimeoutMs} ms (--ack-timeout)`;
      this.refused(new ForebayError('LOG_FAILED', { message, retryAfterMs: TRY_MS }));
    }
    if (this.#trouble.error === null && this.#log.isConnected === false)
      return new ForebayError('LOG_FAILED', {
        message: `No server of the ${this.#log.place} is there`,
        retryAfterMs: TRY_MS,
      });
    return this.#trouble.error;
  }

  /** Tries no more. Resolves when the running try has ended or has taken too long. */
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
