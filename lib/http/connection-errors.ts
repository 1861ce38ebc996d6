import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { ForebayError, systemCode } from '../errors.js';
import { answerLast } from './answers.js';

/** The requests of each connection that are not answered yet. */
type Open = WeakMap<Duplex, Set<{ readonly req: IncomingMessage; readonly res: ServerResponse }>>;

/**
 * Answers what Node's parser refuses, and requests that take too long, in the same words as all other errors.
 *
 * Requests may stand before the broken one on the same connection, accepted and not yet answered. Each gets its
 * own answer first: a `400` in its place would tell its client that an accepted event was refused.
 */
export function answerConnectionErrors(server: Server): void {
  const open: Open = new WeakMap();
  for (const event of ['request', 'checkContinue', 'checkExpectation'] as const) {
    server.on(event, (req, res) => {
      track(open, req, res);
    });
  }
  server.on('clientError', (error, socket) => {
    answer(open, error, socket);
  });
}

function track(open: Open, req: IncomingMessage, res: ServerResponse): void {
  let exchanges = open.get(req.socket);
  if (exchanges === undefined) {
    exchanges = new Set();
    open.set(req.socket, exchanges);
  }
  const exchange = { req, res };
  exchanges.add(exchange);
  res.once('close', () => exchanges.delete(exchange));
}

function answer(open: Open, cause: Error, socket: Duplex): void {
  if (systemCode(cause) === 'ECONNRESET' || !socket.writable) {
    socket.destroy();
    return;
  }
  socket.pause();
  const error = named(cause);
  const exchanges = [...(open.get(socket) ?? [])];
  const broken = exchanges.find(({ req }) => !req.complete);
  const last = exchanges.at(-1);
  if (broken !== undefined) answerLast(broken.res, error);
  else if (last === undefined) socket.end(rawAnswer(error));
  else last.res.once('close', () => socket.end(rawAnswer(error)));
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

function rawAnswer({ status, message, code }: ForebayError): string {
  const body = JSON.stringify({ error: message, code });
  const line = `HTTP/1.1 ${status} ${STATUS_CODES[status ?? 400]}`;
  return `${line}\r\nContent-Type: application/json\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
}
