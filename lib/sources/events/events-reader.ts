import { ForebayError } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import { eventLine, timestampEndBytes } from '../../event/event.js';
import { NOT_CERTAIN } from '../../event/event-scan.js';
import type { EventScan } from '../../event/event-scan.js';
import { jsonAnswer } from '../../seams/http-answer.js';
import type { HttpAnswer } from '../../seams/http-answer.js';
import { EventBlock } from '../../event/event-block.js';
import type { EventReader, Limits } from '../../seams/source.js';

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

/** How the bodies of some requests are read, the same for all with one head. */
export interface Reading {
  readonly limits: Limits;
  /** Whether one wrong event leaves the others in. */
  readonly isLenient: boolean;
  /** Shared: what it found last is used before it looks for more. */
  readonly scan: EventScan;
}

/** The answer to one event, made once. */
const ACCEPTED = jsonAnswer(202, { status: 'accepted' });
const NOTHING = Buffer.alloc(0);

/** The events of a request as lines of the log, checked one by one. How a body is cut into events is left to others. */
export abstract class EventsReader implements EventReader {
  readonly block = new EventBlock();
  readonly refused: Map<ErrorCode, number> | undefined;
  /** Whether the body can hold many events: it is an array or NDJSON. */
  protected areMany = false;
  readonly #how: Reading;
  /** The first events that were refused alone, */
  readonly #listed: RefusedEvent[] = [];
  /** and how many there are. */
  #refusedEvents = 0;

  constructor(how: Reading) {
    this.#how = how;
    this.refused = how.isLenient ? new Map() : undefined;
  }

  abstract append(piece: Buffer): void;
  abstract end(): void;

  accepted(): HttpAnswer {
    const { length: count } = this.block;
    if (this.refused === undefined)
      return this.areMany ? jsonAnswer(202, { status: 'accepted', count }) : ACCEPTED;
    const [status, word] = count > 0 || this.#refusedEvents === 0 ? [202, 'accepted'] : [400, 'refused'];
    const more = this.#refusedEvents - this.#listed.length;
    const body = { status: word, count, refused: this.#listed, ...(more > 0 && { refusedMore: more }) };
    return jsonAnswer(status, body, { 'Preference-Applied': 'handling=lenient' });
  }

  /** How many events the request holds so far. */
  protected get events(): number {
    return this.block.length + this.#refusedEvents;
  }

  protected get eventBytesMax(): number {
    return this.#how.limits.eventBytesMax;
  }

  /**
   * The position behind the event that begins at `start`, where it is certain that it is a good one; -1: see `add`.
   *
   * @param bytes UTF-8
   */
  protected find(bytes: Buffer, start: number): number {
    const { scan, limits } = this.#how;
    const end = scan.endOf(bytes, start);
    // what stands between the event and the end of its line counts, too: near the bound `add` decides
    return end - start < limits.eventBytesMax ? end : NOT_CERTAIN;
  }

  /** Takes the event that was found last. @throws ForebayError `BODY_TOO_LARGE` for one event too many */
  protected addFound(bytes: Buffer, start: number, end: number): void {
    this.#checkRoom();
    if (this.#how.scan.hasTimestamp) this.block.add(bytes, start, end, NOTHING);
    else this.block.add(bytes, start, end - 1, timestampEndBytes(Date.now()));
  }

  /** @throws ForebayError with the place of the event, unless lenient; `BODY_TOO_LARGE` for one event too many */
  protected add(readText: () => string, place: Place): void {
    this.#checkRoom();
    const { eventBytesMax, depthMax } = this.#how.limits;
    try {
      const text = readText();
      if (text.length > eventBytesMax || Buffer.byteLength(text) > eventBytesMax) throw this.tooLarge();
      this.block.addText(eventLine(text, Date.now(), depthMax));
    } catch (error) {
      if (!(error instanceof ForebayError) || place === null) throw error;
      if (this.refused === undefined) throw atPlace(error, place);
      this.#refusedEvents++;
      this.refused.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
      if (this.#listed.length < LISTED_MAX) this.#listed.push(listed(error, place));
    }
  }

  protected tooLarge(place: Place = null): ForebayError {
    const message = `The event is larger than ${this.eventBytesMax} bytes (--event-max)`;
    const error = new ForebayError('EVENT_TOO_LARGE', { message });
    return place === null ? error : atPlace(error, place);
  }

  /** Work and memory for a request are bounded by its events, whether they are good or not. */
  #checkRoom(): void {
    const { eventsMax } = this.#how.limits;
    if (this.events < eventsMax) return;
    const message = `The request holds more than ${eventsMax} events (--queue-size)`;
    throw new ForebayError('BODY_TOO_LARGE', { message });
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
