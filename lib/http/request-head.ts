/** What an event may be sent as. */
export type BodyFormat = 'json' | 'ndjson';

const TOKEN = String.raw`[!#$%&'*+\-.^_\`|~\dA-Za-z]+`;
/** Parameters, of which each may be missing (RFC 9110, 5.6.6). */
const PARAMETERS = String.raw`(?:[\t ]*;(?:[\t ]*${TOKEN}=(?:${TOKEN}|"(?:[^"\\]|\\.)*"))?)*[\t ]*`;
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})${PARAMETERS}$`);
const CHARSET = /;[\t ]*charset=(?:"([^"]*)"|([^\t ;]*))/gi;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/i;
const NDJSON_TYPE = /^application\/(?:x-ndjson|ndjson|jsonl|jsonlines)$/i;
/** UTF-8, as senders spell it; what is ASCII is UTF-8 as well. */
const UTF8 = /^(?:utf-?8|us-ascii)$/i;

/** @param type the `Content-Type`, in UTF-8 where it names a charset (RFC 8259 knows no other) */
export function bodyFormat(type: string | undefined): BodyFormat | null {
  const [, essence = ''] = MEDIA_TYPE.exec(type ?? '') ?? [];
  for (const [, quoted, plain = ''] of type?.matchAll(CHARSET) ?? []) {
    if (!UTF8.test(quoted ?? plain)) return null;
  }
  if (JSON_TYPE.test(essence)) return 'json';
  return NDJSON_TYPE.test(essence) ? 'ndjson' : null;
}

/** The head of a request that the fast path understands. */
export interface PlainHead {
  readonly format: BodyFormat;
  /** How long the head is, in bytes, */
  readonly headBytes: number;
  /** and the body behind it. */
  readonly bodyBytes: number;
  /** What it names as the server, */
  readonly host: string;
  /** and as itself. */
  readonly requestId: string | undefined;
}

/** The most header lines of a request. */
export const HEADER_LINES_MAX = 2000;

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
  'origin',
  'sec-fetch-site',
]);
const NOT_TWICE = new Set(['host', 'content-type', 'content-length', 'x-request-id']);
/** Without tabs, which `node:http` does not take here. */
const LENGTH = /^ *\d{1,15} *$/;

/**
 * Reads the head of a request, up to and with its empty line.
 *
 * @returns `null` where it is anything but a plain `POST /events` with a length: then it is for `node:http` to read
 */
export function plainHead(head: string): PlainHead | null {
  if (!PLAIN.test(head)) return null;
  let host: string | undefined;
  let requestId: string | undefined;
  let lines = 0;
  let type: string | undefined;
  let length: string | undefined;
  for (let start = head.indexOf('\n') + 1, end = head.indexOf('\r', start); end > start;) {
    const colon = head.indexOf(':', start);
    const name = head.slice(start, colon).toLowerCase();
    const value = head.slice(colon + 1, end).trim();
    lines++;
    if (name === 'host' && host === undefined) host = value;
    else if (name === 'content-type' && type === undefined) type = value;
    else if (name === 'content-length' && length === undefined) length = head.slice(colon + 1, end);
    else if (name === 'x-request-id' && requestId === undefined) requestId = value;
    else if (NOT_TWICE.has(name)) return null;
    else if (NOT_PLAIN.has(name) && !(name === 'connection' && /^keep-alive$/i.test(value))) return null;
    start = end + 2;
    end = head.indexOf('\r', start);
  }
  const format = bodyFormat(type);
  if (host === undefined || format === null || length === undefined || !LENGTH.test(length)) return null;
  if (lines > HEADER_LINES_MAX) return null;
  return { format, headBytes: head.length, bodyBytes: Number(length), host, requestId };
}
