import { ForebayError } from '../errors.js';
import { decodeUtf8 } from '../event.js';
import { arrayElements, isArrayText } from '../json-array.js';
import { BodyBuffer } from './body-buffer.js';
import type { EventLines } from './event-lines.js';

const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;

/** A body that is being read. */
export interface EventBody {
  /** @throws ForebayError where what has come so far is wrong */
  append(piece: Buffer): void;
  /** @throws ForebayError where the whole is wrong */
  end(): void;
}

/** One event, or a JSON array of events: nothing is known before the end. */
export class JsonBody implements EventBody {
  readonly #events: EventLines;
  readonly #body = new BodyBuffer();

  constructor(events: EventLines) {
    this.#events = events;
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
  }

  end(): void {
    const text = decodeUtf8(this.#body.bytes);
    if (!isArrayText(text)) {
      this.#events.add(() => text, null);
      return;
    }
    let index = 0;
    for (const { start, end } of arrayElements(text)) {
      this.#events.add(() => text.slice(start, end), { index: index++, start });
    }
    if (index === 0) throw new ForebayError('NO_EVENTS', { message: 'The array holds no event' });
  }
}

/** NDJSON: one event a line, checked as it comes. Blank lines are counted and skipped. */
export class NdjsonBody implements EventBody {
  readonly #events: EventLines;
  readonly #bytesMax: number;
  /** The line whose end has not come yet. */
  #rest = new BodyBuffer();
  #line = 0;

  /** @param bytesMax a line may be so long, in bytes */
  constructor(events: EventLines, bytesMax: number) {
    this.#events = events;
    this.#bytesMax = bytesMax;
  }

  append(piece: Buffer): void {
    let start = 0;
    for (let end = piece.indexOf(LINE_FEED); end !== -1; end = piece.indexOf(LINE_FEED, start)) {
      const part = piece.subarray(start, end);
      if (this.#rest.length === 0) this.#take(part);
      else this.#takeRest(part);
      start = end + 1;
    }
    this.#rest.append(piece.subarray(start));
    if (this.#rest.length > this.#bytesMax) throw this.#events.tooLarge({ line: this.#line + 1 });
  }

  end(): void {
    if (this.#rest.length > 0) this.#takeRest(Buffer.alloc(0));
    if (this.#events.events === 0)
      throw new ForebayError('NO_EVENTS', { message: 'The body holds no event' });
  }

  #takeRest(part: Buffer): void {
    this.#rest.append(part);
    const rest = this.#rest;
    this.#rest = new BodyBuffer();
    this.#take(rest.bytes);
  }

  #take(line: Buffer): void {
    this.#line++;
    if (line.length === 0 || (line.length === 1 && line[0] === CARRIAGE_RETURN)) return;
    this.#events.add(() => decodeUtf8(line), { line: this.#line });
  }
}
