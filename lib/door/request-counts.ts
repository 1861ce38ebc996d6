import type { ErrorCode } from '../base/errors.js';
import type { KeyHolder } from '../keys/keys.js';
import type { EventReader, Source } from '../seams/source.js';
import type { SpanCounts, Tracer } from '../seams/tracer.js';

/** Status of a request whose connection broke before its answer was sent. */
export const ABORTED = 0;
/** In place of a source: the request was refused before it came to one. */
export const NO_SOURCE = '';

/** Counted from 0 on: an alert on the first increase needs a number before it. */
const WATCHED_STATUSES = [202, 429, 500, 503];
const WATCHED_CODES = [
  'QUEUE_FULL',
  'BACKLOG_FULL',
  'CLIENT_SHARE',
  'CLIENT_RATE',
  'LOG_FAILED',
  'IN_DOUBT',
  'INTERNAL',
] as const;

/** Counts requests and how the door answered them. */
export class RequestCounts {
  /** Requests by path and status. */
  readonly answered: Map<string, Map<number, number>>;
  /** Accepted events by the name of their source. */
  readonly acceptedEvents: Map<string, number>;
  /** Accepted events whose sender gave no id. */
  readonly idsMade: Map<string, number>;
  /** Refused events by the name of their source and by reason. A request that is refused unread counts as one. */
  readonly refusedEvents: Map<string, Map<ErrorCode, number>>;
  /** Requests that were refused before they came to a source, by reason: not counted as events. */
  readonly strayRequests = new Map<ErrorCode, number>();

  readonly #tracer: Pick<Tracer, 'counts'> | null;

  /**
   * @param sources are counted from 0 on
   * @param tracer counts spans
   */
  constructor(
    sources: readonly Pick<Source, 'name' | 'path'>[],
    tracer: Pick<Tracer, 'counts'> | null = null,
  ) {
    this.#tracer = tracer;
    const none = (): [number, number][] => WATCHED_STATUSES.map((status) => [status, 0]);
    this.answered = new Map(sources.map(({ path }) => [path, new Map(none())]));
    this.acceptedEvents = new Map(sources.map(({ name }) => [name, 0]));
    this.idsMade = new Map(this.acceptedEvents);
    const unrefused = (): [ErrorCode, number][] => WATCHED_CODES.map((code) => [code, 0]);
    this.refusedEvents = new Map(sources.map(({ name }) => [name, new Map(unrefused())]));
  }

  /** Spans of requests and of attempts at the sink; `null`: there are none. */
  get spans(): SpanCounts | null {
    return this.#tracer?.counts ?? null;
  }

  /** @param path one of the server's own, or `other` */
  count(path: string, status: number): void {
    let statuses = this.answered.get(path);
    if (statuses === undefined) this.answered.set(path, (statuses = new Map()));
    statuses.set(status, (statuses.get(status) ?? 0) + 1);
  }

  /**
   * @param idsMade how many of them got an id from the server
   * @param holder whose key the request had
   */
  accept(source: string, events: number, idsMade: number = 0, holder: KeyHolder | null = null): void {
    if (holder !== null) holder.acceptedEvents += events;
    this.acceptedEvents.set(source, (this.acceptedEvents.get(source) ?? 0) + events);
    this.idsMade.set(source, (this.idsMade.get(source) ?? 0) + idsMade);
  }

  refuse(code: ErrorCode, events: number, source: string = NO_SOURCE, holder: KeyHolder | null = null): void {
    if (holder !== null) holder.refusedEvents += events;
    let codes = this.refusedEvents.get(source);
    if (codes === undefined) this.refusedEvents.set(source, (codes = new Map()));
    codes.set(code, (codes.get(code) ?? 0) + events);
  }

  stray(code: ErrorCode): void {
    this.strayRequests.set(code, (this.strayRequests.get(code) ?? 0) + 1);
  }

  /** Events of all sources that were refused for this reason. */
  refusedFor(code: ErrorCode): number {
    let events = 0;
    for (const codes of this.refusedEvents.values()) events += codes.get(code) ?? 0;
    return events;
  }
}

/** How many events of a refused body count as refused: usually the event after those that were read is at fault. */
export function eventsAtFault(reader: EventReader | null): number {
  let events = 1 + (reader?.block.length ?? 0);
  for (const [, alone] of reader?.refused ?? []) events += alone;
  return events;
}
