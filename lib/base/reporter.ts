import { asError, ForebayError } from './errors.js';
import type { ErrorCode } from './errors.js';
import { lineOf } from './batch-event.js';
import type { BatchEvent } from './batch-event.js';
import { count } from './words.js';

/** Takes log lines; `pino` fits. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
}

export const silentLogger: Logger = { debug() {}, info() {}, warn() {}, error() {} };

const LEVELS = ['debug', 'info', 'warn', 'error'] as const;
/** How often the process warns of lines that cannot be logged, in milliseconds. */
const WARNING_MS = 60_000;

/**
 * A logger that never throws. If the given one throws, its line is lost, and the process gets a warning with the code
 * `LOGGER_FAILED`, at most one a minute: a log line must not stop the work that it reports (decision 53).
 *
 * @throws ForebayError `SETTING_INVALID` if it is not a logger
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

/** At most this many events of batches are kept. */
const RECENT_MAX = 64;

/** The newest events of batches, for pages that show them. Keeping one costs a few nanoseconds. */
export class RecentEvents {
  /** The last failure of the sink, and its time in milliseconds since 1970. */
  lastFailure: { readonly error: Error; readonly atMs: number } | null = null;
  readonly #ring: BatchEvent[] = [];
  #next = 0;

  add(event: BatchEvent): void {
    this.#ring[this.#next] = event;
    this.#next = (this.#next + 1) % RECENT_MAX;
    if (event.what === 'failed' && event.step === 'deliver')
      this.lastFailure = { error: event.error, atMs: Date.now() };
  }

  /** Oldest first. */
  get events(): readonly BatchEvent[] {
    return [...this.#ring.slice(this.#next), ...this.#ring.slice(0, this.#next)];
  }
}

/** More lines of one kind in a second are summed up: a person reads no faster, and a disk fills. */
const LINES_PER_SECOND_MAX = 20;

interface Count {
  readonly kind: string;
  /** A file is deleted with all batches in it. */
  readonly isOfFiles: boolean;
  lines: number;
  summedBatches: number;
  summedEvents: number;
  readonly code: ErrorCode | undefined;
}

/**
 * Writes the log lines of the stages. A line that an operator may have to act on has a code of the table of errors.
 * Lines about single batches can come thousands of times a second: of each kind the first 20 in a second are written,
 * the others are summed up in one line.
 */
export class Reporter {
  readonly recent = new RecentEvents();
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

  batch(event: BatchEvent): void {
    this.recent.add(event);
    const { kind, code, text } = lineOf(event);
    const { batch, events } = event;
    const level = code === undefined ? 'info' : 'warn';
    const key = `${kind} ${code}`;
    let counted = this.#counts.get(key);
    if (counted === undefined) {
      counted = {
        kind,
        code,
        isOfFiles: event.what === 'deleted' && event.removal !== 'confirmed',
        lines: 0,
        summedBatches: 0,
        summedEvents: 0,
      };
      this.#counts.set(key, counted);
      this.#timer ??= setTimeout(() => {
        this.sumUp();
      }, 1000).unref();
    }
    if (counted.lines < LINES_PER_SECOND_MAX) {
      counted.lines++;
      const fields = code === undefined ? { batch, events } : { code, batch, events };
      this.#logger[level]('error' in event ? { ...fields, err: event.error } : fields, `${kind}: ${text}`);
    } else {
      counted.summedBatches += event.what === 'sealed' ? event.batches : 1;
      counted.summedEvents += events;
    }
  }

  /** Writes one line for the lines summed up in this second, and starts the next second. */
  sumUp(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const {
      kind,
      code,
      isOfFiles,
      summedBatches: batches,
      summedEvents: events,
    } of this.#counts.values()) {
      if (batches === 0) continue;
      const things = isOfFiles ? count(batches, 'more file') : count(batches, 'more batch', 'more batches');
      const text = `${kind}: ${things} in a second (${count(events, 'event')})`;
      if (code === undefined) this.#logger.info({ batches, events }, text);
      else this.#logger.warn({ code, batches, events }, text);
    }
    this.#counts.clear();
  }
}
