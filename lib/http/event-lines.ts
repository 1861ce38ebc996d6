import { ForebayError } from '../errors.js';
import { eventLine, timestampEnd } from '../event.js';
import { EventScan, NOT_CERTAIN } from '../event-scan.js';
import { LineBuffer } from '../line-buffer.js';

/** Where an event stands in a body that may hold many; `null`: it is the only one. */
export type Place = { readonly line: number } | { readonly index: number; readonly start: number } | null;

/** The events of a request as lines of the log, checked one by one. */
export class EventLines {
  readonly lines = new LineBuffer();
  /** The events that are wrong, where the request asked for a result of each. */
  readonly refused: ForebayError[] = [];
  /** Whether the body can hold many events: it is an array or NDJSON. */
  areMany = false;
  /** An event may be so long, in bytes. */
  readonly eventBytesMax: number;
  readonly #isLenient: boolean;
  readonly #scan = new EventScan();

  /** @param isLenient whether one wrong event leaves the others in */
  constructor(eventBytesMax: number, isLenient: boolean) {
    this.eventBytesMax = eventBytesMax;
    this.#isLenient = isLenient;
  }

  /** How many events the request holds so far. */
  get events(): number {
    return this.lines.length + this.refused.length;
  }

  /**
   * The position behind the event that begins at `start`, where it is certain that it is a good one; -1: see `add`.
   *
   * @param bytes UTF-8
   */
  find(bytes: Buffer, start: number): number {
    const end = this.#scan.endOf(bytes, start);
    // what stands between the event and the end of its line counts, too: near the bound `add` decides
    return end - start < this.eventBytesMax ? end : NOT_CERTAIN;
  }

  /** Takes the event that was found last. */
  addFound(bytes: Buffer, start: number, end: number): void {
    if (this.#scan.hasTimestamp) this.lines.add(bytes, start, end, '');
    else this.lines.add(bytes, start, end - 1, timestampEnd(Date.now()));
  }

  /** @throws ForebayError with the place of the event, unless lenient */
  add(readText: () => string, place: Place): void {
    try {
      const text = readText();
      if (text.length > this.eventBytesMax || Buffer.byteLength(text) > this.eventBytesMax)
        throw this.tooLarge();
      this.lines.addText(eventLine(text, Date.now()));
    } catch (error) {
      if (!(error instanceof ForebayError) || place === null) throw error;
      const refused = atPlace(error, place);
      if (!this.#isLenient) throw refused;
      this.refused.push(refused);
    }
  }

  tooLarge(place: Place = null): ForebayError {
    const message = `The event is larger than ${this.eventBytesMax} bytes (--event-max)`;
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
