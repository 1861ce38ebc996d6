/** The formats of a body with events. */
export type BodyFormat = 'json' | 'ndjson';

const TOKEN = String.raw`[!#$%&'*+\-.^_\`|~\dA-Za-z]+`;
/** Parameters; each may be missing (RFC 9110, 5.6.6). */
const PARAMETERS = String.raw`(?:[\t ]*;(?:[\t ]*${TOKEN}=(?:${TOKEN}|"(?:[^"\\]|\\.)*"))?)*[\t ]*`;
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})${PARAMETERS}$`);
const CHARSET = /;[\t ]*charset=(?:"([^"]*)"|([^\t ;]*))/gi;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/;
const NDJSON_TYPE = /^application\/(?:x-ndjson|ndjson|jsonl|jsonlines)$/;
/** UTF-8, as senders spell it. ASCII is UTF-8 as well. */
const UTF8 = /^(?:utf-?8|us-ascii)$/i;

/** A media type, as a `Content-Type` has it. */
export interface MediaType {
  /** Type and subtype, in lower case. */
  readonly essence: string;
  /** Whether it names no charset but UTF-8. */
  readonly isUtf8: boolean;
}

/** @returns `null` if the text is no media type */
export function mediaType(text: string): MediaType | null {
  const [, essence] = MEDIA_TYPE.exec(text) ?? [];
  if (essence === undefined) return null;
  const charsets = [...text.matchAll(CHARSET)];
  const isUtf8 = charsets.every(([, quoted, plain = '']) => UTF8.test(quoted ?? plain));
  return { essence: essence.toLowerCase(), isUtf8 };
}

/**
 * @param type the `Content-Type`; a charset that it names must be UTF-8 (RFC 8259 knows no other)
 * @param isOfPage whether text is JSON: a page sends it by `sendBeacon`, and any page can, unasked
 */
export function bodyFormat(type: string | undefined, isOfPage: boolean = false): BodyFormat | null {
  if (type === 'application/json') return 'json'; // as nearly all clients send it
  const { essence = '', isUtf8 = false } = mediaType(type ?? '') ?? {};
  if (!isUtf8) return null;
  if (JSON_TYPE.test(essence) || (isOfPage && essence === 'text/plain')) return 'json';
  return NDJSON_TYPE.test(essence) ? 'ndjson' : null;
}
