import type { Progress } from './progress.js';
import { progressLine, progressText } from './progress.js';

/** The assumed width of a terminal that does not report it. */
const COLUMNS = 80;
/** The interval of permanent lines, in milliseconds. */
const LINE_MS = 5000;

/** The used part of `process.stderr`. */
export interface Terminal {
  /** `undefined`: it is not a terminal. */
  readonly isTTY: boolean | undefined;
  /** In characters; 0 or `undefined`: unknown. */
  readonly columns: number | undefined;
  write(text: string): unknown;
}

/** Shows the progress: on a terminal in one line that is redrawn, elsewhere in a line every few seconds. */
export class ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #label: string;
  #lines = 0;

  /** @param label starts the line on a terminal; a caller that passes one writes permanent lines itself */
  constructor(terminal: Terminal, label = '') {
    this.#terminal = terminal;
    this.#label = label;
  }

  /** To be called several times a second. */
  show(progress: Progress): void {
    if (this.#terminal.isTTY === true) {
      // keep one column free: in the last one a terminal would start a new line
      const width = (this.#terminal.columns || COLUMNS) - 1;
      const line = progressLine(progress, Math.max(0, width - this.#label.length));
      this.#terminal.write(`\r${(this.#label + line).slice(0, width)}\x1b[K`); // and clear the rest of the line
      return;
    }
    const lines = Math.floor(progress.elapsedMs / LINE_MS);
    if (lines > this.#lines && this.#label === '')
      this.#terminal.write(`forebay-producer: ${progressText(progress)}\n`);
    this.#lines = lines;
  }

  clear(): void {
    if (this.#terminal.isTTY === true) this.#terminal.write('\r\x1b[K');
  }
}
