import { ForebayError } from '../base/errors.js';

/** An element of a JSON array: its bytes in the array's text, from `start` to before `end`. */
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

/** Whether a text is an array, if it is JSON. */
export function isArray(json: Buffer): boolean {
  return json[skipSpace(json, 0)] === OPENING_BRACKET;
}

/**
 * Finds the elements of a JSON array. Looks only at brackets, strings and commas: `JSON.parse` checks each element.
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

/** The position of the comma or bracket after an element, or of the end of the text. */
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

/**
 * The position after a string that starts at `start`, or the end of the text if it has no end. Does not check
 * escapes.
 */
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
