import type { ForebayError } from './errors.js';
import type { Reporter } from './reporter.js';

/** How long after a line the next trouble is not worth one, unless it lasts: a disk may fail at every second write. */
const QUIET_MS = 10_000;

/** What keeps events from being taken, for a while: the log says when it starts and when it is over. */
export class Outage {
  readonly #reporter: Reporter;
  readonly #text: string | null;
  #sinceMs = 0;
  /** Whether the log has said that it is there. */
  #isSaid = false;
  #saidAtMs = -Infinity;
  #error: ForebayError | null = null;

  /** @param text what the log says once when it starts; `null`: others say it */
  constructor(reporter: Reporter, text: string | null) {
    this.#reporter = reporter;
    this.#text = text;
  }

  /** What the last event got that was refused for it; `null`: it is over. */
  get error(): ForebayError | null {
    return this.#error;
  }

  /**
   * It is there, as something has found out: an event that was refused, or a look.
   *
   * @returns whether the log says so now: what else there is to say of it is worth a line, too
   */
  met(error: ForebayError): boolean {
    const nowMs = performance.now();
    if (this.#error === null) {
      this.#sinceMs = nowMs;
      this.#isSaid = false;
    }
    this.#error = error;
    if (this.#isSaid || nowMs - this.#saidAtMs < QUIET_MS) return false;
    this.#isSaid = true;
    this.#saidAtMs = nowMs;
    if (this.#text !== null) this.#reporter.warn(error.code, this.#text);
    return true;
  }

  /** It is over. */
  end(text: string): void {
    if (this.#error === null) return;
    this.#error = null;
    if (!this.#isSaid) return;
    const seconds = Math.ceil((performance.now() - this.#sinceMs) / 1000);
    this.#reporter.info(`${text}, after ${seconds} s`);
  }
}
