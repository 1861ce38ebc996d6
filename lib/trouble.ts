import type { ForebayError } from './errors.js';
import type { LogLines } from './log-lines.js';

/** So long the last refusal tells what the next event would get, in milliseconds; then only an event finds out. */
const RECENT_MS = 5000;

/** What keeps events from being taken, for a while: the log says when it begins and when it is over. */
export class Trouble {
  readonly #lines: LogLines;
  readonly #begin: string | null;
  #sinceMs = 0;
  #last: { readonly error: ForebayError; readonly atMs: number } | null = null;

  /** @param begin what the log says once when it begins; `null`: others say it */
  constructor(lines: LogLines, begin: string | null) {
    this.#lines = lines;
    this.#begin = begin;
  }

  get lasts(): boolean {
    return this.#last !== null;
  }

  /** What the last event got that was refused for it, if that is a matter of seconds. */
  get recent(): ForebayError | null {
    if (this.#last === null || performance.now() - this.#last.atMs > RECENT_MS) return null;
    return this.#last.error;
  }

  /** An event is refused for it. */
  refuses(error: ForebayError): void {
    const atMs = performance.now();
    if (this.#last === null) {
      this.#sinceMs = atMs;
      if (this.#begin !== null) this.#lines.warn(error.code, this.#begin);
    }
    this.#last = { error, atMs };
  }

  /** It is over. */
  end(text: string): void {
    if (this.#last === null) return;
    this.#last = null;
    const seconds = Math.ceil((performance.now() - this.#sinceMs) / 1000);
    this.#lines.info(`${text}, after ${seconds} s`);
  }
}
