import { request as requestHttp } from 'node:http';
import type { Agent, ClientRequest, IncomingMessage } from 'node:http';
import { request as requestHttps } from 'node:https';

export interface PostOptions {
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** Aborts the request, and the reading of its answer. */
  readonly signal: AbortSignal;
  /** Keeps connections; without one each request has its own. */
  readonly agent?: Agent;
}

export interface Posted {
  /** Its head is there, its body is still to be read. */
  readonly answer: IncomingMessage;
  readonly request: ClientRequest;
  /** Rejects if the connection ends before the system has the whole body: the answer was to a part of it. */
  readonly sent: Promise<void>;
}

/**
 * Posts a body. Any 1xx before the answer is taken, as each client must (RFC 9110, 15.2); `undici` fails at a
 * `100 Continue` that it did not ask for.
 *
 * @returns when the head of the answer is there, which may be before the body is out
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
    // a request whose answer is whole looks after its connection no longer, also if its body is still on the way
    if (!socket.listeners('error').includes(ignore)) socket.on('error', ignore);
  });
  const sent = new Promise<void>((resolve, reject) => {
    // it comes after a write that failed, too
    request.on('finish', () => {
      if (request.socket?.errored) reject(request.socket.errored);
      else if (request.socket?.destroyed !== true) resolve(); // or `close` follows
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
    // after a `101`, say, there is neither an answer nor an error
    request.on('close', () => {
      reject(new Error('the connection was closed before the answer'));
    });
    request.end(body);
  });
  return { answer, request, sent };
}

function ignore(): void {
  // who waits for the request hears of it
}

/** `node:http` says "socket hang up" if there is no answer. */
function inWords(error: Error): Error {
  if (error.message !== 'socket hang up') return error;
  return new Error('the connection was closed before the answer', { cause: error });
}
