import { isUtf8 } from 'node:buffer';
import { ForebayError } from '../base/errors.js';
import { decodeUtf8 } from '../event/event.js';
import type { EventIds } from '../event/event-ids.js';
import { NOT_CERTAIN } from '../event/event-scan.js';
import { arrayElements, isArray } from '../event/json-array.js';
import { BodyBuffer } from './body-buffer.js';
import { EventsReader } from './events-reader.js';
import type { Reading } from './events-reader.js';

/** Some systems put this before a text in UTF-8. RFC 8259 lets a reader ignore it. */
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;
const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const NOT_MANY = 'The body must be a JSON array of events';

/** What a body may be: one event, an array of events, or either. */
export type JsonForm = 'one' | 'many' | 'either';

/** One event, or a JSON array of events: most of the work waits for the end of the body. */
export class JsonReader extends EventsReader {
  readonly #body: BodyBuffer;
  readonly #form: JsonForm;
  /** Whether the body is read as an array, if it is JSON; `null` until that is known. */
  #isArray: boolean | null = null;

  /** @param lengthDeclared in bytes; 0: not known */
  constructor(how: Reading, lengthDeclared: number, ids: EventIds | null = null, form: JsonForm = 'either') {
    super(how, ids);
    this.#body = new BodyBuffer(lengthDeclared);
    this.#form = form;
    if (form === 'one') this.#isArray = false;
  }

  append(piece: Buffer): void {
    this.#body.append(piece);
    this.#isArray ??= beginsArray(piece);
    const isLong = this.#body.length > this.eventBytesMax + BYTE_ORDER_MARK.length;
    if (this.#isArray !== true && isLong) throw this.tooLarge();
  }

  end(): void {
    const body = this.#body.take();
    const mark = markEnd(body);
    const bytes = mark === 0 ? body : body.subarray(mark);
    if (!isUtf8(bytes)) decodeUtf8(bytes);
    if (this.#takeFound(bytes) || this.#takeFoundElements(bytes)) return;
    if (this.#form === 'one' || !isArray(bytes)) {
      if (this.#form === 'many') throw new ForebayError('EVENT_NOT_OBJECT', { message: NOT_MANY });
      this.add(() => bytes.toString(), null);
      return;
    }
    this.areMany = true;
    const taken = this.events;
    const units = new CodeUnits(bytes);
    let index = 0;
    for (const { start, end } of arrayElements(bytes)) {
      const place = { index, startOf: () => units.before(start) };
      if (index >= taken) this.add(() => bytes.toString('utf8', start, end), place);
      index++;
    }
    if (index === 0 && this.#form === 'either')
      throw new ForebayError('NO_EVENTS', { message: 'The array holds no event' });
  }

  /** Takes the body if it is one event that is certainly good. @returns whether it is */
  #takeFound(bytes: Buffer): boolean {
    const isFound = this.find(bytes, 0) === bytes.length;
    if (isFound) this.addFound(bytes, 0, bytes.length, null);
    return isFound;
  }

  /** Takes the first events of an array, until one is not certainly good. @returns whether it took the whole body */
  #takeFoundElements(bytes: Buffer): boolean {
    let at = skipSpace(bytes, 0);
    if (bytes[at] !== OPENING_BRACKET) return false;
    this.areMany = true;
    do {
      const start = skipSpace(bytes, at + 1);
      const end = this.find(bytes, start);
      if (end === NOT_CERTAIN) return false;
      at = skipSpace(bytes, end);
      const isElement = bytes[at] === COMMA || bytes[at] === CLOSING_BRACKET;
      if (!isElement || at - start > this.eventBytesMax) return false;
      this.addFound(bytes, start, end, null);
    } while (bytes[at] === COMMA);
    return skipSpace(bytes, at + 1) === bytes.length;
  }
}

/** Where a body starts after its byte order mark, if it has one. */
export function markEnd(bytes: Buffer): number {
  const [first, second, third] = BYTE_ORDER_MARK;
  const isMark = bytes[0] === first && bytes[1] === second && bytes[2] === third;
  return isMark ? BYTE_ORDER_MARK.length : 0;
}

/** Whether a body with this first piece is an array, if it is JSON; `null` until that is known. */
function beginsArray(piece: Buffer): boolean | null {
  let at = skipSpace(piece, 0);
  // a piece may end within a mark
  while (BYTE_ORDER_MARK.some((byte) => byte === piece[at])) at = skipSpace(piece, at + 1);
  return at < piece.length ? piece[at] === OPENING_BRACKET : null;
}

function skipSpace(bytes: Buffer, from: number): number {
  let at = from;
  while (isSpace(bytes[at])) at++;
  return at;
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === LINE_FEED || byte === CARRIAGE_RETURN || byte === TAB;
}

/** Counts the UTF-16 code units before a position in UTF-8. Positions must ascend. */
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
