/** One JSON token at the position of `lastIndex` (RFC 8259, which forbids control characters in strings). */
const TOKEN =
  // oxlint-disable-next-line no-control-regex
  /[{}[\],:]|"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"|-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?|true|false|null/y;
const SPACE = /[ \t\n\r]*/y;

/** What may come next: a value, a key, the colon after a key, or what follows a value. */
type Place = 'value' | 'firstElement' | 'key' | 'firstKey' | 'colon' | 'afterValue';

/**
 * Where `text` stops being JSON: the index of the first token that does not fit, in UTF-16 code units, or the
 * length of the text where it ends too early. `null` if all of it is one JSON value.
 *
 * `JSON.parse` decides whether a text is JSON; its message names a position in some versions of Node.js and
 * for some mistakes only. This runs on refused input alone.
 */
export function jsonErrorPosition(text: string): number | null {
  const open: ('{' | '[')[] = [];
  let place: Place = 'value';
  let index = 0;
  for (;;) {
    SPACE.lastIndex = index;
    SPACE.exec(text);
    index = SPACE.lastIndex;
    if (index === text.length) return place === 'afterValue' && open.length === 0 ? null : index;
    TOKEN.lastIndex = index;
    const token = TOKEN.exec(text)?.[0];
    const next: Place | null = token === undefined ? null : follow(place, token, open);
    if (next === null) return index;
    place = next;
    index = TOKEN.lastIndex;
  }
}

/** The place after `token`, or `null` where it does not fit; keeps `open`, the brackets not yet closed. */
function follow(place: Place, token: string, open: ('{' | '[')[]): Place | null {
  switch (token) {
    case '{':
    case '[':
      if (place !== 'value' && place !== 'firstElement') return null;
      open.push(token);
      return token === '{' ? 'firstKey' : 'firstElement';
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
      if (place === 'key' || place === 'firstKey') return token.startsWith('"') ? 'colon' : null;
      return place === 'value' || place === 'firstElement' ? 'afterValue' : null;
  }
}
