import { isUtf8 } from 'node:buffer';
import { wrong } from './attributes.js';

/** ASCII without quotes and escapes: nearly all values. */
const PLAIN = /^[ !#$&-~]*$/;
const QUOTED = /^"((?:[^"\\]|\\.)*)"$/;
const ESCAPES = /(?:%[\dA-Fa-f]{2})+/g;

/**
 * The value of an attribute that was sent as a header (HTTP binding, 3.1.3.2): quotes around it are taken off, then
 * each `%xy` is a byte of UTF-8. A `%` without two digits after it is itself, as the official SDK for JavaScript
 * does not encode it.
 *
 * @param text as `node:http` has it: each byte is a character
 * @throws ForebayError `EVENT_FIELD` with `field` for escapes that are not UTF-8
 */
export function headerValue(name: string, text: string): string {
  if (PLAIN.test(text)) return text;
  const raw = decoded(text);
  const [, quoted] = QUOTED.exec(raw) ?? [];
  const plain = quoted === undefined ? raw : quoted.replaceAll(/\\(.)/g, '$1');
  return plain.replaceAll(ESCAPES, (escapes) => {
    const bytes = Buffer.from(escapes.replaceAll('%', ''), 'hex');
    if (isUtf8(bytes)) return bytes.toString();
    throw wrong(name, `Header ce-${name} has an escape that is not UTF-8: ${escapes.slice(0, 12)}`);
  });
}

/** Senders should encode other characters than ASCII. Those that do not send UTF-8 or, as `node:http` does, Latin-1. */
function decoded(text: string): string {
  const bytes = Buffer.from(text, 'latin1');
  return isUtf8(bytes) ? bytes.toString() : text;
}
