import { ForebayError } from '../errors.js';
import { eventLine } from '../event.js';

/** Where an event stands in a body that may hold many; `null`: it is the only one. */
export type Place = { readonly line: number } | { readonly index: number; readonly start: number } | null;

/** The events of a request as lines of the log, checked one by one. */
export class EventLines {
  readonly lines: string[] = [];
  /** The events that are wrong, where the request asked for a result of each. */
  readonly refused: ForebayError[] = [];
  /** Whether the body can hold many events: it is an array or NDJSON. */
  areMany = false;
  readonly #eventBytesMax: number;
  readonly #isLenient: boolean;

  /** @param isLenient whether one wrong event leaves the others in */
  constructor(eventBytesMax: number, isLenient: boolean) {
    this.#eventBytesMax = eventBytesMax;
    this.#isLenient = isLenient;
  }

  /** How many events the request holds so far. */
  get events(): number {
    return this.lines.length + this.refused.length;
  }

  /** @throws ForebayError with the place of the event, unless lenient */
  add(readText: () => string, place: Place): void {
    this.areMany = place !== null;
    try {
      const text = readText();
      if (text.length > this.#eventBytesMax || Buffer.byteLength(text) > this.#eventBytesMax)
        throw this.tooLarge();
      this.lines.push(eventLine(text, Date.now()));
    } catch (error) {
      if (!(error instanceof ForebayError) || place === null) throw error;
      const refused = atPlace(error, place);
      if (!this.#isLenient) throw refused;
      this.refused.push(refused);
    }
  }

  tooLarge(place: Place = null): ForebayError {
    const message = `The event is larger than ${this.#eventBytesMax} bytes (--event-max)`;
    const error = new ForebayError('EVENT_TOO_LARGE', { message });
    return place === null ? error : atPlace(error, place);
  }
}

/** The same error, with the place. Its `position` is one in the body, or in the line. */
function atPlace(error: ForebayError, place: NonNullable<Place>): ForebayError {
  const { code, message, field, position } = error;
  const start = 'start' in place ? place.start : 0;
  return new ForebayError(code, {
    message: `${'line' in place ? `Line ${place.line}` : `Event ${place.index}`}: ${message}`,
    ...('line' in place ? { line: place.line } : { index: place.index }),
    ...(field !== undefined && { field }),
    ...(position !== undefined && { position: start + position }),
    cause: error,
  });
}
