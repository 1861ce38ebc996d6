import { STATUS_CODES } from 'node:http';
import type { HttpAnswer } from '../seams/http-answer.js';

/**
 * An answer as sent over the wire, for connections that `node:http` does not read. Each byte is one character: write
 * it as `latin1`.
 *
 * @param keepAliveTimeoutMs how long the connection waits for the next request; `null`: it closes after this answer
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

/** Raw answers with the id of their request. Most are alike, so all but the id is built once a second. */
export class RawAnswers {
  readonly #keepAliveTimeoutMs: number;
  /** The last answer to accepted events, with its raw text before and after the id. */
  #kept: { answer: HttpAnswer; date: string; before: string; after: string } | null = null;

  constructor(keepAliveTimeoutMs: number) {
    this.#keepAliveTimeoutMs = keepAliveTimeoutMs;
  }

  /** @param isLast whether the connection closes after it */
  text(answer: HttpAnswer, id: string, isLast: boolean): string {
    const date = httpDate();
    let kept = this.#kept;
    if (kept === null || answer !== kept.answer || date !== kept.date || isLast) {
      const raw = Buffer.from(rawAnswer(answer, isLast ? null : this.#keepAliveTimeoutMs), 'latin1');
      const at = raw.indexOf('\r');
      // two flat strings: joining them with the id is fastest
      const before = Buffer.concat([raw.subarray(0, at), ID_HEADER]).toString('latin1');
      kept = { answer, date, before, after: raw.toString('latin1', at) };
      if (answer.status < 300 && !isLast) this.#kept = kept;
    }
    return kept.before + id + kept.after;
  }
}

let second = NaN;
let date = '';

/** The time in the form of the `Date` header (RFC 9110, 5.6.7), built once a second. */
function httpDate(): string {
  const now = Math.floor(Date.now() / 1000);
  if (now !== second) {
    second = now;
    date = new Date(now * 1000).toUTCString();
  }
  return date;
}
