import { setMaxListeners } from 'node:events';
import { Writable } from 'node:stream';
import type { AppendLog } from '../logs/file/append-log.js';
import type { DeletedBatch, SealedBatch } from '../seams/batch.js';
import { asError } from '../base/errors.js';
import { Histogram, LONG_SECONDS } from '../base/histogram.js';
import type { BatchLineKind, LogLines } from '../base/reporter.js';
import type { Sink } from '../seams/sink.js';
import { BatchesAside } from '../delivery/batches-aside.js';
import { Deletions } from '../delivery/deletions.js';
import { FileCourse } from '../delivery/file-course.js';
import { settleFile } from '../delivery/large-batches.js';
import type { Settling } from '../delivery/large-batches.js';
import { PatientReads } from '../delivery/patient-reads.js';
import type { Place } from '../delivery/patient-reads.js';
import { ReadAhead } from '../delivery/read-ahead.js';
import type { Waiting } from '../delivery/read-ahead.js';
import { RestingBatches } from '../delivery/resting-batches.js';
import { Retries } from '../delivery/retries.js';
import { Settler } from '../delivery/settler.js';
import type { SinkState } from '../delivery/settler.js';

/** A batch whose events the sink has, or the dead letters. */
interface Settled extends DeletedBatch {
  readonly sealed: SealedBatch;
  /** How many of its events are dead letters. */
  readonly deadLettered: number;
}

export interface DelivererOptions {
  readonly log: AppendLog;
  readonly sink: Sink;
  readonly lines: LogLines;
  /** Batches on their way to the sink at the same time; with 1 they arrive in order. */
  readonly sinkConcurrency: number;
  /** Failures at one event, while the sink takes others, after which it counts as refused; `null`: it never does. */
  readonly sinkTriesMax: number | null;
  readonly random?: () => number;
  /** What is kept of batches aside, in bytes of memory. */
  readonly asideBytesMax?: number;
}

/**
 * Gives each batch to the sink until the sink confirms it, then deletes its file: the only way by which an
 * event leaves the disk. A failure is tried again without end, and nothing but this stage waits for it.
 *
 * Emits `gone` with the batch when its file is deleted, `aside` when it steps aside because its dead letters have no room,
 * and `failure` with the error of each failed attempt.
 */
export class Deliverer extends Writable {
  /** Events that the sink confirmed and that are off the disk. */
  delivered = 0;
  /** Events that the sink refused, that are among the dead letters and off the log. */
  deadLettered = 0;
  /** From the first event of a batch until the sink confirmed it, once for each event that it took, in seconds. */
  readonly deliverySeconds = new Histogram(LONG_SECONDS);
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  /** Batches on their way to the sink. */
  #placesTaken = 0;
  /** Aborted to begin no further attempt. */
  readonly #stopping = new AbortController();
  readonly #retries: Retries;
  readonly #settler: Settler;
  readonly #settling: Settling;
  readonly #ahead: ReadAhead;
  readonly #aside: BatchesAside;
  readonly #resting: RestingBatches;
  /** Batches that have had a place and are neither deleted nor given up, oldest first. */
  readonly #active = new Set<SealedBatch>();
  readonly #deletions: Deletions;
  readonly #reads: PatientReads;
  /** The newest batch that has come. */
  #newest: string | null = null;
  /** Asks for the next batch; set while enough wait. */
  #next: (() => void) | null = null;
  #whenIdle: (() => void) | null = null;

