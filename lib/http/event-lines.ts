import { ForebayError } from '../errors.js';
import type { ErrorCode } from '../errors.js';
import { eventLine, timestampEnd } from '../event.js';
import { EventScan, NOT_CERTAIN } from '../event-scan.js';
import { LineBuffer } from '../line-buffer.js';

/** At most this many refused events are listed in an answer; the others are counted. */
const LISTED_MAX = 100;

/** Where an event stands in a body that may hold many; `null`: it is the only one. */
export type Place =
  | { readonly line: number }
  /** `startOf`: where it begins in the body, in UTF-16 code units. */
  | { readonly index: number; readonly startOf: () => number }
  | null;

/** An event that was refused alone, as the answer lists it. */
export interface RefusedEvent {
  readonly line?: number;
  readonly index?: number;
  readonly error: string;
  readonly code: ErrorCode;
  readonly field?: string;
  readonly position?: number;
}

/** What bounds the events of a request. */
export interface EventBounds {
  /** An event may be this long, in bytes, */
  readonly eventBytesMax: number;
  /** and nested this deep. */
  readonly depthMax: number;
  /** A request may hold this many of them, refused ones included. */
  readonly eventsMax: number;
}

/** The events of a request as lines of the log, checked one by one. */
export class EventLines {
  readonly lines = new LineBuffer();
  /** The first events that are wrong, if the request asked for a result of each. */
  readonly refused: RefusedEvent[] = [];
  /** How many are wrong, by code. */
  readonly refusedByCode = new Map<ErrorCode, number>();
  /** Whether the body can hold many events: it is an array or NDJSON. */
  areMany = false;
  readonly #bounds: EventBounds;
  readonly #isLenient: boolean;
  readonly #scan: EventScan;
  #refusedEvents = 0;

  /** @param isLenient whether one wrong event leaves the others in */
  constructor(bounds: EventBounds, isLenient: boolean) {
    this.#bounds = bounds;
    this.#isLenient = isLenient;
    this.#scan = new EventScan(bounds.depthMax);
  }

  /** How many events the request holds so far. */
  get events(): number {
    return this.lines.length + this.#refusedEvents;
  }

  /** How many of them are wrong. */
  get refusedEvents(): number {
    return this.#refusedEvents;
  }

  get eventBytesMax(): number {
    return this.#bounds.eventBytesMax;
  }

  /**
   * The position behind the event that begins at `start`, where it is certain that it is a good one; -1: see `add`.
   *
   * @param bytes UTF-8
   */
  find(bytes: Buffer, start: number): number {
    const end = this.#scan.endOf(bytes, start);
    // what stands between the event and the end of its line counts, too: near the bound `add` decides
    return end - start < this.#bounds.eventBytesMax ? end : NOT_CERTAIN;
  }

  /** Takes the event that was found last. @throws ForebayError `BODY_TOO_LARGE` for one event too many */
  addFound(bytes: Buffer, start: number, end: number): void {
    this.#checkRoom();
    if (this.#scan.hasTimestamp) this.lines.add(bytes, start, end, '');
    else this.lines.add(bytes, start, end - 1, timestampEnd(Date.now()));
  }

  /** @throws ForebayError with the place of the event, unless lenient; `BODY_TOO_LARGE` for one event too many */
  add(readText: () => string, place: Place): void {
    this.#checkRoom();
    const { eventBytesMax, depthMax } = this.#bounds;
    try {
      const text = readText();
      if (text.length > eventBytesMax || Buffer.byteLength(text) > eventBytesMax) throw this.tooLarge();
      this.lines.addText(eventLine(text, Date.now(), depthMax));
    } catch (error) {
      if (!(error instanceof ForebayError) || place === null) throw error;
      if (!this.#isLenient) throw atPlace(error, place);
      this.#refuse(error, place);
    }
  }

  tooLarge(place: Place = null): ForebayError {
    const message = `The event is larger than ${this.#bounds.eventBytesMax} bytes (--event-max)`;
    const error = new ForebayError('EVENT_TOO_LARGE', { message });
    return place === null ? error : atPlace(error, place);
  }

  /** Work and memory for a request are bounded by its events, whether they are good or not. */
  #checkRoom(): void {
    if (this.events < this.#bounds.eventsMax) return;
    const message = `The request holds more than ${this.#bounds.eventsMax} events (--queue-size)`;
    throw new ForebayError('BODY_TOO_LARGE', { message });
  }

  #refuse(error: ForebayError, place: NonNullable<Place>): void {
    const { code } = error;
    this.#refusedEvents++;
    this.refusedByCode.set(code, (this.refusedByCode.get(code) ?? 0) + 1);
    if (this.refused.length < LISTED_MAX) this.refused.push(listed(error, place));
  }
}

/** What is wrong with an event of many, with its place. Its `position` is one in the body, or in the line. */
function listed({ code, message, field, position }: ForebayError, place: NonNullable<Place>): RefusedEvent {
  const isLine = 'line' in place;
  return {
    ...(isLine ? { line: place.line } : { index: place.index }),
    error: `${isLine ? `Line ${place.line}` : `Event ${place.index}`}: ${message}`,
    code,
    ...(field !== undefined && { field }),
    ...(position !== undefined && { position: isLine ? position : place.startOf() + position }),
  };
}

/** The same error, with the place. */
function atPlace(error: ForebayError, place: NonNullable<Place>): ForebayError {
  const { error: message, code, ...detail } = listed(error, place);
  return new ForebayError(code, { ...detail, message });
}
