/**
 * Finds where a text stops being JSON. `JSON.parse` decides whether it is JSON, but its message names a position only
 * in some versions of Node.js and for some mistakes. This runs only on refused input, in one pass and without
 * recursion.
 */

const TAB = 0x09;
const LINE_FEED = 0x0a;
const CARRIAGE_RETURN = 0x0d;
const SPACE = 0x20;
const QUOTE = 0x22;
const OPENING_BRACKET = 0x5b;
const BACKSLASH = 0x5c;
const CLOSING_BRACKET = 0x5d;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;

/** A number or a word at `lastIndex` (RFC 8259). Both are short, or end the text. */
const SCALAR = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;

/** What may come next: a value, a key, the colon after a key, or the text after a value. */
type Place = 'value' | 'firstElement' | 'key' | 'firstKey' | 'colon' | 'afterValue';

/**
 * The index of the first token that does not fit, in UTF-16 code units, or the length of the text if it ends too
 * early; `null` if all of it is one JSON value.
 *
 * @param onKey gets each key of each object, as it is in the text, and the number of open brackets around it
 */
export function jsonErrorPosition(
  text: string,
  onKey: (key: string, depth: number) => void = () => undefined,
): number | null {
  const open: ('{' | '[')[] = [];
  let place: Place = 'value';
  for (let index = 0; ;) {
    index = skipSpace(text, index);
    if (index === text.length) return place === 'afterValue' && open.length === 0 ? null : index;
    const end = tokenEnd(text, index);
    if (end === null) return index;
    const first = text[index] ?? '';
    if (first === '"' && (place === 'key' || place === 'firstKey'))
      onKey(text.slice(index, end), open.length);
    const next = follow(place, first, open);
    if (next === null) return index;
    place = next;
    index = end;
  }
}

/** Whether a text, if it is JSON, nests more than `depthMax` levels deep. */
export function isDeeper(text: string, depthMax: number): boolean {
  if (text.length <= depthMax) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) at = stringEnd(text, at) - 1;
    else if (char === OPENING_BRACE || char === OPENING_BRACKET) {
      if (++depth > depthMax) return true;
    } else if (char === CLOSING_BRACE || char === CLOSING_BRACKET) depth--;
  }
  return false;
}

/**
 * The position after a string that starts at `start`, or the end of the text if it has no end. Does not check
 * escapes.
 */
export function stringEnd(text: string, start: number): number {
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at + 1;
    if (char === BACKSLASH) at++;
  }
  return text.length;
}

function skipSpace(text: string, from: number): number {
  for (let at = from; ; at++) {
    const char = text.charCodeAt(at);
    if (char !== SPACE && char !== LINE_FEED && char !== CARRIAGE_RETURN && char !== TAB) return at;
  }
}

/** The position after the token at `start`; `null`: there is none. */
function tokenEnd(text: string, start: number): number | null {
  const first = text[start] ?? '';
  if ('{}[],:'.includes(first)) return start + 1;
  if (first === '"') return checkedStringEnd(text, start);
  SCALAR.lastIndex = start;
  return SCALAR.test(text) ? SCALAR.lastIndex : null;
}

/** The position after a string; `null` if it has no end, a control character or a wrong escape. */
function checkedStringEnd(text: string, start: number): number | null {
  for (let at = start + 1; at < text.length; at++) {
    const char = text.charCodeAt(at);
    if (char === QUOTE) return at + 1;
    if (char < SPACE) return null;
    if (char !== BACKSLASH) continue;
    ESCAPE.lastIndex = at;
    if (!ESCAPE.test(text)) return null;
    at = ESCAPE.lastIndex - 1;
  }
  return null;
}

/**
 * The place after a token that starts with `first`; `null` if the token does not fit. Updates `open`, the open
 * brackets.
 */
function follow(place: Place, first: string, open: ('{' | '[')[]): Place | null {
  switch (first) {
    case '{':
    case '[':
      if (place !== 'value' && place !== 'firstElement') return null;
      open.push(first);
      return first === '{' ? 'firstKey' : 'firstElement';
    case '}':
      if (open.at(-1) !== '{' || (place !== 'firstKey' && place !== 'afterValue')) return null;
      open.pop();
      return 'afterValue';
    case ']':
      if (open.at(-1) !== '[' || (place !== 'firstElement' && place !== 'afterValue')) return null;
      open.pop();
      return 'afterValue';
    case ',':
      if (place !== 'afterValue' || open.length === 0) return null;
      return open.at(-1) === '{' ? 'key' : 'value';
    case ':':
      return place === 'colon' ? 'value' : null;
    default:
      if (place === 'key' || place === 'firstKey') return first === '"' ? 'colon' : null;
      return place === 'value' || place === 'firstElement' ? 'afterValue' : null;
  }
}
