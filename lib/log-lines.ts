/** Where log lines go: `pino` fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

/** A line about one batch, as an operator reads it: `kind: text`. */
export interface BatchLine {
  /** What happened; lines of one kind are counted together. */
  readonly kind: string;
  readonly text: string;
  readonly batch: string;
  readonly events: number;
  readonly error?: Error;
}

/** More lines of one kind in a second than this are summed up: a person reads no faster, a disk fills. */
const LINES_PER_SECOND_MAX = 20;

interface Count {
  lines: number;
  summedBatches: number;
  summedEvents: number;
  level: 'info' | 'warn';
}

/**
 * The lines that the stages write. Lines about single batches can come thousands of times a second: of each
 * kind the first 20 in a second are written, the others are summed up in one line at its end.
 */
export class LogLines {
  readonly #logger: Logger;
  readonly #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger = silentLogger) {
    this.#logger = logger;
  }

  info(text: string): void {
    this.#logger.info({}, text);
  }

  warn(text: string): void {
    this.#logger.warn({}, text);
  }

  error(text: string, error?: Error): void {
    this.#logger.error(error === undefined ? {} : { err: error }, text);
  }

  batch(line: BatchLine, level: 'info' | 'warn' = 'info'): void {
    let count = this.#counts.get(line.kind);
    if (count === undefined) {
      count = { lines: 0, summedBatches: 0, summedEvents: 0, level };
      this.#counts.set(line.kind, count);
      this.#timer ??= setTimeout(() => {
        this.sumUp();
      }, 1000).unref();
    }
    if (count.lines < LINES_PER_SECOND_MAX) {
      count.lines++;
      const { kind, text, error, ...fields } = line;
      this.#logger[level](error === undefined ? fields : { ...fields, err: error }, `${kind}: ${text}`);
    } else {
      count.summedBatches++;
      count.summedEvents += line.events;
    }
  }

  /** Writes what was summed up in this second, and begins the next one. */
  sumUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const [kind, { level, summedBatches: batches, summedEvents: events }] of this.#counts) {
      if (batches === 0) continue;
      const text = `${kind}: ${batches} more batches in a second (${events} events)`;
      this.#logger[level]({ batches, events }, text);
    }
    this.#counts.clear();
  }
}
