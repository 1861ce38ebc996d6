/** The formats of a body with events. */
export type BodyFormat = 'json' | 'ndjson';

const TOKEN = String.raw`[!#$%&'*+\-.^_\`|~\dA-Za-z]+`;
/** Parameters; each may be missing (RFC 9110, 5.6.6). */
const PARAMETERS = String.raw`(?:[\t ]*;(?:[\t ]*${TOKEN}=(?:${TOKEN}|"(?:[^"\\]|\\.)*"))?)*[\t ]*`;
const MEDIA_TYPE = new RegExp(`^(${TOKEN}/${TOKEN})${PARAMETERS}$`);
const CHARSET = /;[\t ]*charset=(?:"([^"]*)"|([^\t ;]*))/gi;
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json$/i;
const NDJSON_TYPE = /^application\/(?:x-ndjson|ndjson|jsonl|jsonlines)$/i;
/** UTF-8, as senders spell it. ASCII is UTF-8 as well. */
const UTF8 = /^(?:utf-?8|us-ascii)$/i;

/** @param type the `Content-Type`; a charset that it names must be UTF-8 (RFC 8259 knows no other) */
export function bodyFormat(type: string | undefined): BodyFormat | null {
  if (type === 'application/json') return 'json'; // as nearly all clients send it
  const [, essence = ''] = MEDIA_TYPE.exec(type ?? '') ?? [];
  for (const [, quoted, plain = ''] of type?.matchAll(CHARSET) ?? []) {
    if (!UTF8.test(quoted ?? plain)) return null;
  }
  if (JSON_TYPE.test(essence)) return 'json';
  return NDJSON_TYPE.test(essence) ? 'ndjson' : null;
}
