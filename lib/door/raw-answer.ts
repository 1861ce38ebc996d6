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

const ID_HEADER = Buffer.from('\r\nX-Request-Id: ');

/** The same with the id of its request. Most are alike: all but the id is made once a second. */
export class RawAnswers {
  readonly #keepAliveTimeoutMs: number;
  /** The last answer to accepted events, with what goes over the wire for it in front of the id and after it. */
  #kept: { answer: HttpAnswer; date: string; before: string; after: string } | null = null;

  constructor(keepAliveTimeoutMs: number) {
    this.#keepAliveTimeoutMs = keepAliveTimeoutMs;
  }

  /** @param isLast whether the connection is closed behind it */
  text(answer: HttpAnswer, id: string, isLast: boolean): string {
    const date = httpDate();
    let kept = this.#kept;
    if (kept === null || answer !== kept.answer || date !== kept.date || isLast) {
      const raw = Buffer.from(rawAnswer(answer, isLast ? null : this.#keepAliveTimeoutMs), 'latin1');
      const at = raw.indexOf('\r');
      // strings of one piece each: in such the id is put fastest
      const before = Buffer.concat([raw.subarray(0, at), ID_HEADER]).toString('latin1');
      kept = { answer, date, before, after: raw.toString('latin1', at) };
      if (answer.status < 300 && !isLast) this.#kept = kept;
    }
    return kept.before + id + kept.after;
  }
}

let second = NaN;
let date = '';

/** The time as the `Date` header has it (RFC 9110, 5.6.7), made once a second. */
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
