/** What an event may be sent as: `null` where it is neither. In UTF-8 where a charset is named (RFC 8259 knows no other). */
export type BodyFormat = 'json' | 'ndjson';

const CHARSET = String.raw`\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$`;
const JSON_TYPE = new RegExp(String.raw`^application/(?:[\w.-]+\+)?json${CHARSET}`, 'i');
const NDJSON_TYPE = new RegExp(`^application/(?:x-ndjson|ndjson|jsonl|jsonlines)${CHARSET}`, 'i');

/** @param type the `Content-Type`; JSON where there is none */
export function bodyFormat(type: string | undefined): BodyFormat | null {
  if (type === undefined || JSON_TYPE.test(type)) return 'json';
  return NDJSON_TYPE.test(type) ? 'ndjson' : null;
}

/** The head of a request that the fast path understands. */
export interface PlainHead {
  readonly format: BodyFormat;
  /** How long the head is, in bytes, */
  readonly headBytes: number;
  /** and the body behind it. */
  readonly bodyBytes: number;
}

/**
 * `POST /events` in the strictest form of RFC 9112: names that are tokens, values of printable characters, CRLF. What
 * two parsers could read in two ways does not match, so it is never read here.
 */
const PLAIN = /^POST \/events HTTP\/1\.1\r\n(?:[!#$%&'*+\-.^_`|~\dA-Za-z]+:[\t\x20-\x7e]*\r\n)+\r\n$/;
/** Headers that change how a request is framed, read or answered: all that are not the simplest case. */
const NOT_PLAIN = new Set([
  'transfer-encoding',
  'content-encoding',
  'connection',
  'proxy-connection',
  'expect',
  'upgrade',
  'prefer',
  'trailer',
]);
const DIGITS = /^\d{1,15}$/;

/**
 * Reads the head of a request, up to and with its empty line.
 *
 * @returns `null` where it is anything but a plain `POST /events` with a length: then it is for `node:http` to read
 */
export function plainHead(head: string): PlainHead | null {
  if (!PLAIN.test(head)) return null;
  let hosts = 0;
  let type: string | undefined;
  let length: string | undefined;
  for (let start = head.indexOf('\n') + 1, end = head.indexOf('\r', start); end > start;) {
    const colon = head.indexOf(':', start);
    const name = head.slice(start, colon).toLowerCase();
    const value = head.slice(colon + 1, end).trim();
    if (name === 'host') hosts++;
    else if (name === 'content-type' && type === undefined) type = value;
    else if (name === 'content-length' && length === undefined) length = value;
    else if (name === 'content-type' || name === 'content-length') return null;
    else if (NOT_PLAIN.has(name) && !(name === 'connection' && /^keep-alive$/i.test(value))) return null;
    start = end + 2;
    end = head.indexOf('\r', start);
  }
  const format = bodyFormat(type);
  if (hosts !== 1 || format === null || length === undefined || !DIGITS.test(length)) return null;
  return { format, headBytes: head.length, bodyBytes: Number(length) };
}
