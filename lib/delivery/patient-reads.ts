import { asError, systemCode } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import type { PendingBatch, StoredBatch } from '../seams/batch.js';
import type { EventLog } from '../seams/event-log.js';
import type { Waiting } from './read-ahead.js';
import type { Retries } from './retries.js';

/** How often a batch is read in its place in the order, and how many batches may leave it because they cannot be read. */
const READS_IN_PLACE = 3;
const AWAY_MAX = 10_000;
/** System errors that are no fault of the file: too many open files, or no memory. No other file can be read then. */
const OF_THE_PROCESS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

export interface PatientReadsOptions {
  readonly log: Pick<EventLog, 'read'>;
  readonly reporter: Reporter;
  readonly retries: Retries;
  readonly stopping: AbortSignal;
  /** Gives a batch a place again, in its turn. */
  readonly deliver: (pending: PendingBatch) => void;
}

/** A batch that has left its place because it cannot be read. */
interface Away {
  readonly pending: PendingBatch;
  readonly failures: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Reads batches, and retries until the log returns them. A batch that cannot be read does not hold up the others for
 * ever: after some tries it leaves its place, and takes one again when its next try is due (N11).
 */
export class PatientReads {
  readonly #options: PatientReadsOptions;
  readonly #away = new Map<string, Away>();

  constructor(options: PatientReadsOptions) {
    this.#options = options;
    options.stopping.addEventListener('abort', () => {
      this.end();
    });
  }

  /** Batches that have left their places, in the order in which they left. */
  get away(): readonly PendingBatch[] {
    return [...this.#away.values()].map(({ pending }) => pending);
  }

  isAway({ name }: PendingBatch): boolean {
    return this.#away.has(name);
  }

  /**
   * @param ahead what was read before it had a place
   * @returns `null` if it has left its place, or if the server stops
   */
  async read(pending: PendingBatch, ahead: Waiting['read']): Promise<StoredBatch | null> {
    const { log, retries, stopping } = this.#options;
    const { name } = pending;
    const before = this.#away.get(name);
    this.#away.delete(name);
    for (let failures = before?.failures ?? 0, first = ahead; ; first = null) {
      const read = await (first ?? log.read(pending).catch(asError));
      if (!(read instanceof Error)) return read;
      const waitMs = retries.backoffMs(++failures);
      const why = `attempt ${failures}: ${read.message}; next attempt in ${waitMs} ms`;
      retries.failed('read', pending, read, why);
      if (stopping.aborted) return null;
      const mayLeave = failures >= READS_IN_PLACE && this.#away.size < AWAY_MAX;
      if (mayLeave && !OF_THE_PROCESS.has(systemCode(read) ?? '')) {
        this.#leave(pending, failures, waitMs, before === undefined);
        return null;
      }
      if (!(await retries.sleep(waitMs))) return null;
    }
  }

  /** Lets no batch take a place again. */
  end(): void {
    for (const { timer } of this.#away.values()) clearTimeout(timer);
  }

  #leave(pending: PendingBatch, failures: number, waitMs: number, isFirst: boolean): void {
    const { reporter, deliver } = this.#options;
    if (isFirst)
      reporter.error('DISK_FAILED', `${pending.name} cannot be read: others go first, it is retried`);
    const timer = setTimeout(() => {
      deliver(pending);
    }, waitMs);
    this.#away.set(pending.name, { pending, failures, timer });
  }
}
