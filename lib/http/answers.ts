import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ForebayError } from '../errors.js';
import type { EventLines } from './event-lines.js';

/** A string: Node.js puts it behind the headers, and the answer is one write. Half of what two writes cost. */
const ACCEPTED = '{"status":"accepted"}\n';
/** What an answer in JSON is, for browsers too: nothing to keep, and nothing to guess. */
export const JSON_HEADERS = {
  'Content-Type': 'application/json',
  'Cache-Control': 'no-store',
  'X-Content-Type-Options': 'nosniff',
};
const ACCEPTED_HEADERS = [...Object.entries(JSON_HEADERS).flat(), 'Content-Length', String(ACCEPTED.length)];

/** An upload that was refused is read on for so long, and so far, before the connection is closed under it. */
export const LINGER_MS = 1000;
const LINGER_BYTES_MAX = 16 * 2 ** 20;
/** An upload this short is read to its end, and the connection stays. */
const READ_ON_BYTES_MAX = 65_536;

/** @param count how many events a request for many brought; `null`: a request for one */
export function answerAccepted(res: ServerResponse, count: number | null): void {
  if (isAnswered(res)) return;
  if (count !== null) {
    answerJson(res, 202, { status: 'accepted', count });
    return;
  }
  res.writeHead(202, ACCEPTED_HEADERS);
  res.end(ACCEPTED, 'latin1');
}

/** Every event that is not among the refused ones is on disk; of these the first are listed. */
export function answerLenient(res: ServerResponse, events: EventLines): void {
  const { lines, refused, refusedEvents } = events;
  const count = lines.length;
  const [status, word] = count > 0 || refusedEvents === 0 ? [202, 'accepted'] : [400, 'refused'];
  const more = refusedEvents - refused.length;
  const body = { status: word, count, refused, ...(more > 0 && { refusedMore: more }) };
  answerJson(res, status, body, { 'Preference-Applied': 'handling=lenient' });
}

/** Answers the request that broke its connection; nothing more is read from it. */
export function answerLast(res: ServerResponse, error: ForebayError): void {
  if (isAnswered(res)) return;
  const { code, message } = error;
  res.end(head(res, error.status ?? 500, { error: message, code }, {}, true));
}

export function answerJson(
  res: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (!isAnswered(res)) res.end(head(res, status, body, headers, false));
}

/** Answers with a text or a file, unless it is too late. */
export function answerBytes(
  res: ServerResponse,
  status: number,
  body: string | Buffer,
  headers: Readonly<Record<string, string>>,
): void {
  if (isAnswered(res)) return;
  res.writeHead(status, { ...headers, 'Content-Length': Buffer.byteLength(body) });
  res.end(body);
}

/** Whether a request has its answer, as one that broke its connection has from elsewhere; or nobody waits for it. */
export function isAnswered(res: ServerResponse): boolean {
  return res.headersSent || res.writableEnded || res.destroyed;
}

/**
 * Answers with an error: `{"error": …, "code": …}` with `field` and `position` where there are any.
 *
 * Where the body has not arrived yet, a client may still be sending. Closing the connection then makes the
 * system answer the rest with a reset, which can take the answer away before the client has read it; so the
 * rest is read and thrown away for a while first ("lingering close").
 */
export function answerError(
  req: IncomingMessage,
  res: ServerResponse,
  error: ForebayError,
  headers: Readonly<Record<string, string>> = {},
): void {
  if (isAnswered(res)) return;
  const body = errorBody(error);
  const all = { ...headers, ...retryAfter(error) };
  const isLong = waitsForContinue(req) || declaredBytes(req) > READ_ON_BYTES_MAX;
  const close = !req.complete && (isLong || error.code === 'REQUEST_TIMEOUT');
  const bytes = head(res, error.status ?? 500, body, all, close);
  if (!close) {
    res.end(bytes);
    req.resume();
    return;
  }
  res.write(bytes);
  linger(req, () => {
    res.end();
  });
}

/** What the answer to an error says. */
export function errorBody({ code, message, field, position, line, index }: ForebayError): object {
  // The answer to a full queue is fixed: its clients know it in this form.
  if (code === 'QUEUE_FULL' || code === 'CONNECTIONS_MAX') return { error: message };
  return { error: message, code, line, index, field, position };
}

function linger(req: IncomingMessage, done: () => void): void {
  let bytes = 0;
  const end = (): void => {
    clearTimeout(timer);
    done();
  };
  const timer = setTimeout(end, LINGER_MS);
  req.on('data', (chunk: Buffer) => {
    bytes += chunk.length;
    if (bytes > LINGER_BYTES_MAX) end();
  });
  req.once('end', end);
  req.once('close', end);
  req.resume(); // a decoder may have left it paused
}

function waitsForContinue({ headers }: IncomingMessage): boolean {
  return headers.expect !== undefined;
}

/** How long the body is, in bytes, as far as its headers tell. */
function declaredBytes({ headers }: IncomingMessage): number {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
}

/** `Retry-After` is in whole seconds (RFC 9110, 10.2.3); 0 would call clients back at once. */
export function retryAfter({ retryAfterMs }: ForebayError): Record<string, string> {
  if (retryAfterMs === undefined) return {};
  return { 'Retry-After': String(Math.max(1, Math.ceil(retryAfterMs / 1000))) };
}

function head(
  res: ServerResponse,
  status: number,
  body: object,
  headers: Readonly<Record<string, string>>,
  close: boolean,
): Buffer {
  const bytes = Buffer.from(`${JSON.stringify(body)}\n`);
  if (close) res.shouldKeepAlive = false;
  res.writeHead(status, { ...headers, ...JSON_HEADERS, 'Content-Length': bytes.length });
  return bytes;
}
