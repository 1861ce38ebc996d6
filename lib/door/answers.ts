import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ForebayError } from '../base/errors.js';
import { errorAnswer } from '../seams/http-answer.js';
import type { HttpAnswer } from '../seams/http-answer.js';

/** The rest of a refused upload is read for at most this long and this far. Then the connection is closed. */
export const LINGER_MS = 1000;
const LINGER_BYTES_MAX = 16 * 2 ** 20;
/** A shorter upload is read to its end, and its connection stays open. */
const READ_ON_BYTES_MAX = 65_536;

/** Sends an answer, unless the request has one or its client has gone. */
export function sendAnswer(res: ServerResponse, answer: HttpAnswer): void {
  if (!isAnswered(res)) res.end(begin(res, answer), 'latin1');
}

/** Answers a request that broke its connection. Nothing more is read from it. */
export function answerLast(res: ServerResponse, error: ForebayError): void {
  if (isAnswered(res)) return;
  res.shouldKeepAlive = false;
  sendAnswer(res, errorAnswer(error));
}

/** Whether a request has an answer, or no client waits for one. */
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
 * Answers a refused request with a given answer.
 *
 * If the body has not arrived yet, the client may still be sending. Closing the connection now makes the system
 * answer the rest with a reset, and the client may lose the answer before it reads it. So the rest is read and thrown
 * away for a while first ("lingering close").
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

/** @returns the body, still to be written: Node.js sends a string together with the headers, in one write */
function begin(res: ServerResponse, { status, headers, body }: HttpAnswer): string | Buffer {
  const length = Buffer.byteLength(body);
  // one by one: passing them to `writeHead` as an object makes the whole answer a quarter slower
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

/** The length of the body in bytes, as its headers declare it. */
function declaredBytes({ headers }: IncomingMessage): number {
  return headers['transfer-encoding'] === undefined ? Number(headers['content-length'] ?? 0) : Infinity;
}
