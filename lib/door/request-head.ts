import type { IncomingMessage } from 'node:http';
import type { RequestHead } from '../seams/source.js';

/** At most this many header lines in a request. */
export const HEADER_LINES_MAX = 2000;

const METHOD = 'POST ';
/** A name that is a token, and a value of printable characters. */
const LINE = String.raw`[!#$%&'*+\-.^_\`|~\dA-Za-z]+:[\t\x20-\x7e]*\r\n`;
/**
 * A `POST` in the strictest form of RFC 9112: a path without a query, and lines that end with CRLF. Text that two
 * parsers could read in two ways does not match, so it is never read here.
 */
const PLAIN = new RegExp(
  String.raw`^POST \/[!-"$->@-~]* HTTP\/1\.1\r\n(?:${LINE}){1,${HEADER_LINES_MAX}}\r\n$`,
);
/** Headers that change how a request is framed, read or answered. */
const NOT_PLAIN =
  'transfer-encoding content-encoding connection proxy-connection expect upgrade prefer trailer origin sec-fetch-site';
/**
 * Headers of which `node:http` keeps the first, or that it joins by something other than a comma; and `traceparent`, which
 * each head is asked for.
 */
const SINGLE =
  'host content-type content-length x-request-id authorization proxy-authorization cookie set-cookie user-agent referer ' +
  'from age etag expires if-modified-since if-unmodified-since last-modified location max-forwards retry-after server ' +
  'traceparent';
/** Index of the value of a header that may occur once; -1: the request is not plain. */
const PLACES = new Map<string, number>([
  ...NOT_PLAIN.split(' ').map((name): [string, number] => [name, -1]),
  ...SINGLE.split(' ').map((name, index): [string, number] => [name, index]),
]);
/** A line with one of these headers. Searching for them is ten times as fast as taking each line apart. */
const PLACED = linesOf([...PLACES.keys()].join('|'));
/** Without tabs, which `node:http` does not take here. */
const LENGTH = /^ *\d{1,15} *$/;
/** By name: sources ask for the same few, and to build one takes ten times as long as to search with it. */
const asked = new Map<string, RegExp>();
const LENGTH_PLACE = PLACES.get('content-length');
const NONE: ReadonlyMap<string, string> = new Map();

/** The head of a request that the fast path understands. */
export class PlainHead implements RequestHead {
  readonly text: string;
  readonly target: string;
  /** Length of the body that follows. */
  readonly bodyBytes: number;
  /** Values by their index. */
  readonly #single: readonly (string | undefined)[];

  constructor(text: string, single: readonly (string | undefined)[]) {
    this.text = text;
    this.target = text.slice(METHOD.length, text.indexOf(' ', METHOD.length));
    this.#single = single;
    this.bodyBytes = Number(this.header('content-length'));
  }

  header(name: string): string | undefined {
    const place = PLACES.get(name);
    if (place !== undefined) return this.#single[place];
    // parsed again: keeping each header of a connection takes up to ten times the memory of its head
    return this.#joined(escaped(name)).get(name);
  }

  headersWith(prefix: string): ReadonlyMap<string, string> {
    if (!this.text.toLowerCase().includes(`\n${prefix}`)) return NONE; // as of nearly all requests
    return this.#joined(`${escaped(prefix)}[^:\\r]*`);
  }

  /** @param names a pattern; none of the headers in `PLACES` */
  #joined(names: string): ReadonlyMap<string, string> {
    let lines = asked.get(names);
    if (lines === undefined) asked.set(names, (lines = linesOf(names)));
    const values = new Map<string, string>();
    lines.lastIndex = 0;
    for (let line = lines.exec(this.text); line !== null; line = lines.exec(this.text)) {
      const [, name = '', text = ''] = line;
      const before = values.get(name.toLowerCase());
      values.set(name.toLowerCase(), before === undefined ? text.trim() : `${before}, ${text.trim()}`);
    }
    return values;
  }
}

function escaped(name: string): string {
  return name.replace(/[^a-z\d]/g, '\\$&');
}

/** The head of a request that `node:http` has read. @param isOfPage see `RequestHead` */
export function headOf(req: IncomingMessage, isOfPage: boolean = false): RequestHead {
  const { url = '', headers } = req;
  return {
    target: url,
    isOfPage,
    // Node.js keeps the first of two, and a proxy may have checked the other: together they are malformed
    header: (name) =>
      name === 'authorization' ? req.headersDistinct[name]?.join(', ') : headers[name]?.toString(),
    headersWith: (prefix) => {
      const named = Object.entries(headers).filter(([name]) => name.startsWith(prefix));
      return new Map(named.map(([name, value = '']) => [name, value.toString()]));
    },
  };
}

export function codingOf({ headers: { 'content-encoding': coding = 'identity' } }: IncomingMessage): string {
  return coding.trim().toLowerCase();
}

function linesOf(names: string): RegExp {
  return new RegExp(String.raw`\n(${names}):([^\r]*)`, 'gi');
}

/**
 * Reads the head of a request, with its empty line.
 *
 * @returns `null` unless it is a plain `POST` with a length: `node:http` must read it
 */
export function plainHead(head: string): PlainHead | null {
  if (!PLAIN.test(head)) return null;
  const single: (string | undefined)[] = [];
  PLACED.lastIndex = 0;
  for (let line = PLACED.exec(head); line !== null; line = PLACED.exec(head)) {
    const [, name = '', text = ''] = line;
    const value = text.trim();
    const lowerCase = name.toLowerCase();
    const place = PLACES.get(lowerCase) ?? -1;
    if (place === -1) {
      if (lowerCase === 'connection' && /^keep-alive$/i.test(value)) continue;
      return null;
    }
    if (single[place] !== undefined) return null;
    if (place === LENGTH_PLACE && !LENGTH.test(text)) return null;
    single[place] = value;
  }
  const plain = new PlainHead(head, single);
  return plain.header('host') !== undefined && !Number.isNaN(plain.bodyBytes) ? plain : null;
}
