import { asError } from '../../base/errors.js';
import { CheckError } from '../../settings/checks.js';

const HEADER = /^[!#$%&'*+\-.^_`|~\dA-Za-z]+:[\t\x20-\x7e]*$/;

/** Headers that the connection, the body or the batch decides: another value would break each request, or cannot be sent. */
const OWN_HEADERS = new Set(
  'connection content-length expect http2-settings idempotency-key keep-alive proxy-connection te trailer transfer-encoding upgrade'.split(
    ' ',
  ),
);

/** HTTP headers, one or several, one `Name: value` on each line. The text is never shown: it may be a secret. */
export function headerLines(given: unknown): Readonly<Record<string, string>> {
  const lines = [given].flat().flatMap((each) => {
    if (typeof each !== 'string') throw new CheckError('must be "Name: value", or a list of these', true);
    return each.split(/\r?\n/);
  });
  const headers: Record<string, string> = {};
  for (const line of lines.filter((each) => each.trim() !== '')) {
    if (!HEADER.test(line)) throw new CheckError('must be "Name: value"', true);
    const colon = line.indexOf(':');
    const name = line.slice(0, colon);
    if (OWN_HEADERS.has(name.toLowerCase()))
      throw new CheckError(`may not be ${name}: Forebay sets it itself or leaves it out`, true);
    headers[name] = line.slice(colon + 1).trim();
  }
  return headers;
}

/** The same of the text of a file; the error continues after the name of the file. */
export function headersIn(lines: string): Readonly<Record<string, string>> {
  try {
    return headerLines(lines);
  } catch (error) {
    throw new Error(`a line of it ${asError(error).message}`, { cause: error });
  }
}
