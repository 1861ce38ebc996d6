import { StringDecoder } from 'node:string_decoder';

/** What the start of an event shows; '' for a part that does not start in it. */
export interface ReadHead {
  readonly id: string;
  readonly type: string;
  /** As it was sent, as far as it goes. */
  readonly data: string;
}

const SPACE = /[ \t]*/y;
/** A string with its whole characters and escapes, as far as they go: inside of quotes it is always JSON. */
const TEXT = /"((?:[ !#-[\]-\uffff]|\\(?:["\\/bfnrt]|u[\dA-Fa-f]{4}))*)"?/y;
/** A number or a word. */
const WORD = /[^\s,\]}]+/y;

/** Reads the start of a line of the log. The line is an event; it may be cut off anywhere. */
export function readHead(line: Buffer): ReadHead {
  const text = new StringDecoder('utf8').write(line); // without half a character at the end
  const found = { id: '', type: '', data: '' };
  let at = 0; // the opening brace, later a comma
  do {
    const name = endOf(SPACE, text, at + 1);
    const nameEnd = endOf(TEXT, text, name);
    const colon = endOf(SPACE, text, nameEnd);
    const value = endOf(SPACE, text, colon + 1);
    const end = endOfValue(text, value);
    const member = meant(text, name);
    if (member === 'data') found.data = text.slice(value, end);
    else if (member === 'id' || member === 'type') found[member] = meant(text, value);
    at = endOf(SPACE, text, end);
  } while (text[at] === ',');
  return found;
}

function endOfValue(text: string, start: number): number {
  if (text[start] === '"') return endOf(TEXT, text, start);
  if (text[start] !== '{' && text[start] !== '[') return endOf(WORD, text, start);
  let depth = 0;
  let at = start;
  do {
    const character = text[at] ?? ' ';
    if ('{['.includes(character)) depth++;
    if ('}]'.includes(character)) depth--;
    at = character === '"' ? endOf(TEXT, text, at) : at + 1;
  } while (depth > 0 && at < text.length);
  return at;
}

/** Where a token ends; where it should start if it is not there. */
function endOf(token: RegExp, text: string, start: number): number {
  token.lastIndex = start;
  return token.test(text) ? token.lastIndex : start;
}

/** What a string means, as far as it goes; '' if none is there. */
function meant(text: string, start: number): string {
  TEXT.lastIndex = start;
  return JSON.parse(`"${TEXT.exec(text)?.[1] ?? ''}"`) as string;
}