  constructor(options: DelivererOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    const { log, lines, random = Math.random, asideBytesMax: memoryBytesMax } = options;
    this.#log = log;
    this.#lines = lines;
    this.#ahead = new ReadAhead(log);
    const stopping = this.#stopping.signal;
    // one listener for each batch that waits for its next attempt
    setMaxListeners(0, stopping);
    const failed = (error: Error): void => void this.emit('failure', error);
    const retries = new Retries({ lines, stopping, random, failed });
    this.#retries = retries;
    this.#deletions = new Deletions(log, retries);
    this.#reads = new PatientReads(log, lines, retries);
    const othersWait = (): boolean => !this.#ahead.isEmpty || this.#resting.isAnyOpen;
    const settler = new Settler({ ...options, random, stopping, retries, othersWait });
    this.#settler = settler;
    this.#settling = { log, retries, settler };
    const deliver = (sealed: SealedBatch): void => {
      this.#ahead.addAgain(sealed);
      this.#goOn();
    };
    const waiting = { log, lines, retries, stopping, random, deliver, memoryBytesMax };
    this.#resting = new RestingBatches({ ...waiting, othersWait: () => !this.#ahead.isEmpty });
    this.#aside = new BatchesAside({
      ...waiting,
      keep: async (batch, refused) => settler.keep(batch, refused),
      settled: async (batch) => this.#removeAside(batch),
      busy: () => [
        ...[...this.#active, ...this.#ahead.batches].map(({ name }) => name),
        ...this.#resting.names,
      ],
      newest: () => this.#newest,
      rests: () => this.#goOn(),
      broke: (error) => void this.destroy(error),
    });
  }

  /** Attempts that failed, at the sink or at the disk. */
  get failures(): number {
    return this.#retries.failures;
  }

  /** When the oldest batch was made that is here, in milliseconds of `performance.now()`; `null` where there is none. */
  get oldestBornMs(): number | null {
    const [active] = this.#active;
    const aside = Math.min(this.#aside.oldestBornMs, this.#resting.oldestBornMs);
    const all = [active?.bornMs, this.#ahead.first?.bornMs, aside];
    const oldestMs = Math.min(...all.map((bornMs = Infinity) => bornMs));
    return oldestMs === Infinity ? null : oldestMs;
  }

  /** The batches that have had a place at the sink and are not off the disk, oldest first. */
  get active(): readonly SealedBatch[] {
    return [...this.#active];
  }

  /** How the sink does. */
  get sinkState(): SinkState {
    const { isFull, batches } = this.#aside;
    const { events: isolatedEvents } = this.#resting;
    return { ...this.#settler.state, deadLettersFull: isFull, batchesAside: batches, isolatedEvents };
  }

  /** Batches aside of which more is kept than their number. */
  get asideInMemory(): number {
    return this.#aside.inMemory;
  }

  /** Asks the sink at once if it is left alone. */
  probe(): void {
    this.#settler.probe();
  }

  /** Begins no further attempt; those that run may end. What is not confirmed stays on disk. */
  stop(): void {
    this.#stopping.abort();
  }

  /** Waits no longer for the attempts that run either. */
  abandon(): void {
    this.#stopping.abort();
    this.#settler.abandon();
  }

  override _write(
    sealed: SealedBatch,
    _encoding: BufferEncoding,
    done: (error?: Error | null) => void,
  ): void {
    this.#newest = sealed.name;
    this.#ahead.add(sealed);
    this.#next = done;
    this.#goOn();
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#whenIdle = done;
    this.#goOn();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#settler.end();
    this.#aside.end();
    this.#resting.end();
    done(error);
  }

  /** Gives free places to those who wait for one, oldest first, and asks for more. */
  #goOn(): void {
    if (this.#ahead.isLong) this.#deletions.leavePlaces();
    while (this.#placesTaken < this.#settler.concurrency && !this.#deletions.isFull) {
      const first = this.#ahead.shift();
      if (first === null) break;
      this.#begin(first);
    }
    if (!this.#ahead.isFull) {
      const next = this.#next;
      this.#next = null;
      next?.();
    }
    if (this.#active.size === 0 && this.#ahead.isEmpty && this.#aside.rests) {
      const whenIdle = this.#whenIdle;
      this.#whenIdle = null;
      whenIdle?.();
    }
  }

  #begin(first: Waiting): void {
    const { sealed } = first; // not `first`: what is read of it would be held until the file is deleted
    this.#active.add(sealed);
    this.#placesTaken++;
    let hasPlace = true;
    const leavePlace = (): void => {
      if (hasPlace) this.#placesTaken--;
      hasPlace = false;
    };
    const leave = (): void => {
      leavePlace();
      for (const each of [this.#resting, this.#aside]) each.leaves(sealed);
      this.#goOn();
    };
    let again: SealedBatch | null = null;
    this.#confirm(first, { leave, comeAgain: (each) => this.#ahead.addAgain((again = each)) })
      .then(async (confirmed) => {
        if (confirmed !== null) await this.#remove(confirmed, leavePlace);
        return confirmed !== null;
      })
      .then(
        (isWell) => {
          this.#active.delete(sealed);
          leavePlace();
          if (again === null) {
            this.#aside.ended(sealed);
            this.#resting.ended(sealed, isWell);
          }
          this.#goOn();
        },
        (error: unknown) => void this.destroy(asError(error)),
      );
  }

  /** From the disk to the sink. `null`: it ended early, with nothing lost, because the server stops. */
  async #confirm({ sealed, read }: Waiting, place: Place): Promise<Settled | null> {
    if (this.#stopping.signal.aborted) {
      await read; // its file is open
      return null;
    }
    const batch = await this.#reads.read(sealed, read, place);
    if (batch === null || this.#stopping.signal.aborted) return null;
    this.#aside.read(batch);
    const { name, fileBytes } = batch;
    if (sealed.leftover) this.#line('Replaying batch', `${name} (${batch.events} events)`, batch);
    const course = this.#resting.take(batch) ?? new FileCourse(batch);
    const { taken } = course;
    const mayHaveLetters = sealed.leftover || sealed.past === 'aside';
    const settlement = await settleFile(batch, course, mayHaveLetters, this.#settling);
    const delivered = course.taken - taken;
    if (delivered > 0) this.deliverySeconds.observe((performance.now() - sealed.bornMs) / 1000, delivered);
    // it may be looked for among those that nobody has
    if (settlement?.notKept !== null) this.#active.delete(sealed);
    if (settlement === null) {
      if (this.#stopping.signal.aborted) return null;
      const aside = { ...sealed, events: batch.events, past: 'aside' } as const;
      this.#log.forget(sealed);
      if (!this.#resting.add(aside, course, delivered > 0)) this.#aside.forget(aside);
    } else if (settlement.notKept === null) {
      const { events, deadLettered } = settlement;
      return { sealed, name, events, fileBytes, deadLettered };
    } else this.#aside.add(sealed, batch, settlement.refused, settlement.notKept);
    if (sealed.past !== 'aside') this.emit('aside', sealed);
    return null;
  }

  /** Off the disk, without a place: its dead letters had to wait. */
  async #removeAside(batch: Settled): Promise<void> {
    this.#active.add(batch.sealed);
    await this.#remove(batch, () => undefined);
    this.#active.delete(batch.sealed);
    this.#goOn();
  }

  /** Off the disk. Its bytes are let go before: many deletions may wait for a disk that hangs. */
  async #remove(batch: Settled, leavePlace: () => void): Promise<void> {
    const deleting = this.#deletions.run(batch, leavePlace);
    this.#goOn();
    const deleted = await deleting;
    if (!deleted) return;
    this.delivered += batch.events - batch.deadLettered;
    this.deadLettered += batch.deadLettered;
    const kind = batch.sealed.leftover ? 'Successfully replayed and deleted' : 'Deleted batch file';
    this.#line(kind, batch.name, batch);
    this.emit('gone', batch.sealed);
  }

  #line(kind: BatchLineKind, text: string, { name, events }: Pick<DeletedBatch, 'name' | 'events'>): void {
    this.#lines.batch({ kind, text, batch: name, events });
  }
}
