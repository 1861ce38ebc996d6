import type { DiskWatch } from './disk-watch.js';
import type { DrainRate } from '../base/drain-rate.js';
import { ForebayError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { EventLog } from '../seams/event-log.js';
import { Outage } from '../base/outage.js';
import type { WaitingRequests } from './waiting-requests.js';

/** Events that are taken and not in the log yet. */
export interface Queue {
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** Approximate time until it is empty, in milliseconds. */
  readonly drainMs: number;
  /** Whether more events fit now. */
  admits(events: number, bytes: number): boolean;
  /** Whether they fit when it is empty. */
  canEverAdmit(events: number, bytes: number): boolean;
}

/** What a decision about an event depends on, and the bounds. */
export interface AdmissionOptions {
  readonly log: Pick<EventLog, 'pendingBytes' | 'batchBytesMost'>;
  /** How fast the backlog gets smaller. */
  readonly drain: Pick<DrainRate, 'msFor'>;
  readonly queue: Queue;
  readonly disk: DiskWatch;
  readonly waiting: WaitingRequests;
  readonly reporter: Reporter;
  readonly ackTimeoutMs: number;
  readonly backlogBytesMax: number;
  readonly batchSize: number;
  readonly batchBytes: number;
}

/** The bounds of `retryAfterMs`: HTTP counts in seconds, and a disk that stalled may be well again soon. */
const RETRY_AFTER_MS_MIN = 1000;
const RETRY_AFTER_MS_MAX = 30_000;
/** A backlog can take hours, but the sink may be faster soon. If it takes nothing, the time is `Infinity`. */
export const BACKLOG_RETRY_AFTER_MS_MAX = 300_000;
/** This share of `backlogBytesMax` is free again when clients come back. */
export const BACKLOG_ROOM = 0.1;

/** The weight of a request in the running mean. */
const REQUEST_WEIGHT = 1 / 8;
/** The assumed size of a request before the first one, in bytes. */
const REQUEST_BYTES = 1024;

/** Whether the running pipeline takes more events (N1), and the error for their clients if not. */
export class Admission {
  readonly #options: AdmissionOptions;
  readonly #backlogFull: Outage;
  /** The mean of the last requests. */
  #requestEvents = 1;
  #requestBytes = REQUEST_BYTES;
  #hasSeenRequest = false;

  constructor(options: AdmissionOptions) {
    this.#options = options;
    const full =
      'The backlog has no room for an event (--backlog-max): clients get 429 until the sink has taken some of it';
    this.#backlogFull = new Outage(options.reporter, full);
  }

  /** A batch is off the log. */
  freed(): void {
    const { log, backlogBytesMax } = this.#options;
    const isRoomy = log.pendingBytes <= backlogBytesMax * (1 - BACKLOG_ROOM);
    if (isRoomy) this.#backlogFull.end('The backlog has room again');
  }

  /**
   * Why events of this size are refused, as the error for their client; `null` if they may be queued.
   *
   * @param heldBytes what else the caller holds in memory on behalf of clients
   */
  refusal(events: number, bytes: number, heldBytes: number): ForebayError | null {
    const error = this.#refusal(events, bytes, heldBytes);
    if (error?.code === 'BACKLOG_FULL') this.#backlogFull.met(error);
    return error;
  }

  /** What would be free of the backlog after these events, in bytes; below 0 if they do not fit. */
  backlogRoom(events: number, bytes: number, heldBytes: number): number {
    const { queue, log, backlogBytesMax } = this.#options;
    const waiting = queue.queuedBytes + bytes;
    const beside = log.batchBytesMost * this.#batchesStarted(events, waiting);
    return backlogBytesMax - log.pendingBytes - waiting - beside - heldBytes;
  }

  queueFull(): ForebayError {
    const retryAfterMs = bounded(this.#options.queue.drainMs, RETRY_AFTER_MS_MAX);
    return new ForebayError('QUEUE_FULL', { retryAfterMs });
  }

  /** @param over how many bytes too many it would be */
  backlogFull(over: number): ForebayError {
    const { log, drain, backlogBytesMax } = this.#options;
    // not for the first byte that fits: all clients would come back for it
    const room = over + backlogBytesMax * BACKLOG_ROOM;
    const message = `${log.pendingBytes} bytes wait on disk for the sink (--backlog-max): please retry later`;
    return new ForebayError('BACKLOG_FULL', {
      message,
      retryAfterMs: bounded(drain.msFor(room), BACKLOG_RETRY_AFTER_MS_MAX),
    });
  }

  /** How long until all that is in the log now is settled, in milliseconds; `Infinity` if nothing is being settled. */
  get backlogDrainMs(): number {
    const { log, drain } = this.#options;
    return drain.msFor(log.pendingBytes);
  }

  /** A request has ended: the next ones may be like it, if there could be room for it. */
  saw(events: number, bytes: number): void {
    if (!this.#fitsAlone(events, bytes)) return;
    const weight = this.#hasSeenRequest ? REQUEST_WEIGHT : 1;
    this.#hasSeenRequest = true;
    this.#requestEvents += (events - this.#requestEvents) * weight;
    this.#requestBytes += (bytes - this.#requestBytes) * weight;
  }

  /** Why a request like the last ones would be refused now; `null` if it would be taken. */
  unready(heldBytes: number): ForebayError | null {
    const { events, bytes } = this.likely;
    return this.#refusal(events, bytes, heldBytes) ?? this.logFailure();
  }

  /** A request like the last ones. */
  get likely(): { readonly events: number; readonly bytes: number } {
    return {
      events: Math.max(1, Math.floor(this.#requestEvents)),
      bytes: Math.floor(this.#requestBytes),
    };
  }

  /** Why the disk takes no event, as far as is known; `null` if it does. */
  logFailure(): ForebayError | null {
    return this.#hanging() ?? this.#options.disk.failure(this.likely.bytes);
  }

  #refusal(events: number, bytes: number, heldBytes: number): ForebayError | null {
    const { queue } = this.#options;
    if (!this.#fitsAlone(events, bytes)) {
      const message = 'The request is larger than the whole queue or backlog';
      return new ForebayError('BODY_TOO_LARGE', { message });
    }
    const hanging = this.#hanging();
    if (hanging !== null) return hanging;
    const over = -this.backlogRoom(events, bytes, heldBytes);
    if (!queue.admits(events, bytes + heldBytes) || (over > 0 && over <= heldBytes)) return this.queueFull();
    return over > 0 ? this.backlogFull(over) : null;
  }

  /**
   * How many batches the queued events and these start at most, even if the batches of the events being appended and
   * of those that wait end by time.
   */
  #batchesStarted(events: number, bytes: number): number {
    const { queue, batchSize, batchBytes } = this.#options;
    const bySize = Math.floor((queue.queuedEvents + events) / batchSize);
    return 2 + bySize + Math.floor(bytes / batchBytes);
  }

  /** Whether events have room if nothing else waits. If each of several requests has, one like their mean has, too. */
  #fitsAlone(events: number, bytes: number): boolean {
    const { log, queue, batchSize, batchBytes, backlogBytesMax } = this.#options;
    const beside = log.batchBytesMost * (2 + events / batchSize + bytes / batchBytes);
    return queue.canEverAdmit(events, bytes) && bytes + beside <= backlogBytesMax;
  }

  #hanging(): ForebayError | null {
    const { waiting, ackTimeoutMs } = this.#options;
    if (waiting.overdue === 0) return null;
    const message = `The disk has not answered for ${ackTimeoutMs} ms (--ack-timeout): the event was not taken`;
    return new ForebayError('LOG_FAILED', { message, retryAfterMs: RETRY_AFTER_MS_MIN });
  }
}

export function bounded(ms: number, most: number): number {
  return Math.min(most, Math.max(RETRY_AFTER_MS_MIN, ms));
}
