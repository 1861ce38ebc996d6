import type { AppendLog } from './append-log/append-log.js';
import { ForebayError } from './errors.js';
import type { LogLines } from './log-lines.js';
import type { BatchWriter } from './stages/batch-writer.js';
import type { Batcher } from './stages/batcher.js';
import type { Deliverer } from './stages/deliverer.js';
import { Trouble } from './trouble.js';
import type { WaitingRequests } from './waiting-requests.js';

/** What decides about an event, and the bounds. */
export interface AdmissionOptions {
  readonly log: AppendLog;
  readonly batcher: Batcher;
  readonly writer: BatchWriter;
  readonly deliverer: Deliverer;
  readonly waiting: WaitingRequests;
  readonly lines: LogLines;
  readonly ackTimeoutMs: number;
  readonly backlogBytesMax: number;
}

/** The bounds of `retryAfterMs`: HTTP counts in seconds, and a disk that stalled may be well again soon. */
const RETRY_AFTER_MS_MIN = 1000;
const RETRY_AFTER_MS_MAX = 30_000;
/** A backlog can take hours, but the sink may be faster soon, and `Infinity` is none of its rates. */
const BACKLOG_RETRY_AFTER_MS_MAX = 300_000;
/** So much of `backlogBytesMax` is free again when clients are told to come back. */
const BACKLOG_ROOM = 0.1;

/** Whether the running pipeline takes more events, and what their clients are told where it does not. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #backlogFull: Trouble;
  /** Events that were taken before the last one that was refused because of the backlog. */
  #takenBefore = 0;

  constructor(options: AdmissionOptions) {
    const { log, deliverer, lines, backlogBytesMax } = options;
    this.#options = options;
    const full =
      'The backlog has no room for an event (--backlog-max): clients get 429 until the sink has taken a part';
    this.#backlogFull = new Trouble(lines, full);
    const roomy = backlogBytesMax * (1 - BACKLOG_ROOM);
    deliverer.on('gone', () => {
      if (log.pendingBytes <= roomy) this.#backlogFull.end('The backlog has room again');
    });
  }

  /**
   * Why so many events would be refused now, as the error for their client; `null` if they would be taken.
   *
   * @param heldBytes what else the caller holds in memory on behalf of clients
   */
  refusal(events: number, bytes: number, heldBytes: number): ForebayError | null {
    const { batcher, log, backlogBytesMax } = this.#options;
    if (!batcher.canEverAdmit(events, bytes) || bytes > backlogBytesMax) {
      const message = 'The request is larger than the whole queue, or than all that may wait on disk';
      return new ForebayError('BODY_TOO_LARGE', { message });
    }
    const hanging = this.#hanging();
    if (hanging !== null) return hanging;
    const over = log.pendingBytes + batcher.queuedBytes + heldBytes + bytes - backlogBytesMax;
    if (!batcher.admits(events, bytes + heldBytes) || (over > 0 && over <= heldBytes)) {
      return new ForebayError('QUEUE_FULL', { retryAfterMs: bounded(batcher.drainMs, RETRY_AFTER_MS_MAX) });
    }
    return over > 0 ? this.#refuseForBacklog(over) : null;
  }

  /**
   * Why an event would be refused now; `null`: as far as is known it would be taken. Whether the disk takes one, and
   * whether the backlog has room for more than a byte, is what the last event has found out, for 5 seconds or until a
   * later one was taken.
   */
  unready(): ForebayError | null {
    const refusal = this.refusal(1, 1, 0) ?? this.logFailure();
    if (refusal !== null) return refusal;
    return this.#options.writer.accepted > this.#takenBefore ? null : this.#backlogFull.recent;
  }

  /** Why the disk takes no event, as far as the last ones have found out; `null`: it does. */
  logFailure(): ForebayError | null {
    return this.#hanging() ?? this.#options.writer.trouble.recent;
  }

  #hanging(): ForebayError | null {
    const { waiting, ackTimeoutMs } = this.#options;
    if (waiting.overdue === 0) return null;
    const message = `The disk has not answered for ${ackTimeoutMs} ms (--ack-timeout): the event was not taken`;
    return new ForebayError('LOG_FAILED', { message, retryAfterMs: RETRY_AFTER_MS_MIN });
  }

  #refuseForBacklog(over: number): ForebayError {
    const { batcher, log, writer, backlogBytesMax } = this.#options;
    // not for the first byte that fits: all clients would be back for it
    const room = over + backlogBytesMax * BACKLOG_ROOM;
    const message = `${log.pendingBytes} bytes wait on disk for the sink (--backlog-max): please retry later`;
    const retryAfterMs = bounded(log.drainMs(room), BACKLOG_RETRY_AFTER_MS_MAX);
    const error = new ForebayError('BACKLOG_FULL', { message, retryAfterMs });
    this.#backlogFull.refuses(error);
    this.#takenBefore = writer.accepted + batcher.queuedEvents;
    return error;
  }
}

function bounded(ms: number, most: number): number {
  return Math.min(most, Math.max(RETRY_AFTER_MS_MIN, ms));
}
