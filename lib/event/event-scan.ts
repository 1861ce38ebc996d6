/**
 * Finds good events in bytes without building values: only the line of an event is kept, while `JSON.parse` makes a
 * string for each of its strings and an object for each of its objects.
 *
 * It accepts only if it is certain. An accepted text is JSON by the whole grammar of RFC 8259, in UTF-8, and an
 * event. Any other text may still be good: `JSON.parse` decides, and also makes the error. So the scan can leave out
 * rare cases: line breaks between tokens, escapes in names of the event's own members, deep nesting.
 * `test/event/event-scan.test.ts` holds it against `JSON.parse`.
 */

const TAB = 0x09;
const SPACE = 0x20;
const QUOTE = 0x22;
const PLUS = 0x2b;
const COMMA = 0x2c;
const MINUS = 0x2d;
const POINT = 0x2e;
const ZERO = 0x30;
const NINE = 0x39;
const COLON = 0x3a;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
/** `e`; `E` equals it once this bit is set. */
const EXPONENT = 0x65;
const LOWER_CASE = 0x20;

/** Returned in place of a position. */
export const NOT_CERTAIN = -1;
/** Deeper nesting is rare, and each level takes a call. */
const DEPTH_MAX = 32;
/** The level of the event itself. */
const OUTERMOST = 1;

const ID = Buffer.from('id');
const TYPE = Buffer.from('type');
const DATA = Buffer.from('data');
const TIMESTAMP = Buffer.from('timestamp');
const TRUE = Buffer.from('true');
const FALSE = Buffer.from('false');
const NULL = Buffer.from('null');
/** Characters that may follow a backslash, except `u`. */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));

/** Scans events, and remembers facts about the last one it found. */
export class EventScan {
  /** Whether the last event that was found has a `timestamp`. */
  hasTimestamp = false;
  /** Where its id starts and ends, with its quotes. */
  idStart = 0;
  idEnd = 0;
  /** Whether it is as it is between its quotes: no character is escaped. */
  isIdPlain = true;
  /** How deep values inside an event may be nested. */
  readonly #depthMax: number;

  /** @param depthMax how deep an event may be nested */
  constructor(depthMax: number) {
    this.#depthMax = Math.min(DEPTH_MAX, depthMax - OUTERMOST);
  }

  /**
   * The position after the event that starts at `start`, or -1 if it is not certain.
   *
   * @param bytes UTF-8, at least as far as the event reaches
   */
  endOf(bytes: Uint8Array, start: number): number {
    if (bytes[start] !== OPENING_BRACE) return NOT_CERTAIN;
    let hasId = false;
    let hasType = false;
    let hasData = false;
    let hasTimestamp = false;
    let at = start;
    do {
      const name = skipSpace(bytes, at + 1);
      const nameEnd = plainStringEnd(bytes, name);
      if (nameEnd === NOT_CERTAIN) return NOT_CERTAIN;
      const colon = skipSpace(bytes, nameEnd);
      if (bytes[colon] !== COLON) return NOT_CERTAIN;
      const value = skipSpace(bytes, colon + 1);
      const escapesBefore = escapes;
      const valueEnd = endOfValue(bytes, value, this.#depthMax);
      if (valueEnd === NOT_CERTAIN) return NOT_CERTAIN;
      // like JSON.parse, take the last of members with the same name
      if (isName(bytes, name, nameEnd, ID)) {
        hasId = isText(bytes, value, valueEnd);
        this.idStart = value;
        this.idEnd = valueEnd;
        this.isIdPlain = escapes === escapesBefore;
      } else if (isName(bytes, name, nameEnd, TYPE)) hasType = isText(bytes, value, valueEnd);
      else if (isName(bytes, name, nameEnd, DATA)) hasData = true;
      else if (isName(bytes, name, nameEnd, TIMESTAMP)) hasTimestamp = true;
      at = skipSpace(bytes, valueEnd);
    } while (bytes[at] === COMMA);
    this.hasTimestamp = hasTimestamp;
    return bytes[at] === CLOSING_BRACE && hasId && hasType && hasData ? at + 1 : NOT_CERTAIN;
  }
}

/**
 * The position after a JSON value that starts at `start`, or -1 if it is not certain.
 *
 * @param bytes UTF-8
 * @param depthMax how deep it may be nested
 */
export function endOfJson(bytes: Uint8Array, start: number, depthMax: number): number {
  return endOfValue(bytes, start, Math.min(DEPTH_MAX, depthMax));
}

function isName(bytes: Uint8Array, start: number, end: number, name: Uint8Array): boolean {
  return end - start === name.length + 2 && isAt(bytes, start + 1, name);
}

/** Whether a value is a string that is not empty. */
function isText(bytes: Uint8Array, start: number, end: number): boolean {
  return bytes[start] === QUOTE && end - start > 2;
}

function isAt(bytes: Uint8Array, at: number, word: Uint8Array): boolean {
  for (let index = 0; index < word.length; index++) if (bytes[at + index] !== word[index]) return false;
  return true;
}

function skipSpace(bytes: Uint8Array, from: number): number {
  let at = from;
  while (bytes[at] === SPACE || bytes[at] === TAB) at++;
  return at;
}

function endOfValue(bytes: Uint8Array, at: number, depthLeft: number): number {
  const first = bytes[at] ?? 0;
  if (first === QUOTE) return endOfString(bytes, at);
  if (first === MINUS || isDigit(first)) return endOfNumber(bytes, at);
  if (first === OPENING_BRACE) return endOfObject(bytes, at, depthLeft);
  if (first === OPENING_BRACKET) return endOfArray(bytes, at, depthLeft);
  for (const word of [TRUE, FALSE, NULL]) if (isAt(bytes, at, word)) return at + word.length;
  return NOT_CERTAIN;
}

function endOfObject(bytes: Uint8Array, start: number, depthLeft: number): number {
  if (depthLeft <= 0) return NOT_CERTAIN;
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === CLOSING_BRACE) return at + 1;
  at = start;
  do {
    const nameEnd = endOfString(bytes, skipSpace(bytes, at + 1));
    if (nameEnd === NOT_CERTAIN) return NOT_CERTAIN;
    const colon = skipSpace(bytes, nameEnd);
    if (bytes[colon] !== COLON) return NOT_CERTAIN;
    const valueEnd = endOfValue(bytes, skipSpace(bytes, colon + 1), depthLeft - 1);
    if (valueEnd === NOT_CERTAIN) return NOT_CERTAIN;
    at = skipSpace(bytes, valueEnd);
  } while (bytes[at] === COMMA);
  return bytes[at] === CLOSING_BRACE ? at + 1 : NOT_CERTAIN;
}

