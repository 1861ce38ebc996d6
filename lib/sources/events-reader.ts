import { ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import { timestampEnding } from '../event/event.js';
import { NOT_CERTAIN } from '../event/event-scan.js';
import type { EventScan } from '../event/event-scan.js';
import { jsonAnswer } from '../seams/http-answer.js';
import type { HttpAnswer } from '../seams/http-answer.js';
import { EventBlock } from '../event/event-block.js';
import { BRACE, contentOf, contentOfText } from '../event/event-ids.js';
import type { EventIds } from '../event/event-ids.js';
import type { EventReader, Limits, RequestHead } from '../seams/source.js';

/** An answer lists at most this many refused events, and counts the others. */
const LISTED_MAX = 100;

/** The place of an event in a body that may hold many; `null`: it is the only one. */
export type Place = Numbered | null;

type Numbered =
  | { readonly line: number }
  /** `startOf`: where it starts in the body, in UTF-16 code units, if that is known. */
  | { readonly index: number; readonly startOf?: () => number };

/** An event that was refused alone, as the answer lists it. */
export interface RefusedEvent {
  readonly line?: number;
  readonly index?: number;
  readonly error: string;
  readonly code: ErrorCode;
  readonly field?: string;
  readonly position?: number;
}

/** How bodies are read that have the same head. */
export interface Reading {
  readonly limits: Limits;
  /** Whether the other events are taken if one is wrong. */
  readonly isLenient: boolean;
  /**
   * The line of an event in the log.
   *
   * @throws ForebayError if it is wrong
   */
  readonly line: (text: string, arrivedMs: number, depthMax: number) => string;
  /** The id of an event, for the id window. @param line of the event; it is good */
  readonly id: (line: string) => EventId;
  /** Finds events that are certainly good; `null`: each is parsed. */
  readonly scan: EventScan | null;
}

/** An id is unique in its source, or if it is that of a CloudEvent, together with the `source` of the event. */
export interface EventId {
  readonly id: string;
  readonly origin?: string;
}

/** In `Prefer`: the client asks for a result of each event (RFC 7240, 4.4). */
const LENIENT = /(?:^|,)\s*handling\s*=\s*"?lenient"?\s*(?:[,;]|$)/i;

/** Whether the other events are taken if one is wrong. */
export function isLenient(head: RequestHead): boolean {
  const prefer = head.header('prefer');
  return prefer !== undefined && LENIENT.test(prefer);
}

/** The answers to one event, built once. */
const ACCEPTED = jsonAnswer(202, { status: 'accepted' });
const DUPLICATE = jsonAnswer(202, { status: 'accepted', duplicate: true });

/** Checks the events of a request one by one and keeps their lines. Subclasses cut the body into events. */
export abstract class EventsReader implements EventReader {
  readonly block = new EventBlock();
  readonly refused: Map<ErrorCode, number> | undefined;
  /** Whether the body can hold many events: it is an array or NDJSON. */
  protected areMany = false;
  readonly #how: Reading;
  /** The first events that were refused alone. */
  readonly #listed: RefusedEvent[] = [];
  /** The number of all events that were refused alone. */
  #refusedEvents = 0;
  /** Where the events of the block were, if their source has a window and the sender wants the result of each. */
  readonly #places: Numbered[] = [];

  /** @param ids get the id of each event */
  constructor(how: Reading, ids: EventIds | null = null) {
    this.#how = how;
    this.refused = how.isLenient ? new Map() : undefined;
    this.block.ids = ids;
    if (ids !== null) ids.refusesAlone = how.isLenient;
  }

  abstract append(piece: Buffer): void;
  abstract end(): void;

  accepted(): HttpAnswer {
    const { length: count } = this.block;
    const duplicates = this.block.ids?.duplicatesSaid ?? 0;
    const ofWindow = duplicates > 0 && { duplicates };
    if (this.refused === undefined) {
      if (this.areMany) return jsonAnswer(202, { status: 'accepted', count, ...ofWindow });
      return duplicates > 0 ? DUPLICATE : ACCEPTED;
    }
    const conflicts = this.#refuseConflicts();
    const taken = count - conflicts;
    const [status, word] = taken > 0 || this.#refusedEvents === 0 ? [202, 'accepted'] : [400, 'refused'];
    const more = this.#refusedEvents - this.#listed.length;
    const body = {
      status: word,
      count: taken,
      ...ofWindow,
      ...(duplicates > 0 && { duplicateEvents: this.#duplicates() }),
      refused: this.#listed,
      ...(more > 0 && { refusedMore: more }),
    };
    return jsonAnswer(status, body, { 'Preference-Applied': 'handling=lenient' });
  }

  /** Events whose id is that of another event, if such are refused. */
  #refuseConflicts(): number {
    const { ids } = this.block;
    if (ids === null || !ids.refusesConflictsAlone) return 0;
    for (let index = 0; index < this.block.length; index++) {
      if (ids.findingOf(index) === 'conflict')
        this.#refuse(conflictOf(ids), this.#places[index] ?? { index });
    }
    return ids.conflicts;
  }

  /** The places of the first events that were known. */
  #duplicates(): readonly Pick<RefusedEvent, 'line' | 'index'>[] {
    const { ids, length } = this.block;
    const known: Pick<RefusedEvent, 'line' | 'index'>[] = [];
    for (let index = 0; index < length && known.length < LISTED_MAX; index++) {
      const finding = ids?.findingOf(index) ?? 'new';
      if (finding === 'new' || (finding === 'conflict' && ids?.refusesConflictsAlone === true)) continue;
      const place = this.#places[index] ?? { index };
      known.push('line' in place ? { line: place.line } : { index: place.index });
    }
    return known;
  }

  /** Events of the request so far, also refused ones. */
  protected get events(): number {
    return this.block.length + this.#refusedEvents;
  }

  protected get eventBytesMax(): number {
    return this.#how.limits.eventBytesMax;
  }

  /**
   * The position after the event that starts at `start`, if the event is certainly good; else -1: see `add`.
   *
   * @param bytes UTF-8
   */
  protected find(bytes: Buffer, start: number): number {
    const { scan, limits } = this.#how;
    if (scan === null) return NOT_CERTAIN;
    const end = scan.endOf(bytes, start);
    // bytes between the event and the end of its line count, too: near the bound `add` decides
    return end - start < limits.eventBytesMax ? end : NOT_CERTAIN;
  }

  /**
   * Takes the event that was found last.
   *
   * @param line its number; `null`: the body is no NDJSON
   * @throws ForebayError `BODY_TOO_LARGE` for one event too many
   */
  protected addFound(bytes: Buffer, start: number, end: number, line: number | null): void {
    this.#checkRoom();
    const { scan, isLenient: isPlaced } = this.#how;
    const { ids } = this.block;
    const ending = scan?.hasTimestamp === true ? BRACE : timestampEnding(Date.now());
    const text = new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - 1 - start);
    if (ids !== null && scan !== null) {
      const { idStart, idEnd, isIdPlain } = scan;
      ids.addJson(bytes, idStart + 1, idEnd - 1, isIdPlain, contentOf(text), ending);
      if (isPlaced) this.#places.push(line === null ? { index: this.events } : { line });
    }
    this.block.addBytes(text, ending.bytes);
  }

  /** @throws ForebayError with the place of the event, unless lenient; `BODY_TOO_LARGE` for one event too many */
  protected add(readText: () => string, place: Place): void {
    this.#checkRoom();
    const { limits, line: lineOf, id: idOf } = this.#how;
    const { eventBytesMax, depthMax } = limits;
    try {
      const text = readText();
      if (text.length > eventBytesMax || Buffer.byteLength(text) > eventBytesMax) throw this.tooLarge();
      const line = lineOf(text, Date.now(), depthMax);
      this.block.addText(line);
      if (this.block.ids === null) return;
      const { id, origin } = idOf(line);
      this.block.ids.addText(id, contentOfText(text), origin);
      if (this.refused !== undefined) this.#places.push(place ?? { index: 0 });
    } catch (error) {
      if (!(error instanceof ForebayError) || place === null) throw error;
      if (this.refused === undefined) throw atPlace(error, place);
      this.#refuse(error, place);
    }
  }

  #refuse(error: ForebayError, place: Numbered): void {
    this.#refusedEvents++;
    this.refused?.set(error.code, (this.refused.get(error.code) ?? 0) + 1);
    if (this.#listed.length < LISTED_MAX) this.#listed.push(listed(error, place));
  }

  protected tooLarge(place: Place = null): ForebayError {
    const message = `The event is larger than ${this.eventBytesMax} bytes (--event-max)`;
    const error = new ForebayError('EVENT_TOO_LARGE', { message });
    return place === null ? error : atPlace(error, place);
  }

  /** Bounds work and memory of a request by its events, good or not. */
  #checkRoom(): void {
    const { eventsMax } = this.#how.limits;
    if (this.events < eventsMax) return;
    const message = `The request holds more than ${eventsMax} events (--queue-size)`;
    throw new ForebayError('BODY_TOO_LARGE', { message });
  }
}

function conflictOf({ scope }: EventIds): ForebayError {
  const message = `The event has the id of another event that came within ${scope.windowMs / 1000} s (--id-conflict reject)`;
  return new ForebayError('ID_CONFLICT', { message, field: 'id' });
}

/**
 * Describes a refused event of many, with its place. Its `position` counts from the start of the body, or of the
 * line.
 */
function listed({ code, message, field, position }: ForebayError, place: Numbered): RefusedEvent {
  const isLine = 'line' in place;
  return {
    ...(isLine ? { line: place.line } : { index: place.index }),
    error: `${isLine ? `Line ${place.line}` : `Event ${place.index}`}: ${message}`,
    code,
    ...(field !== undefined && { field }),
    ...(position !== undefined && { position: isLine ? position : (place.startOf?.() ?? 0) + position }),
  };
}

/** The same error, with the place. */
function atPlace(error: ForebayError, place: Numbered): ForebayError {
  const { error: message, code, ...detail } = listed(error, place);
  return new ForebayError(code, { ...detail, message });
}
