import type { ForebayError } from './errors.js';
import type { Reporter } from './reporter.js';

/** An outage this soon after a line gets no line, unless it lasts: a disk may fail at every second write. */
const QUIET_MS = 10_000;

/** A reason why events are refused for a while. The log says when it starts and when it is over. */
export class Outage {
  readonly #reporter: Reporter;
  readonly #text: string | null;
  #sinceMs = 0;
  /** Whether the log has said that it started. */
  #isSaid = false;
  #saidAtMs = -Infinity;
  #error: ForebayError | null = null;

  /** @param text the line that the log gets when it starts; `null`: other code logs it */
  constructor(reporter: Reporter, text: string | null) {
    this.#reporter = reporter;
    this.#text = text;
  }

  /** The error that the last refused event got; `null`: it is over. */
  get error(): ForebayError | null {
    return this.#error;
  }

  /**
   * Called when an event was refused for it, or a check found it.
   *
   * @returns whether the log reports it now: the caller may add its own line
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

  end(text: string): void {
    if (this.#error === null) return;
    this.#error = null;
    if (!this.#isSaid) return;
    const seconds = Math.ceil((performance.now() - this.#sinceMs) / 1000);
    this.#reporter.info(`${text}, after ${seconds} s`);
  }
}
