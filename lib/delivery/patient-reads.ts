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
  /** Called when it rests: a stop need not wait for it. */
  readonly rests: () => void;
}

/** A batch that has left its place because it cannot be read. */
interface Away {
  readonly pending: PendingBatch;
  readonly failures: number;
  readonly dueMs: number;
}

/**
 * Reads batches, and retries until the log gives them. A batch that cannot be read does not hold up the others for ever
 * (N11): after some tries it leaves its place. Batches that have left are read one at a time, without a place, as a disk may
 * take long to fail; one that can be read waits for a place again, and its bytes are let go until then.
 */
export class PatientReads {
  readonly #options: PatientReadsOptions;
  readonly #away = new Map<string, Away>();
  #timer: NodeJS.Timeout | null = null;
  #isReading = false;

  constructor(options: PatientReadsOptions) {
    this.#options = options;
    options.stopping.addEventListener('abort', () => {
      this.end();
    });
  }

  /** The names of batches that have left their places. */
  get away(): Iterable<string> {
    return this.#away.keys();
  }

  isAway({ name }: PendingBatch): boolean {
    return this.#away.has(name);
  }

  /** When the oldest of them was created, in milliseconds of `performance.now()`; `Infinity`: there is none. */
  get oldestBornMs(): number {
    let oldestMs = Infinity;
    for (const { pending } of this.#away.values()) oldestMs = Math.min(oldestMs, pending.bornMs);
    return oldestMs;
  }

  get rests(): boolean {
    return !this.#isReading;
  }

  /**
   * @param ahead what was read before it had a place
   * @returns `null` if it has left its place, or if the server stops
   */
  async read(pending: PendingBatch, ahead: Waiting['read']): Promise<StoredBatch | null> {
    const { log, reporter, retries } = this.#options;
    for (let failures = 1, first = ahead; ; failures++, first = null) {
      const read = await (first ?? log.read(pending).catch(asError));
      if (!(read instanceof Error)) return read;
      const waitMs = this.#failed(pending, failures, read);
      if (!(await retries.sleep(waitMs))) return null;
      const isOfFile = !OF_THE_PROCESS.has(systemCode(read) ?? '');
      if (isOfFile && failures >= READS_IN_PLACE && this.#away.size < AWAY_MAX) {
        reporter.error('DISK_FAILED', `${pending.name} cannot be read: others go first, it is retried`);
        this.#wait(pending, failures, 0);
        return null;
      }
    }
  }

  /** No further one is read. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #failed(pending: PendingBatch, failures: number, error: Error): number {
    const { retries } = this.#options;
    const waitMs = retries.backoffMs(failures);
    const why = `attempt ${failures}: ${error.message}; next attempt in ${waitMs} ms`;
    retries.failed('read', pending, error, why);
    return waitMs;
  }

  #wait(pending: PendingBatch, failures: number, waitMs: number): void {
    this.#away.set(pending.name, { pending, failures, dueMs: performance.now() + waitMs });
    this.#look();
  }

  /** Reads the batch that is due first, when it is. */
  #look(): void {
    this.end();
    if (this.#isReading || this.#options.stopping.aborted) return;
    let next: Away | null = null;
    for (const away of this.#away.values()) if (next === null || away.dueMs < next.dueMs) next = away;
    if (next === null) return;
    const due = next;
    this.#timer = setTimeout(
      () => {
        void this.#readAway(due);
      },
      Math.max(0, Math.ceil(due.dueMs - performance.now())),
    );
  }

  /** Never rejects. */
  async #readAway({ pending, failures }: Away): Promise<void> {
    const { log, deliver, stopping, rests } = this.#options;
    this.#isReading = true;
    const read = await log.read(pending).then(({ events }) => events, asError);
    this.#isReading = false;
    if (stopping.aborted) {
      rests();
    } else if (read instanceof Error) {
      this.#wait(pending, failures + 1, this.#failed(pending, failures + 1, read));
    } else {
      this.#away.delete(pending.name);
      this.#look();
      deliver({ ...pending, events: read, past: pending.past ?? 'read' }); // its events are counted
    }
  }
}
