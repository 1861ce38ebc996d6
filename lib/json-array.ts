import { ForebayError } from './errors.js';
import { stringEnd } from './json-position.js';

/** An element of a JSON array: its text in the text of the whole, from `start` to before `end`. */
export interface Element {
  readonly start: number;
  readonly end: number;
}

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const COMMA = 0x2c;
const OPENING_BRACKET = 0x5b;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/** Whether a text of JSON is an array, if it is anything. */
export function isArrayText(text: string): boolean {
  return text.charCodeAt(skipSpace(text, 0)) === OPENING_BRACKET;
}

/**
 * Where the elements of a JSON array begin and end, in UTF-16 code units. Only brackets, strings and commas are looked
 * at: what stands in an element is for `JSON.parse` to check.
 *
 * @throws ForebayError `EVENT_NOT_JSON` with `position`
 */
export function* arrayElements(text: string): Generator<Element, void, undefined> {
  let at = skipSpace(text, skipSpace(text, 0) + 1);
  if (text[at] === ']') {
    checkEnd(text, at + 1);
    return;
  }
  for (;;) {
    const start = at;
    at = elementEnd(text, start);
    yield { start, end: at };
    if (text[at] === ']') break;
    if (text.charCodeAt(at) !== COMMA)
      throw notAnArray(at, at < text.length ? 'a comma or ] is missing' : 'it ends too early');
    at = skipSpace(text, at + 1);
  }
  checkEnd(text, at + 1);
}

/** The position of the comma or bracket behind an element, or of the end of the text. */
function elementEnd(text: string, start: number): number {
  let depth = 0;
  for (let at = start; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = stringEnd(text, at) - 1;
    else if (char === OPENING_BRACE || char === OPENING_BRACKET) depth++;
    else if (char === COMMA) {
      if (depth === 0) return at;
    } else if (char === CLOSING_BRACE || char === CLOSING_BRACKET) {
      if (depth-- === 0) return at;
    }
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  for (let at = from; ; at++) {
    const char = text.charCodeAt(at);
    if (char !== SPACE && char !== LINE_FEED && char !== CARRIAGE_RETURN && char !== TAB) return at;
  }
}

function checkEnd(text: string, from: number): void {
  const at = skipSpace(text, from);
  if (at < text.length) throw notAnArray(at, 'something stands behind it');
}

function notAnArray(position: number, what: string): ForebayError {
  const message = `The array of events is not valid JSON: ${what}, at position ${position}`;
  return new ForebayError('EVENT_NOT_JSON', { position, message });
}
