/** What values the types of attributes have (CloudEvents 1.0.2, "Type System"). */

/** Control characters, halves of surrogate pairs and noncharacters: no attribute may hold them. */
const NOT_IN_TEXT = /[\p{Cc}\p{Cs}\p{NChar}]/u;
/** Nearly all texts are of these alone, which is quickly seen. */
const ASCII_TEXT = /^[ -~]*$/;

/** What no URI reference has: another character than RFC 3986 allows, a wrong escape, a second `#`. */
const NOT_IN_URI = /[^\w.~!$&'()*+,;=:@/?#[\]%-]|%(?![\dA-Fa-f]{2})|#[^#]*#/;
/** An IP address in brackets, in the only place for brackets; before it scheme and user. */
const IP_IN_BRACKETS = /^((?:[^:/?#]*:)?\/\/(?:[^/?#@[\]]*@)?)\[[\dA-Fa-fv.:]+\](?=[:/?#]|$)/;
const BRACKET = /[[\]]/;
/** What comes before the first colon, if that is not in a later part. */
const BEFORE_COLON = /^([^:/?#]*):/;
const SCHEME = /^[A-Za-z][A-Za-z\d+.-]*$/;

/** RFC 3339: date, time, and `Z` or an offset. */
const TIME =
  /^(\d{4})-(\d\d)-(\d\d)[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/;
/** The Gregorian calendar repeats after this many years. `Date.UTC` takes the years 0 to 99 for later ones. */
const CYCLE_YEARS = 400;

export function isText(value: unknown): value is string {
  return typeof value === 'string' && (ASCII_TEXT.test(value) || !NOT_IN_TEXT.test(value));
}

/** Whether a value is an integer of 32 bits. */
export function isInteger(value: unknown): boolean {
  return typeof value === 'number' && (value | 0) === value;
}

/** Whether a text follows the syntax of RFC 3986, 4.1. It may be empty. */
export function isUriReference(text: string): boolean {
  if (NOT_IN_URI.test(text) || BRACKET.test(text.replace(IP_IN_BRACKETS, '$1'))) return false;
  const [, scheme] = BEFORE_COLON.exec(text) ?? [];
  return scheme === undefined || SCHEME.test(scheme);
}

/** Whether a text is a URI: a URI reference with a scheme. */
export function isUri(text: string): boolean {
  return BEFORE_COLON.test(text) && isUriReference(text);
}

export function isTime(text: string): boolean {
  const [, year, month, day] = TIME.exec(text) ?? [];
  const days = new Date(Date.UTC(Number(year) + CYCLE_YEARS, Number(month), 0)).getUTCDate();
  return Number(month) >= 1 && Number(month) <= 12 && Number(day) >= 1 && Number(day) <= days;
}

/** Base64 as RFC 4648 has it: its first alphabet, padded, without line breaks. */
export function isBase64(text: string): boolean {
  return text.length % 4 === 0 && /^[A-Za-z\d+/]*={0,2}$/.test(text);
}
