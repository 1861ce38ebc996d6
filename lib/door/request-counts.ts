import type { ErrorCode } from '../base/errors.js';
import type { Source } from '../seams/source.js';

/** Status of a request whose connection broke before its answer was sent. */
export const ABORTED = 0;

/** Counted from 0 on: an alert on the first increase needs a number before it. */
const WATCHED_STATUSES = [202, 429, 500, 503];
const WATCHED_CODES = ['QUEUE_FULL', 'BACKLOG_FULL', 'LOG_FAILED', 'IN_DOUBT', 'INTERNAL'] as const;

/** Counts requests and how the door answered them. */
export class RequestCounts {
  /** Requests by path and status. */
  readonly answered: Map<string, Map<number, number>>;
  /** Refused events by reason. A request that is refused unread counts as one. */
  readonly refusedEvents = new Map<ErrorCode, number>(WATCHED_CODES.map((code) => [code, 0]));

  /** @param sources their paths are counted from 0 on */
  constructor(sources: readonly Source[]) {
    const none = (): [number, number][] => WATCHED_STATUSES.map((status) => [status, 0]);
    this.answered = new Map(sources.map(({ path }) => [path, new Map(none())]));
  }

  /** @param path one of the server's own, or `other` */
  count(path: string, status: number): void {
    let statuses = this.answered.get(path);
    if (statuses === undefined) this.answered.set(path, (statuses = new Map()));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }

  refuse(code: ErrorCode, events: number): void {
    this.refusedEvents.set(code, (this.refusedEvents.get(code) ?? 0) + events);
  }
}
