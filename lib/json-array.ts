import { ForebayError } from './errors.js';

/** An element of a JSON array: its text in the text of the whole, from `start` to before `end`. */
export interface Element {
  readonly start: number;
  readonly end: number;
}

const SPACE = new Set([0x20, 0x09, 0x0a, 0x0d]);
const QUOTE = 0x22;
const COMMA = 0x2c;
const BACKSLASH = 0x5c;
const OPENING = new Set([0x5b, 0x7b]);
const CLOSING = new Set([0x5d, 0x7d]);

/** Whether a text of JSON is an array, if it is anything. */
export function isArrayText(text: string): boolean {
  return text.charCodeAt(skipSpace(text, 0)) === 0x5b;
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
    if (char === QUOTE) at = stringEnd(text, at);
    else if (OPENING.has(char)) depth++;
    else if (depth === 0 && (char === COMMA || CLOSING.has(char))) return at;
    else if (CLOSING.has(char)) depth--;
  }
  return text.length;
}

/** The position of the quote that ends a string. */
function stringEnd(text: string, start: number): number {
  for (let at = text.indexOf('"', start + 1); at !== -1; at = text.indexOf('"', at + 1)) {
    let escapes = 0;
    while (text.charCodeAt(at - 1 - escapes) === BACKSLASH) escapes++;
    if (escapes % 2 === 0) return at;
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  let at = from;
  while (SPACE.has(text.charCodeAt(at))) at++;
  return at;
}

function checkEnd(text: string, from: number): void {
  const at = skipSpace(text, from);
  if (at < text.length) throw notAnArray(at, 'something stands behind it');
}

function notAnArray(position: number, what: string): ForebayError {
  const message = `The array of events is not valid JSON: ${what}, at position ${position}`;
  return new ForebayError('EVENT_NOT_JSON', { position, message });
}
