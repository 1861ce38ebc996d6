import type { EventLog } from '../seams/event-log.js';
import { DeadLettersFull } from '../seams/dead-letters.js';
import type { LettersSize } from '../seams/dead-letters.js';
import type { Batch, SettledBatch, PendingBatch, StoredBatch } from '../seams/batch.js';
import { asError } from '../base/errors.js';
import type { Reporter } from '../base/reporter.js';
import { backoffMs } from './backoff.js';
import { ForgottenBatches } from './forgotten-batches.js';
import type { Others } from './forgotten-batches.js';
import { keepLetters, lettersAside } from './letters-aside.js';
import type { LettersAside, NotKept } from './letters-aside.js';
import type { Retries } from './retries.js';
import type { RefusedEvent } from './settlement.js';
import { count } from '../base/words.js';

/** Memory for batches aside, in bytes. Those beyond it are only counted. */
const MEMORY_BYTES_MAX = 8 * 1024 * 1024;
/** How often to check for room, in milliseconds. */
const LOOK_MS = 1000;
const NO_SIZE: LettersSize = { bytes: 0, earlierBytes: 0 };

export interface BatchesAsideOptions extends Others {
  readonly log: EventLog;
  readonly reporter: Reporter;
  readonly retries: Retries;
  /** Aborted when nothing more may start. */
  readonly stopping: AbortSignal;
  readonly random: () => number;
  readonly memoryBytesMax?: number | undefined;
  /** Puts refused events among the dead letters. Resolves to the error if that fails. */
  readonly keep: (batch: Batch, refused: readonly RefusedEvent[]) => Promise<Error | null>;
  /** Takes a batch off the log after its dead letters are kept. */
  readonly settled: (batch: SettledAside) => Promise<void>;
  /** Delivers a batch again, in its turn; `ended` is called when that is over. */
  readonly deliver: (pending: PendingBatch) => void;
  /** Called when no work runs: a stop need not wait for it then. */
  readonly rests: () => void;
  readonly broke: (error: Error) => void;
}

/** A batch that was aside and whose dead letters are kept. */
export interface SettledAside extends SettledBatch {
  readonly pending: PendingBatch;
  readonly deadLettered: number;
}

/**
 * Batches with refused events for which the dead letters have no room. Each has left its place at the sink, so it
 * holds up no other, and stays on disk. Memory keeps the sink's verdicts, not the events: when there is room, the
 * batch is read again and its dead letters are written. The sink is not asked again.
 *
 * Memory is bounded. A batch beyond the bound is forgotten: it is only counted. Once no other batch waits for room and
 * there is some, the names of forgotten batches are found again in the directory, and one at a time goes to the sink
 * again.
 */
export class BatchesAside {
  readonly #options: BatchesAsideOptions;
  /** In the order in which they came, oldest first. */
  readonly #known = new Map<string, LettersAside>();
  #memoryBytes = 0;
  readonly #forgotten: ForgottenBatches;
  /** Why the last batch has no dead letters. */
  #lastError: Error | null = null;
  #sinceMs = 0;
  /** Whether the log has said that the dead letters are full. */
  #isSaid = false;
  /** Failed checks in a row. */
  #failures = 0;
  #works = false;
  #timer: NodeJS.Timeout | null = null;

