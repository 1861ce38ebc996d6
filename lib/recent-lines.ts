import type { BatchLine } from './log-lines.js';

const LINES = 64;

/** The newest lines about batches, for who wants to see what goes on. To keep one costs a few nanoseconds. */
export class RecentLines {
  /** The last line that said that the sink failed, and when, in milliseconds since 1970. */
  lastFailure: { readonly line: BatchLine; readonly atMs: number } | null = null;
  readonly #ring: BatchLine[] = [];
  #next = 0;

  add(line: BatchLine): void {
    this.#ring[this.#next] = line;
    this.#next = (this.#next + 1) % LINES;
    if (line.kind === 'Delivery failed') this.lastFailure = { line, atMs: Date.now() };
  }

  /** Oldest first. */
  get lines(): readonly BatchLine[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }
}
