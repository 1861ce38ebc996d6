import { STATUS_CODES } from 'node:http';
import type { HttpAnswer } from '../seams/http-answer.js';

/**
 * An answer as it goes over the wire, for connections that `node:http` does not read (any more), each byte as a
 * character: to be written as `latin1`.
 *
 * @param keepAliveTimeoutMs how long the connection waits for the next request; `null`: it is closed behind this answer
 */
export function rawAnswer({ status, headers, body }: HttpAnswer, keepAliveTimeoutMs: number | null): string {
  const bytes = Buffer.from(body);
  const connection =
    keepAliveTimeoutMs === null
      ? { Connection: 'close' }
      : { Connection: 'keep-alive', 'Keep-Alive': `timeout=${Math.floor(keepAliveTimeoutMs / 1000)}` };
  const all = { ...headers, 'Content-Length': bytes.length, Date: httpDate(), ...connection };
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`);
  return `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\n${lines.join('')}\r\n${bytes.toString('latin1')}`;
}

let second = NaN;
let date = '';

/** The time as the `Date` header has it (RFC 9110, 5.6.7), made once a second. */
export function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