  constructor(options: BatchesAsideOptions) {
    this.#options = options;
    const busy = (): string[] => [...options.busy(), ...this.#known.keys()];
    this.#forgotten = new ForgottenBatches(options.log, { busy, newest: options.newest });
    options.stopping.addEventListener('abort', () => {
      this.end();
    });
  }

  get batches(): number {
    return this.#known.size + this.#forgotten.batches;
  }

  /** Batches whose verdicts are in memory. */
  get inMemory(): number {
    return this.#known.size;
  }

  /** Whether they wait for the bound of the dead letters, not for the disk. */
  get isFull(): boolean {
    return this.batches > 0 && this.#lastError instanceof DeadLettersFull;
  }

  /** When the oldest was created, in milliseconds of `performance.now()`; `Infinity` if there is none. */
  get oldestBornMs(): number {
    const [first] = this.#known.values();
    return Math.min(first?.pending.bornMs ?? Infinity, this.#forgotten.bornMs);
  }

  get rests(): boolean {
    return !this.#works;
  }

  /**
   * The sink took the batch except for these events, and they could not be kept.
   *
   * @param deadLettered all that it refused of the batch
   */
  add(pending: PendingBatch, batch: Batch, notKept: NotKept, deadLettered: number): void {
    const { log, reporter } = this.#options;
    const { name, events } = batch;
    const { pieces, error } = notKept;
    if (this.batches === 0) this.#sinceMs = performance.now();
    const refused = pieces?.reduce((sum, { verdicts }) => sum + verdicts.length, 0);
    const what =
      refused === 0
        ? 'its dead letters of an earlier run are gone'
        : `${refused ?? 'the'} refused of ${count(events, 'event')} can become dead letters`;
    reporter.batch({ what: 'aside', until: what, batch: name, events });
    log.forget(pending);
    const aside = { ...pending, events, past: 'offered' } as const;
    if (pieces === null) this.#forget(aside, NO_SIZE, error);
    else this.#keepVerdicts(lettersAside(aside, pieces, deadLettered, NO_SIZE), error);
    if (!(error instanceof DeadLettersFull)) {
      this.#failed('keep', batch, error);
    } else if (!this.#isSaid) {
      this.#isSaid = true;
      const rest = 'batches with refused events wait aside, and others are delivered';
      reporter.warn('DEAD_LETTERS_FULL', `The dead letters are full: ${error.message}; ${rest}`);
    }
    this.#lookLater();
  }

  /** Lets a batch that the sink failed on come again. Only its name is kept, and it waits for no room. */
  forget(pending: PendingBatch): void {
    if (this.batches === 0) this.#sinceMs = performance.now();
    this.#forgotten.add(pending, null);
    this.#lookLater();
  }

  read(batch: StoredBatch): void {
    this.#forgotten.read(batch);
  }

  /** The batch whose turn it is cannot be read: others go first. */
  leaves(pending: PendingBatch): void {
    if (this.#forgotten.leaves(pending)) this.#look();
  }

  /** The delivery of a batch has ended, with any outcome. */
  ended(pending: PendingBatch): void {
    if (this.#forgotten.ended(pending)) this.#look();
  }

  /** Stops checking. */
  end(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  #keepVerdicts(letters: LettersAside, error: Error): void {
    const { memoryBytesMax = MEMORY_BYTES_MAX } = this.#options;
    const { pending, memoryBytes } = letters;
    if (this.#memoryBytes + memoryBytes > memoryBytesMax) {
      this.#forget(pending, letters.size, error);
      return;
    }
    const size = error instanceof DeadLettersFull ? error.size : letters.size;
    this.#lastError = error;
    this.#known.set(pending.name, { ...letters, size });
    this.#memoryBytes += memoryBytes;
  }

  #forget(pending: PendingBatch, size: LettersSize, error: Error): void {
    this.#lastError = error;
    this.#forgotten.add(pending, error instanceof DeadLettersFull ? error.size : size);
  }

  #drop({ pending, memoryBytes }: LettersAside): void {
    if (this.#known.delete(pending.name)) this.#memoryBytes -= memoryBytes;
  }

  #failed(step: 'keep' | 'read', batch: Batch | PendingBatch, error: Error): void {
    this.#failures++;
    this.#options.retries.failed(step, batch, error, `${error.message}; others go first, it is tried again`);
  }

  #lookLater(): void {
    const { stopping, random } = this.#options;
    if (this.#works || this.#timer !== null || this.batches === 0 || stopping.aborted) return;
    const waitMs = this.#failures === 0 ? LOOK_MS : backoffMs(this.#failures, random());
    this.#timer = setTimeout(this.#look.bind(this), waitMs);
  }

  #look(): void {
    this.end();
    if (this.#works || this.#options.stopping.aborted) return;
    this.#works = true;
    this.#work().then(
      () => {
        this.#works = false;
        this.#sayEnd();
        this.#lookLater();
        this.#options.rests();
      },
      (error: unknown) => {
        this.#options.broke(asError(error));
      },
    );
  }

  async #work(): Promise<void> {
    const { log, stopping, deliver } = this.#options;
    const failures = this.#failures;
    const isLookedAt = await this.#tried(async () => log.deadLetters.look());
    const isWell = isLookedAt && (await this.#settleKnown());
    if (this.#failures === failures) this.#failures = 0;
    const isNextWell = isWell && [...this.#known.values()].every(({ isAway }) => isAway);
    const hasRoom = isNextWell && log.deadLetters.hasRoom(this.#forgotten.size, null);
    if (stopping.aborted || !this.#forgotten.isNextDue(hasRoom)) return;
    let next: PendingBatch | null = null;
    await this.#tried(async () => (next = await this.#forgotten.next(hasRoom)));
    if (next !== null) deliver(next);
  }

  /**
   * Settles each batch that has room. Of the batches that could not be read, it tries at most one.
   * @returns whether the disk takes letters
   */
  async #settleKnown(): Promise<boolean> {
    const { log, stopping } = this.#options;
    let isAnyAway = false;
    const known = [...this.#known.values()]; // one that is tried again moves to the end of the map
    for (const letters of known) {
      if (stopping.aborted || (letters.isAway && isAnyAway)) break;
      isAnyAway ||= letters.isAway;
      if (log.deadLetters.hasRoom(letters.size, letters.pending.name) && !(await this.#settle(letters)))
        return false;
    }
    return true;
  }

  /** @returns whether the check succeeded */
  async #tried(look: () => Promise<unknown>): Promise<boolean> {
    const { log, reporter } = this.#options;
    const error = await look().then(() => null, asError);
    if (error === null) return true;
    this.#failures++;
    reporter.error('DISK_FAILED', `Could not look for batches aside in ${log.place}; trying again`, error);
    return false;
  }

  /** @returns whether the disk takes letters */
  async #settle(letters: LettersAside): Promise<boolean> {
    const { log, keep, settled, deliver } = this.#options;
    const { pending, deadLettered } = letters;
    const batch = await log.read(pending).catch(asError);
    // next time, others go first
    if (batch instanceof Error) {
      this.#known.delete(pending.name);
      this.#known.set(pending.name, { ...letters, isAway: true });
      this.#failed('read', pending, batch);
      return true;
    }
    const { name, events, logBytes } = batch;
    if (events !== pending.events) {
      // it was damaged or deleted meanwhile, so the verdicts no longer fit its lines
      this.#drop(letters);
      deliver({ ...pending, events });
      return true;
    }
    const error = await keepLetters(batch, letters, keep);
    this.#drop(letters);
    if (error === null) {
      await settled({ pending, name, events, logBytes, deadLettered });
      return true;
    }
    this.#keepVerdicts({ ...letters, isAway: false }, error);
    if (error instanceof DeadLettersFull) return true;
    this.#failed('keep', batch, error);
    return false;
  }

  #sayEnd(): void {
    const { reporter } = this.#options;
    const missed = this.#forgotten.missed();
    if (missed !== 0) {
      const text = `${count(missed, 'event')} of batches that waited aside ${missed === 1 ? 'is' : 'are'} gone`;
      reporter.error('BATCH_GONE', `${text}: someone else has deleted or changed their files`);
    }
    if (this.batches > 0 || this.#lastError === null) return;
    this.#lastError = null;
    this.#isSaid = false;
    const seconds = Math.ceil((performance.now() - this.#sinceMs) / 1000);
    reporter.info(`No batch waits aside any longer, after ${seconds} s`);
  }
}
