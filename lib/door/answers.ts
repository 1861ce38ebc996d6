import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ForebayError } from '../base/errors.js';
import { errorAnswer } from '../seams/http-answer.js';
import type { HttpAnswer } from '../seams/http-answer.js';

/** An upload that was refused is read on for so long, and so far, before the connection is closed under it. */
export const LINGER_MS = 1000;
const LINGER_BYTES_MAX = 16 * 2 ** 20;
/** An upload this short is read to its end, and the connection stays. */
const READ_ON_BYTES_MAX = 65_536;

/** Sends an answer, unless it is too late. */
export function sendAnswer(res: ServerResponse, answer: HttpAnswer): void {
  if (!isAnswered(res)) res.end(begin(res, answer), 'latin1');
}

/** Answers the request that broke its connection; nothing more is read from it. */
export function answerLast(res: ServerResponse, error: ForebayError): void {
  if (isAnswered(res)) return;
  res.shouldKeepAlive = false;
  sendAnswer(res, errorAnswer(error));
}

/** Whether a request has its answer, as one that broke its connection has from elsewhere; or nobody waits for it. */
export function isAnswered(res: ServerResponse): boolean {
  return res.headersSent || res.writableEnded || res.destroyed;
}

/** Answers a request that was refused, perhaps before its body has arrived. */
export function answerError(
  req: IncomingMessage,
  res: ServerResponse,
  error: ForebayError,
  headers: Readonly<Record<string, string>> = {},
): void {
  answerRefused(req, res, error, errorAnswer(error, headers));
}

/**
 * The same in given words.
 *
 * Where the body has not arrived yet, a client may still be sending. Closing the connection then makes the
 * system answer the rest with a reset, which can take the answer away before the client has read it; so the
 * rest is read and thrown away for a while first ("lingering close").
 */
export function answerRefused(
  req: IncomingMessage,
  res: ServerResponse,
  { code }: ForebayError,
  answer: HttpAnswer,
): void {
  if (isAnswered(res)) return;
  const isLong = waitsForContinue(req) || declaredBytes(req) > READ_ON_BYTES_MAX;
  if (req.complete || (!isLong && code !== 'REQUEST_TIMEOUT')) {
    sendAnswer(res, answer);
    req.resume();
    return;
  }
  res.shouldKeepAlive = false;
  res.write(begin(res, answer), 'latin1');
  linger(req, () => {
    res.end();
  });
}

/** @returns the body, which is still to be written: a string that Node.js puts behind the headers, in one write */
function begin(res: ServerResponse, { status, headers, body }: HttpAnswer): string | Buffer {
  const length = Buffer.byteLength(body);
  // one by one: as an object given to `writeHead` they make the whole answer a quarter slower
  for (const [name, value] of Object.entries(headers)) res.setHeader(name, value);
  res.setHeader('Content-Length', length);
  res.writeHead(status);
  return length === body.length ? body : Buffer.from(body);
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
