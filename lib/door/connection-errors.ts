import type { Server } from 'node:http';
import type { Duplex } from 'node:stream';
import { ForebayError, systemCode } from '../base/errors.js';
import { errorAnswer } from '../seams/http-answer.js';
import { answerLast, LINGER_MS } from './answers.js';
import type { Exchange, Exchanges } from './exchanges.js';
import { rawAnswer } from './raw-answer.js';
import type { RequestCounts } from './request-counts.js';

/**
 * Answers requests that Node's parser refuses or that take too long, in the same form as all other errors.
 *
 * Earlier requests on the same connection may be accepted and not yet answered. Each gets its own answer first: a
 * `400` in its place would tell its client that an accepted event was refused.
 */
export function answerConnectionErrors(server: Server, exchanges: Exchanges, counts: RequestCounts): void {
  const broken = new WeakSet<Duplex>();
  server.on('clientError', (error, socket) => {
    if (broken.has(socket)) return;
    broken.add(socket);
    if (systemCode(error) === 'ECONNRESET' || !socket.writable) socket.destroy();
    else answer(exchanges, error, socket, counts);
  });
}

function answer(exchanges: Exchanges, cause: Error, socket: Duplex, counts: RequestCounts): void {
  socket.pause();
  exchanges.end(socket);
  const error = named(cause);
  const last = exchanges.of(socket).at(-1);
  if (last === undefined) {
    endWith(error, socket, counts);
  } else if (last.req.complete) {
    endBehind(last, error, socket, counts);
  } else if (!last.res.headersSent) {
    counts.stray(error.code);
    answerLast(last.res, error);
  } else if (last.res.destroyed) {
    socket.destroy(); // refused before, and its body never came
  } else {
    last.res.once('close', () => socket.destroy());
  }
}

/** Answers, reads on for a while like `answerError`, and then closes the connection whatever the client does. */
export function endWith(error: ForebayError, socket: Duplex, counts: RequestCounts): void {
  if (!socket.writable) return;
  counts.count('other', error.status ?? 400);
  counts.stray(error.code);
  socket.end(rawAnswer(errorAnswer(error), null), 'latin1');
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER_MS);
  socket.once('close', () => {
    clearTimeout(timer);
  });
}

/** The same, after the answer to a request that is whole. */
export function endBehind(
  { res }: Exchange,
  error: ForebayError,
  socket: Duplex,
  counts: RequestCounts,
): void {
  const end = (): void => {
    if (res.shouldKeepAlive) endWith(error, socket, counts); // otherwise that answer was the last one
  };
  // before Node.js closes the connection of a client that has closed its side
  if (res.writableFinished) end();
  else res.prependOnceListener('finish', end);
}

function named(cause: Error): ForebayError {
  switch (systemCode(cause)) {
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return new ForebayError('REQUEST_TIMEOUT', { cause });
    case 'HPE_HEADER_OVERFLOW':
      return new ForebayError('HEADERS_TOO_LARGE', { cause });
    default:
      return new ForebayError('BAD_REQUEST', {
        message: `The request is not valid HTTP: ${cause.message}`,
        cause,
      });
  }
}
