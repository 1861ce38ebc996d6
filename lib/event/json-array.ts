import { ForebayError } from '../base/errors.js';

/** An element of a JSON array: its bytes in those of the whole, from `start` to before `end`. */
export interface Element {
  readonly start: number;
  readonly end: number;
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/** Whether JSON is an array, if it is anything. */
export function isArray(json: Buffer): boolean {
  return json[skipSpace(json, 0)] === OPENING_BRACKET;
}

/**
 * Where the elements of a JSON array begin and end. Only brackets, strings and commas are looked
 * at: what stands in an element is for `JSON.parse` to check.
 *
 * @param json UTF-8
 * @throws ForebayError `EVENT_NOT_JSON` with `position`, in UTF-16 code units
 */
export function* arrayElements(json: Buffer): Generator<Element, void, undefined> {
  let at = skipSpace(json, skipSpace(json, 0) + 1);
  if (json[at] === CLOSING_BRACKET) {
    checkEnd(json, at + 1);
    return;
  }
  for (;;) {
    const start = at;
    at = elementEnd(json, start);
    yield { start, end: at };
    if (json[at] === CLOSING_BRACKET) break;
    if (json[at] !== COMMA)
      throw notAnArray(json, at, at < json.length ? 'a comma or ] is missing' : 'it ends too early');
    at = skipSpace(json, at + 1);
  }
  checkEnd(json, at + 1);
}

/** The position of the comma or bracket behind an element, or of the end of the text. */
function elementEnd(json: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const char = json[at];
    if (char === QUOTE) at = stringEnd(json, at) - 1;
    else if (char === OPENING_BRACE || char === OPENING_BRACKET) depth++;
    else if (char === COMMA) {
      if (depth === 0) return at;
    } else if (char === CLOSING_BRACE || char === CLOSING_BRACKET) {
      if (depth-- === 0) return at;
    }
  }
  return json.length;
}

/** The position behind a string that begins at `start`, or of the end where it has none; escapes are not checked. */
function stringEnd(json: Buffer, start: number): number {
  for (let at = start + 1; at < json.length; at++) {
    const char = json[at];
    if (char === QUOTE) return at + 1;
    if (char === BACKSLASH) at++;
  }
  return json.length;
}

function skipSpace(json: Buffer, from: number): number {
  for (let at = from; ; at++) {
    const char = json[at];
    if (char !== SPACE && char !== LINE_FEED && char !== CARRIAGE_RETURN && char !== TAB) return at;
  }
}

function checkEnd(json: Buffer, from: number): void {
  const at = skipSpace(json, from);
  if (at < json.length) throw notAnArray(json, at, 'there is data after it');
}

/** @param at in bytes */
function notAnArray(json: Buffer, at: number, what: string): ForebayError {
  const position = json.toString('utf8', 0, at).length;
  const message = `The array of events is not valid JSON: ${what}, at position ${position}`;
  return new ForebayError('EVENT_NOT_JSON', { position, message });
}
