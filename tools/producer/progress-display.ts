import type { Progress } from './progress.js';
import { progressLine, progressText } from './progress.js';

/** How wide a terminal is taken for that does not know its width. */
const COLUMNS = 80;
/** Lines that stay come so far apart, in milliseconds. */
const LINE_MS = 5000;

/** What the display needs of `process.stderr`. */
export interface Terminal {
  /** `undefined` where it is none. */
  readonly isTTY: boolean | undefined;
  /** In characters; 0 or `undefined` where it is not known. */
  readonly columns: number | undefined;
  write(text: string): unknown;
}

/** Shows how far the producer is: in a line of a terminal that is drawn anew, elsewhere in a line every few seconds. */
export class ProgressDisplay {
  readonly #terminal: Terminal;
  readonly #label: string;
  #lines = 0;

  /** @param label what the line on a terminal begins with; who gives one writes lines that stay himself */
  constructor(terminal: Terminal, label = '') {
    this.#terminal = terminal;
    this.#label = label;
  }

  /** To be called several times a second. */
  show(progress: Progress): void {
    if (this.#terminal.isTTY === true) {
      // one column stays free: in the last one a terminal would begin a new line
      const width = (this.#terminal.columns || COLUMNS) - 1;
      const line = progressLine(progress, Math.max(0, width - this.#label.length));
      this.#terminal.write(`\r${(this.#label + line).slice(0, width)}\x1b[K`); // and clear what is behind it
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
