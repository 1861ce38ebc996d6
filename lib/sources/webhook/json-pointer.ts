import { stringEnd } from '../../base/json-position.js';

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

/** The tokens of a JSON pointer (RFC 6901); `null` if it is none. */
export function pointerTokens(pointer: string): readonly string[] | null {
  if (!pointer.startsWith('/') || /~(?![01])/.test(pointer)) return null;
  const [, ...tokens] = pointer.split('/');
  return tokens.map((token) => token.replaceAll('~1', '/').replaceAll('~0', '~'));
}

/**
 * The text of the value that a pointer leads to, or `undefined`. `JSON.parse` would round long numbers, and two ids
 * could become one.
 *
 * @param json a JSON text
 */
export function valueAt(json: string, tokens: readonly string[]): string | undefined {
  let at: number | undefined = skipSpace(json, 0);
  for (const token of tokens) {
    at = json[at] === '{' ? memberAt(json, at, token) : elementAt(json, at, token);
    if (at === undefined) return undefined;
  }
  return json.slice(at, valueEnd(json, at));
}

/** Where the value of a member starts: of the last one with this name, like `JSON.parse`. */
function memberAt(json: string, object: number, name: string): number | undefined {
  let found: number | undefined;
  let at = skipSpace(json, object + 1);
  while (json[at] === '"') {
    const keyEnd = stringEnd(json, at);
    const value = skipSpace(json, skipSpace(json, keyEnd) + 1);
    if (JSON.parse(json.slice(at, keyEnd)) === name) found = value;
    at = nextAt(json, value);
  }
  return found;
}

/** Where an element of an array starts. */
function elementAt(json: string, array: number, token: string): number | undefined {
  if (json[array] !== '[' || !/^(?:0|[1-9]\d*)$/.test(token)) return undefined;
  let at = skipSpace(json, array + 1);
  for (let left = Number(token); left > 0 && json[at] !== ']' && at < json.length; left--)
    at = nextAt(json, at);
  return json[at] === ']' || at >= json.length ? undefined : at;
}

/** Where the next member or element starts after a value, or the end of them all. */
function nextAt(json: string, value: number): number {
  const at = skipSpace(json, valueEnd(json, value));
  return json[at] === ',' ? skipSpace(json, at + 1) : at;
}

function valueEnd(json: string, start: number): number {
  let depth = 0;
  for (let at = start; at < json.length; at++) {
    const char = json.charCodeAt(at);
    if (char === QUOTE) at = stringEnd(json, at) - 1;
    else if (char === OPENING_BRACE || char === OPENING_BRACKET) depth++;
    else if (char === CLOSING_BRACE || char === CLOSING_BRACKET) {
      if (depth === 0) return at; // of the object or array around a number or word
      depth--;
    } else if (depth > 0 || (char !== COMMA && !isSpace(char))) continue;
    else return at;
    if (depth === 0) return at + 1;
  }
  return json.length;
}

function skipSpace(json: string, from: number): number {
  let at = from;
  while (isSpace(json.charCodeAt(at))) at++;
  return at;
}

function isSpace(char: number): boolean {
  return char === SPACE || char === LINE_FEED || char === CARRIAGE_RETURN || char === TAB;
}
