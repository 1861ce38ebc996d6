import { request as requestHttp } from 'node:http';
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface PostOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Aborts the request, and the reading of its answer. */
  readonly signal: AbortSignal;
  /** Keeps connections. Without an agent, each request has its own. */
  readonly agent?: Agent;
}

export interface Posted {
  /** Its head has arrived, its body has not been read. */
  readonly answer: IncomingMessage;
  readonly request: ClientRequest;
  /** Rejects if the connection ends before the system has the whole body: the answer was to a part of it. */
  readonly sent: Promise<void>;
}

/**
 * Posts a body. Skips any 1xx before the answer, as each client must (RFC 9110, 15.2); `undici` fails at a `100
 * Continue` that it did not ask for.
 *
 * @returns when the head of the answer has arrived, possibly before the body is sent
 */
export async function post({ url, headers, body, signal, agent }: PostOptions): Promise<Posted> {
  const send = url.protocol === 'https:' ? requestHttps : requestHttp;
  const request = send(url, {
    method: 'POST',
    headers: { ...headers, 'content-length': body.length },
    signal,
    agent: agent ?? false,
  });
  request.on('socket', (socket) => {
    // a request with a whole answer no longer handles errors of its connection, even while its body is being sent
    if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore);
  });
  const sent = new Promise<void>((resolve, reject) => {
    // also emitted after a failed write
    request.on('finish', () => {
      if (request.socket?.errored) reject(request.socket.errored);
      else if (request.socket?.destroyed !== true) resolve(); // otherwise `close` follows
    });
    request.on('close', () => {
      reject(new Error('the connection was closed before the whole body was sent'));
    });
  });
  sent.catch(() => undefined);
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    request.on('response', resolve);
    request.on('error', (error) => {
      reject(inWords(error));
    });
    // after a `101`, for example, there is neither an answer nor an error
    request.on('close', () => {
      reject(new Error('the connection was closed before the answer'));
    });
    request.end(body);
  });
  return { answer, request, sent };
}

function ignore(): void {
  // the request reports the error
}

/** Replaces "socket hang up", which `node:http` says if there is no answer. */
function inWords(error: Error): Error {
  if (error.message !== 'socket hang up') return error;
  return new Error('the connection was closed before the answer', { cause: error });
}
