import { isUtf8 } from 'node:buffer';
import { ForebayError } from '../errors.js';
import { decodeUtf8 } from '../event.js';
import { NOT_CERTAIN } from '../event-scan.js';
import { arrayElements, isArray } from '../json-array.js';
import { BodyBuffer } from './body-buffer.js';
import type { EventLines } from './event-lines.js';

/** What some systems put in front of a text in UTF-8. RFC 8259 lets a reader ignore it. */
const BYTE_ORDER_MARK = Buffer.from('\ufeff');
const LINE_FEED = 10;
const CARRIAGE_RETURN = 13;
const SPACE = new Set([0x20, 0x09, LINE_FEED, CARRIAGE_RETURN]);
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;

/** A body that is being read. */
export interface EventBody {
  /** @throws ForebayError where what has come so far is wrong */
  append(piece: Buffer): void;
  /** @throws ForebayError where the whole is wrong */
  end(): void;
}

/** One event, or a JSON array of events: little is known before the end. */
export class JsonBody implements EventBody {
  readonly #events: EventLines;
  readonly #body: BodyBuffer;
  /** Whether it is an array, if it is JSON; `null` as long as that is not known. */
  #isArray: boolean | null = null;

  /** @param lengthDeclared in bytes; 0: not known */
  constructor(events: EventLines, lengthDeclared: number) {
    this.#events = events;
    this.#body = new BodyBuffer(lengthDeclared);
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
    if (this.#isArray === null) {
      const first = piece.find((byte) => !SPACE.has(byte) && !BYTE_ORDER_MARK.includes(byte));
      if (first !== undefined) this.#isArray = first === OPENING_BRACKET;
    }
    const isLong = this.#body.length > this.#events.eventBytesMax + BYTE_ORDER_MARK.length;
    if (this.#isArray !== true && isLong) throw this.#events.tooLarge();
  }

  end(): void {
    const bytes = this.#body.bytes.subarray(markEnd(this.#body.bytes));
    if (!isUtf8(bytes)) decodeUtf8(bytes);
    if (this.#takeFound(bytes) || this.#takeFoundElements(bytes)) return;
    if (!isArray(bytes)) {
      this.#events.add(() => bytes.toString(), null);
      return;
    }
    this.#events.areMany = true;
    const taken = this.#events.events;
    const units = new CodeUnits(bytes);
    let index = 0;
    for (const { start, end } of arrayElements(bytes)) {
      const place = { index, startOf: () => units.before(start) };
      if (index >= taken) this.#events.add(() => bytes.toString('utf8', start, end), place);
      index++;
    }
    if (index === 0) throw new ForebayError('NO_EVENTS', { message: 'The array holds no event' });
  }

  /** Whether the body is one event that is certainly good; it is taken then. */
  #takeFound(bytes: Buffer): boolean {
    const isFound = this.#events.find(bytes, 0) === bytes.length;
    if (isFound) this.#events.addFound(bytes, 0, bytes.length);
    return isFound;
  }

  /** Takes the first events of an array, as long as they are certainly good. Gives back whether that was the body. */
  #takeFoundElements(bytes: Buffer): boolean {
    let at = skipSpace(bytes, 0);
    if (bytes[at] !== OPENING_BRACKET) return false;
    this.#events.areMany = true;
    do {
      const start = skipSpace(bytes, at + 1);
      const end = this.#events.find(bytes, start);
      if (end === NOT_CERTAIN) return false;
      at = skipSpace(bytes, end);
      const isElement = bytes[at] === COMMA || bytes[at] === CLOSING_BRACKET;
      if (!isElement || at - start > this.#events.eventBytesMax) return false;
      this.#events.addFound(bytes, start, end);
    } while (bytes[at] === COMMA);
    return skipSpace(bytes, at + 1) === bytes.length;
  }
}

/** Where a body begins behind its byte order mark, if it has one. */
function markEnd(bytes: Buffer): number {
  return bytes.subarray(0, BYTE_ORDER_MARK.length).equals(BYTE_ORDER_MARK) ? BYTE_ORDER_MARK.length : 0;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (SPACE.has(bytes[at] ?? 0)) at++;
  return at;
}

/** Counts the UTF-16 code units in front of positions in UTF-8, asked for in order. */
class CodeUnits {
  readonly #bytes: Buffer;
  #at = 0;
  #units = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  before(at: number): number {
    this.#units += this.#bytes.toString('utf8', this.#at, at).length;
    this.#at = at;
    return this.#units;
  }
}

/** NDJSON: one event a line, checked as it comes. Blank lines are counted and skipped. */
export class NdjsonBody implements EventBody {
  readonly #events: EventLines;
  /** The line whose end has not come yet. */
  #rest = new BodyBuffer();
  #line = 0;

  constructor(events: EventLines) {
    this.#events = events;
    this.#events.areMany = true;
  }

  append(piece: Buffer): void {
    let start = 0;
    if (this.#rest.length > 0) {
      start = piece.indexOf(LINE_FEED) + 1;
      if (start > 0) this.#takeRest(piece.subarray(0, start));
    }
    const end = piece.lastIndexOf(LINE_FEED) + 1;
    if (end > start) this.#takeLines(piece.subarray(start, end));
    this.#rest.append(piece.subarray(Math.max(start, end)));
    if (this.#rest.length > this.#events.eventBytesMax) throw this.#events.tooLarge({ line: this.#line + 1 });
  }

  end(): void {
    if (this.#rest.length > 0) this.#takeRest(Buffer.of(LINE_FEED));
    if (this.#events.events === 0)
      throw new ForebayError('NO_EVENTS', { message: 'The body holds no event' });
  }

  #takeRest(end: Buffer): void {
    this.#rest.append(end);
    const rest = this.#rest;
    this.#rest = new BodyBuffer();
    this.#takeLines(rest.bytes);
  }

  /** @param lines each with its line feed */
  #takeLines(lines: Buffer): void {
    const isText = isUtf8(lines);
    for (let start = this.#line === 0 ? markEnd(lines) : 0; start < lines.length;) {
      this.#line++;
      const blank = lines[start] === CARRIAGE_RETURN ? start + 1 : start;
      if (lines[blank] === LINE_FEED) {
        start = blank + 1;
        continue;
      }
      const found = isText ? this.#events.find(lines, start) : NOT_CERTAIN;
      if (found !== NOT_CERTAIN && lines[found] === LINE_FEED) {
        this.#events.addFound(lines, start, found);
        start = found + 1;
      } else {
        const end = lines.indexOf(LINE_FEED, start);
        const line = lines.subarray(start, end);
        this.#events.add(() => decodeUtf8(line), { line: this.#line });
        start = end + 1;
      }
    }
  }
}
