import type { Progress } from './worker.js';

const WIDTH = 30;
/** How wide a terminal is taken for that does not know its width. */
const COLUMNS = 80;

/** What the bar needs of `process.stderr`. */
export interface Terminal {
  readonly isTTY: boolean;
  /** In characters; 0 where it is not known. */
  readonly columns: number;
  write(text: string): unknown;
}

/** A line on a terminal that says how far the producer is. Anywhere else it is not there. */
export class ProgressBar {
  readonly #terminal: Terminal;
  readonly #total: number | null;

  /** @param total how many events there are; `null`: that shows at the end */
  constructor(terminal: Terminal, total: number | null) {
    this.#terminal = terminal;
    this.#total = total;
  }

  show({ accepted, backpressure, errors }: Progress): void {
    if (!this.#terminal.isTTY) return;
    const done = accepted + backpressure + errors;
    const part = this.#total === null ? 0 : done / this.#total;
    const bar = '#'.repeat(Math.floor(part * WIDTH)).padEnd(WIDTH, '-');
    const count = this.#total === null ? `${done}` : `[${bar}] ${done}/${this.#total}`;
    const line = `${count}  202: ${accepted}  429: ${backpressure}  errors: ${errors}`;
    const columns = this.#terminal.columns || COLUMNS;
    this.#terminal.write(`\r${line.slice(0, columns - 1)}\x1b[K`); // and clear what is behind it
  }

  clear(): void {
    if (this.#terminal.isTTY) this.#terminal.write('\r\x1b[K');
  }
}