function endOfArray(bytes: Uint8Array, start: number, depthLeft: number): number {
  if (depthLeft <= 0) return NOT_CERTAIN;
  let at = skipSpace(bytes, start + 1);
  if (bytes[at] === CLOSING_BRACKET) return at + 1;
  at = start;
  do {
    const valueEnd = endOfValue(bytes, skipSpace(bytes, at + 1), depthLeft - 1);
    if (valueEnd === NOT_CERTAIN) return NOT_CERTAIN;
    at = skipSpace(bytes, valueEnd);
  } while (bytes[at] === COMMA);
  return bytes[at] === CLOSING_BRACKET ? at + 1 : NOT_CERTAIN;
}

/** The position after a string without escapes. */
function plainStringEnd(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return NOT_CERTAIN;
  const at = endOfPlain(bytes, start + 1);
  return bytes[at] === QUOTE ? at + 1 : NOT_CERTAIN;
}

/** Escapes in all strings so far. */
let escapes = 0;

function endOfString(bytes: Uint8Array, start: number): number {
  if (bytes[start] !== QUOTE) return NOT_CERTAIN;
  let at = endOfPlain(bytes, start + 1);
  while (bytes[at] === BACKSLASH) {
    escapes = (escapes + 1) | 0;
    const escaped = bytes[at + 1] ?? 0;
    if (ESCAPED.has(escaped)) at = endOfPlain(bytes, at + 2);
    else if (escaped === 0x75 && areHex(bytes, at + 2)) at = endOfPlain(bytes, at + 6);
    else return NOT_CERTAIN;
  }
  return bytes[at] === QUOTE ? at + 1 : NOT_CERTAIN;
}

/** The position of the next byte with a meaning of its own in a string: a quote, a backslash, a control character. */
function endOfPlain(bytes: Uint8Array, from: number): number {
  let at = from;
  for (;;) {
    const byte = bytes[at] ?? 0;
    if (byte < SPACE || byte === QUOTE || byte === BACKSLASH) return at;
    at++;
  }
}

function areHex(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < start + 4; at++) {
    const byte = bytes[at] ?? 0;
    const letter = byte | LOWER_CASE;
    if (!isDigit(byte) && (letter < 0x61 || letter > 0x66)) return false;
  }
  return true;
}

function endOfNumber(bytes: Uint8Array, start: number): number {
  const first = bytes[start] === MINUS ? start + 1 : start;
  let at = bytes[first] === ZERO ? first + 1 : endOfDigits(bytes, first);
  if (at !== NOT_CERTAIN && bytes[at] === POINT) at = endOfDigits(bytes, at + 1);
  if (at !== NOT_CERTAIN && ((bytes[at] ?? 0) | LOWER_CASE) === EXPONENT) {
    const sign = bytes[at + 1];
    at = endOfDigits(bytes, sign === PLUS || sign === MINUS ? at + 2 : at + 1);
  }
  return at;
}

/** The position after one digit or more. */
function endOfDigits(bytes: Uint8Array, start: number): number {
  let at = start;
  while (isDigit(bytes[at] ?? 0)) at++;
  return at > start ? at : NOT_CERTAIN;
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= NINE;
}
