import { setTimeout as sleep } from 'node:timers/promises';
import { asError, ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import type { Step } from '../base/batch-event.js';
import type { Reporter } from '../base/reporter.js';
import { SinkError } from '../seams/sink-error.js';
import { backoffMs } from './backoff.js';

/** Thrown by an attempt that ended early because the server stops: nothing failed. */
export class Stopping extends Error {
  constructor() {
    super('the server stops');
    this.name = 'Stopping';
  }
}

/** The code of a failure whose error has none. */
const CODES = {
  deliver: 'DELIVERY_FAILED',
  keep: 'DISK_FAILED',
  read: 'DISK_FAILED',
  delete: 'DISK_FAILED',
} as const satisfies Record<Step, ErrorCode>;

/** The batch of an attempt, as log lines name it. */
export interface About {
  readonly name: string;
  /** `null` if its file was not read yet. */
  readonly events: number | null;
}

/** A wait between two attempts. */
export interface Wait {
  readonly ms: number;
  /** Whether the next attempt waits by itself, as it knows when the wait is cut. */
  readonly isOfAttempt: boolean;
}

export interface RetriesOptions {
  readonly reporter: Reporter;
  /** Aborted when no further attempt may start. */
  readonly stopping: AbortSignal;
  readonly random: () => number;
  /** Called with the error of each failed attempt. */
  readonly failed: (error: Error) => void;
}

/** Retries the sink and the disk until they succeed: there is no last attempt. */
export class Retries {
  /** Attempts that failed, at the sink or at the disk. */
  failures = 0;
  readonly #options: RetriesOptions;

  constructor(options: RetriesOptions) {
    this.#options = options;
  }

  /** Tries until it succeeds. Resolves to `null` if the server stops first. */
  async untilDone<T>(
    step: Step,
    about: About,
    attempt: () => Promise<T>,
    waitAfter?: (failures: number) => Wait,
  ): Promise<T | null> {
    for (let failures = 1; ; failures++) {
      try {
        return await attempt();
      } catch (thrown) {
        if (thrown instanceof Stopping) return null;
        const error = asError(thrown);
        const wait = waitAfter?.(failures) ?? { ms: this.backoffMs(failures), isOfAttempt: false };
        this.failed(
          step,
          about,
          error,
          `attempt ${failures}: ${error.message}; next attempt in ${wait.ms} ms`,
        );
        if (!(await this.sleep(wait.isOfAttempt ? 0 : wait.ms))) return null;
      }
    }
  }

  /** The wait after this many failures in a row, in milliseconds. */
  backoffMs(failures: number): number {
    return backoffMs(failures, this.#options.random());
  }

  /** @returns `false` if the server stops */
  async sleep(ms: number): Promise<boolean> {
    const { stopping } = this.#options;
    await sleep(ms, undefined, { signal: stopping }).catch(() => null);
    return !stopping.aborted;
  }

  /** Counts and logs a failed attempt. */
  failed(step: Step, about: About, error: Error, why: string): void {
    this.failures++;
    this.#options.failed(error);
    const { name: batch, events } = about;
    const code = codeOf(error) ?? CODES[step];
    this.#options.reporter.batch({ what: 'failed', step, code, why, batch, events: events ?? 0, error });
  }
}

/** The code of an error; `null` if it has none. */
function codeOf(error: Error): ErrorCode | null {
  if (error instanceof SinkError && error.misconfigured) return 'SINK_MISCONFIGURED';
  return error instanceof ForebayError ? error.code : null;
}
