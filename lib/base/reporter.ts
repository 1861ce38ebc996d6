import { asError, ForebayError } from './errors.js';
import type { ErrorCode } from './errors.js';
import { count } from './words.js';

/** Where log lines go: `pino` fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
/** How often the process is warned of lines that cannot be logged, in milliseconds. */
const WARNING_MS = 60_000;

/**
 * A logger that never throws. If the one that is given does, its line is lost, and the process gets a warning with the
 * code `LOGGER_FAILED`, at most one a minute: log lines must not stop what they are about (decision 53).
 *
 * @throws ForebayError `SETTING_INVALID` if it is no logger
 */
export function unthrowing(logger: Logger): Logger {
  const missing = LEVELS.find((level) => typeof logger?.[level] !== 'function');
  if (missing !== undefined) {
    const message = `logger must have the methods debug, info, warn and error; ${missing} is missing`;
    throw new ForebayError('SETTING_INVALID', { message });
  }
  let lost = 0;
  let warnedMs = -WARNING_MS;
  const writer =
    (level: (typeof LEVELS)[number]): Logger['info'] =>
    (fields, text) => {
      try {
        logger[level](fields, text);
      } catch (error) {
        lost++;
        const nowMs = performance.now();
        if (nowMs - warnedMs < WARNING_MS) return;
        warnedMs = nowMs;
        const message = `${count(lost, 'line')} could not be logged, as the logger throws: ${asError(error).message}`;
        process.emitWarning(message, { code: 'LOGGER_FAILED' });
        lost = 0;
      }
    };
  return { debug: writer('debug'), info: writer('info'), warn: writer('warn'), error: writer('error') };
}

/** What can happen to a batch, as log lines begin. */
export type BatchLineKind =
  | 'Append failed'
  | 'Wrote batch to'
  | 'Could not read batch'
  | 'Replaying batch'
  | 'Delivery failed'
  | 'SinkAPI'
  | 'Could not keep dead letters'
  | 'Stepped aside'
  | 'Set apart'
  | 'Dead lettered'
  | 'Could not delete batch file'
  | 'Deleted batch file'
  | 'Successfully replayed and deleted';

/** A line about one batch, as an operator reads it: `kind: text`. */
export interface BatchLine {
  /** What happened; lines of one kind are counted together. */
  readonly kind: BatchLineKind;
  /** Set where an operator may have to act: then it is a warning. */
  readonly code?: ErrorCode;
  readonly text: string;
  readonly batch: string;
  readonly events: number;
  readonly error?: Error;
}

/** So many lines are kept. */
const RECENT_LINES = 64;

/** The newest lines about batches, for who wants to see what goes on. To keep one costs a few nanoseconds. */
export class RecentLines {
  /** The last line that said that the sink failed, and when, in milliseconds since 1970. */
  lastFailure: { readonly line: BatchLine; readonly atMs: number } | null = null;
  readonly #ring: BatchLine[] = [];
  #next = 0;

  add(line: BatchLine): void {
    this.#ring[this.#next] = line;
    this.#next = (this.#next + 1) % RECENT_LINES;
    if (line.kind === 'Delivery failed') this.lastFailure = { line, atMs: Date.now() };
  }

  /** Oldest first. */
  get lines(): readonly BatchLine[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }
}

/** More lines of one kind in a second than this are summed up: a person reads no faster, a disk fills. */
const LINES_PER_SECOND_MAX = 20;

interface Count {
  readonly kind: string;
  lines: number;
  summedBatches: number;
  summedEvents: number;
  readonly code: ErrorCode | undefined;
}

/**
 * The lines that the stages write. Each that an operator may have to act on has a code of the table of errors. Lines
 * about single batches can come thousands of times a second: of each kind the first 20 in a second are written, the
 * others are summed up in one line at its end.
 */
export class LogLines {
  readonly recent = new RecentLines();
  readonly #logger: Logger;
  readonly #counts = new Map<string, Count>();
  #timer: NodeJS.Timeout | undefined;

  constructor(logger: Logger = silentLogger) {
    this.#logger = unthrowing(logger);
  }

  info(text: string): void {
    this.#logger.info({}, text);
  }

  warn(code: ErrorCode, text: string): void {
    this.#logger.warn({ code }, text);
  }

  error(code: ErrorCode, text: string, error?: Error): void {
    this.#logger.error(error === undefined ? { code } : { code, err: error }, text);
  }

  batch(line: BatchLine): void {
    this.recent.add(line);
    const level = line.code === undefined ? 'info' : 'warn';
    const key = `${line.kind} ${line.code}`;
    let counted = this.#counts.get(key);
    if (counted === undefined) {
      counted = { kind: line.kind, code: line.code, lines: 0, summedBatches: 0, summedEvents: 0 };
      this.#counts.set(key, counted);
      this.#timer ??= setTimeout(() => {
        this.sumUp();
      }, 1000).unref();
    }
    if (counted.lines < LINES_PER_SECOND_MAX) {
      counted.lines++;
      const { kind, text, error, ...fields } = line;
      this.#logger[level](error === undefined ? fields : { ...fields, err: error }, `${kind}: ${text}`);
    } else {
      counted.summedBatches++;
      counted.summedEvents += line.events;
    }
  }

  /** Writes what was summed up in this second, and begins the next one. */
  sumUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const { kind, code, summedBatches: batches, summedEvents: events } of this.#counts.values()) {
      if (batches === 0) continue;
      const text = `${kind}: ${count(batches, 'more batch', 'more batches')} in a second (${count(events, 'event')})`;
      if (code === undefined) this.#logger.info({ batches, events }, text);
      else this.#logger.warn({ code, batches, events }, text);
    }
    this.#counts.clear();
  }
}
