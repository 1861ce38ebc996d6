import type { AppendLog } from '../logs/file/append-log.js';
import type { SealedBatch, StoredBatch } from '../seams/batch.js';
import { asError, systemCode } from '../base/errors.js';
import type { LogLines } from '../base/reporter.js';
import type { Waiting } from './read-ahead.js';
import type { Retries } from './retries.js';

/** How often a file is read in its place in the order, and how many may leave it because they cannot be read. */
const READS_IN_PLACE = 3;
const UNREADABLE_MAX = 10_000;
/** What the system says if it is no fault of the file: too many are open, or there is no memory. No other can be read then. */
const OF_THE_PROCESS = new Set(['EMFILE', 'ENFILE', 'ENOMEM', 'EAGAIN']);

/** What a batch does that cannot be read. */
export interface Place {
  /** It leaves its place at the sink to others. */
  readonly leave: () => void;
  /** It can be read now, and waits for another place. */
  readonly comeAgain: (sealed: SealedBatch) => void;
}

/**
 * Reads batches, and tries again until the disk gives them. A file that cannot be read does not hold up those after it for
 * ever: after some tries it leaves its place. Once it can be read it waits for a place again, and its bytes are let go
 * until then.
 */
export class PatientReads {
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  readonly #retries: Retries;
  /** Batches that have left their places and are not read yet. */
  #unreadable = 0;

  constructor(log: AppendLog, lines: LogLines, retries: Retries) {
    this.#log = log;
    this.#lines = lines;
    this.#retries = retries;
  }

  /**
   * @param ahead what was read of it before it had a place
   * @returns `null` if it has no place any longer, or the server stops
   */
  async read(sealed: SealedBatch, ahead: Waiting['read'], place: Place): Promise<StoredBatch | null> {
    let batch: StoredBatch | null = null;
    let tries = 0;
    let hasLeft = false;
    let isOfFile = true;
    const isRead = await this.#retries.untilDone('Could not read batch', sealed, async () => {
      if (++tries > READS_IN_PLACE && !hasLeft && isOfFile && this.#unreadable < UNREADABLE_MAX) {
        hasLeft = true;
        this.#unreadable++;
        const text = `${sealed.name} cannot be read: others go first, it is tried on`;
        this.#lines.error('DISK_FAILED', text);
        place.leave();
      }
      const read = await (tries === 1 && ahead !== null ? ahead : this.#log.read(sealed).catch(asError));
      if (read instanceof Error) {
        isOfFile = !OF_THE_PROCESS.has(systemCode(read) ?? '');
        throw read;
      }
      batch = read;
      if (hasLeft) place.comeAgain({ ...sealed, events: read.events, past: sealed.past ?? 'read' });
    });
    if (hasLeft) this.#unreadable--;
    return isRead && !hasLeft ? batch : null;
  }
}
