import { setMaxListeners } from 'node:events';
import { Writable } from 'node:stream';
import { DrainRate } from '../base/drain-rate.js';
import { asError } from '../base/errors.js';
import { Histogram, LONG_SECONDS } from '../base/histogram.js';
import type { Reporter } from '../base/reporter.js';
import { BatchesAside } from '../delivery/batches-aside.js';
import { FileCourse } from '../delivery/file-course.js';
import { settleFile } from '../delivery/file-settlement.js';
import type { Settling } from '../delivery/file-settlement.js';
import { PatientReads } from '../delivery/patient-reads.js';
import { PauseGate } from '../delivery/pause-gate.js';
import { ReadAhead } from '../delivery/read-ahead.js';
import type { Waiting } from '../delivery/read-ahead.js';
import { RestingBatches } from '../delivery/resting-batches.js';
import { Retries } from '../delivery/retries.js';
import { Settler } from '../delivery/settler.js';
import type { SinkState } from '../delivery/settler.js';
import type { PendingBatch, SettledBatch } from '../seams/batch.js';
import type { EventLog } from '../seams/event-log.js';
import type { DeliveryOptions } from './delivery-options.js';

/**
 * During catch-up, at most this many settled batches wait for their deletion before delivery pauses: a crash redelivers
 * them. With fewer, a sink that is faster than the disk waits for it.
 */
const DELETIONS_MAX = 32;

type Done = (error?: Error | null) => void;

/** A batch whose events the sink has, or the dead letters. */
interface Settled extends SettledBatch {
  readonly pending: PendingBatch;
  readonly deadLettered: number;
}

/**
 * Delivers each batch to the sink until each of its events is confirmed or a dead letter, then takes it off the log (N9): the
 * only way out, but for damage. A failure is retried without end, and nothing but this stage waits for it.
 *
 * A batch has a place while it is read and settled; there are `sinkConcurrency` of them. Deletions have a bound of their
 * own. A batch that cannot be read, that the sink fails at, or whose dead letters have no room leaves its place and gets
 * another turn (N11).
 *
 * Emits `gone` with a batch that is off the log, `left` with one that has been to the sink and left its place for the first
 * time, and `failure` with the error of each failed attempt.
 */
export class Delivery extends Writable {
  /** Events that the sink confirmed and that are off the log. */
  delivered = 0;
  /** Events that the sink refused, that are among the dead letters and off the log. */
  deadLettered = 0;
  /** From the first event of a batch until the sink confirmed it, once for each event that it took, in seconds. */
  readonly deliverySeconds = new Histogram(LONG_SECONDS);
  /** How fast the sink takes or refuses what waits, of `pendingBytes`. A batch of a large file counts before the file is off the log. */
  readonly drain = new DrainRate();
  readonly #log: EventLog;
  readonly #reporter: Reporter;
  #placesTaken = 0;
  #deleting = 0;
  /** Settled batches that keep their places until they are off the log. */
  readonly #lingering = new Set<Settled>();
  /** Aborted to start no further attempt. */
  readonly #stopping = new AbortController();
  readonly #gate: PauseGate;
  readonly #settler: Settler;
  readonly #settling: Settling;
  readonly #ahead: ReadAhead;
  readonly #reads: PatientReads;
  readonly #aside: BatchesAside;
  readonly #resting: RestingBatches;
  /** Batches that have a place, or are being taken off the log, oldest first. */
  readonly #active = new Set<PendingBatch>();
  /** The newest batch that has come. */
  #newest: string | null = null;
  /** Asks for the next batch; set while enough wait. */
  #next: (() => void) | null = null;
  #whenIdle: (() => void) | null = null;

  constructor(options: DeliveryOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    const { log, reporter, random = Math.random, asideBytesMax: memoryBytesMax } = options;
    const { gate = new PauseGate() } = options;
    this.#log = log;
    this.#reporter = reporter;
    this.#ahead = new ReadAhead(log);
    const stopping = this.#stopping.signal;
    setMaxListeners(0, stopping); // one for each batch that waits for its next attempt
    const failed = (error: Error): void => void this.emit('failure', error);
    const retries = new Retries({ reporter, stopping, random, failed });
    const othersWait = (): boolean => !this.#ahead.isEmpty || this.#resting.isAnyOpen;
    const settler = new Settler({ ...options, gate, random, stopping, retries, othersWait });
    this.#settler = settler;
    this.#settling = { log, retries, settler };
    const rests = (): void => this.#goOn();
    const deliver = (pending: PendingBatch): void => {
      this.#ahead.addAgain(pending);
      this.#goOn();
    };
    const waiting = { log, reporter, retries, stopping, random, deliver, rests, memoryBytesMax };
    this.#reads = new PatientReads(waiting);
    this.#resting = new RestingBatches({ ...waiting, othersWait: () => !this.#ahead.isEmpty });
    this.#aside = new BatchesAside({
      ...waiting,
      keep: async (batch, refused) => settler.keep(batch, refused),
      settled: async (batch) => this.#deleteAside(batch),
      busy: () => {
        const names = [...this.#active, ...this.#ahead.batches].map(({ name }) => name);
        return [...names, ...this.#reads.away, ...this.#resting.names];
      },
      newest: () => this.#newest,
      broke: (error) => void this.destroy(error),
    });
    this.#gate = gate.on('turn', () => {
      this.drain.hold(gate.isClosed);
      this.#goOn();
    });
    this.drain.hold(gate.isClosed);
  }

  /** Attempts that failed, at the sink or at the log. */
  get failures(): number {
    return this.#settling.retries.failures;
  }

  /** When the oldest batch was created that is here, in milliseconds of `performance.now()`; `null`: there is none. */
  get oldestBornMs(): number | null {
    const [active] = this.#active;
    const here = [active, this.#ahead.first].map((batch) => batch?.bornMs ?? Infinity);
    const left = [this.#reads, this.#aside, this.#resting].map(({ oldestBornMs }) => oldestBornMs);
    const oldestMs = Math.min(...here, ...left);
    return oldestMs === Infinity ? null : oldestMs;
  }

  get active(): readonly PendingBatch[] {
    return [...this.#active];
  }

  get sinkState(): SinkState {
    const { isFull: deadLettersFull, batches: batchesAside } = this.#aside;
    return { ...this.#settler.state, deadLettersFull, batchesAside, isolatedEvents: this.#resting.events };
  }

  /** Batches aside that are known by name, not only counted. */
  get asideInMemory(): number {
    return this.#aside.inMemory;
  }

  /** Asks the sink at once if it is left alone. */
  probe(): void {
    this.#settler.probe();
  }

  /** Starts no further attempt; those that run may end. What is not confirmed stays in the log. */
  stop(): void {
    this.#stopping.abort();
    this.#goOn(); // what waits for the end of a pause has no attempt to wait for
  }

  /** Waits no longer for the attempts that run either. */
  abandon(): void {
    this.#stopping.abort();
    this.#settler.abandon();
  }

  override _write(pending: PendingBatch, _encoding: BufferEncoding, done: Done): void {
    if (this.#log.compare(this.#newest ?? pending.name, pending.name) <= 0) this.#newest = pending.name;
    this.#ahead.add(pending);
    this.#next = done;
    this.#goOn();
  }

  override _final(done: Done): void {
    this.#whenIdle = done;
    this.#goOn();
  }

  override _destroy(error: Error | null, done: Done): void {
    for (const each of [this.#settler, this.#reads, this.#aside, this.#resting]) each.end();
    done(error);
  }

  /** Gives free places to the batches that wait, oldest first, and asks for more. */
  #goOn(): void {
    if (this.#ahead.isLong) this.#lingering.clear();
    while (this.#hasPlace) {
      const first = this.#ahead.shift();
      if (first === null) break;
      this.#start(first);
    }
    if (!this.#ahead.isFull) {
      const next = this.#next;
      this.#next = null;
      next?.();
    }
    // a stop waits for what runs (N13)
    const rests = this.#reads.rests && this.#aside.rests;
    if (this.#active.size === 0 && this.#ahead.isEmpty && rests) {
      const whenIdle = this.#whenIdle;
      this.#whenIdle = null;
      whenIdle?.();
    }
  }

  /** With few after it, a batch is off the log before the next goes out; with many, the disk is not waited for. */
  get #hasPlace(): boolean {
    if (this.#gate.isClosed && !this.#stopping.signal.aborted) return false; // (N15)
    const isFree = this.#placesTaken + this.#lingering.size < this.#settler.concurrency;
    return isFree && this.#deleting < DELETIONS_MAX;
  }

  #start(first: Waiting): void {
    const { pending } = first; // not `first`: what is read of it would be held until the batch is off the log
    this.#active.add(pending);
    this.#placesTaken++;
    this.#settle(first)
      .then(async (settled) => {
        this.#placesTaken--;
        if (settled !== null) await this.#delete(settled);
        this.#active.delete(pending);
        if (this.#reads.isAway(pending)) {
          for (const each of [this.#resting, this.#aside]) each.leaves(pending);
        } else {
          this.#aside.ended(pending);
          this.#resting.ended(pending, settled !== null);
        }
        this.#goOn();
      })
      .catch((error: unknown) => void this.destroy(asError(error)));
  }

  /** One turn of a batch, from the log to the sink. `null`: not all of it is settled, and it stays in the log. */
  async #settle({ pending, read }: Waiting): Promise<Settled | null> {
    if (this.#stopping.signal.aborted) {
      await read; // its file is open (N13)
      return null;
    }
    const batch = await this.#reads.read(pending, read);
    if (batch === null || this.#stopping.signal.aborted) return null;
    this.#aside.read(batch);
    const { name, logBytes } = batch;
    if (pending.leftover) this.#reporter.batch({ what: 'replaying', batch: name, events: batch.events });
    const course = this.#resting.take(batch) ?? new FileCourse(batch);
    const { taken } = course;
    // an earlier attempt may have kept dead letters of it (N10)
    const mayHaveLetters = pending.leftover || pending.past === 'offered';
    const took = (events: number): void => {
      this.deliverySeconds.observe((performance.now() - pending.bornMs) / 1000, events);
      this.drain.add((this.#log.pendingBytesOf(batch) * events) / batch.events);
    };
    const settlement = await settleFile(batch, course, mayHaveLetters, this.#settling, took);
    if (settlement === null) {
      if (this.#stopping.signal.aborted) return null;
      const offered = { ...pending, events: batch.events, past: 'offered' } as const;
      this.#active.delete(pending); // before it is added below: the search for batches that nobody has must find it
      this.#log.forget(pending);
      if (!this.#resting.add(offered, course, course.taken > taken)) this.#aside.forget(offered);
    } else {
      const { events, deadLettered, notKept } = settlement;
      // each event is confirmed, or durable among the dead letters (N9)
      if (notKept === null) return { pending, name, events, logBytes, deadLettered };
      this.#active.delete(pending);
      this.#aside.add(pending, batch, notKept, deadLettered);
    }
    if (pending.past !== 'offered') this.emit('left', pending);
    return null;
  }

  /** Of a batch whose dead letters have room now: it needs no place. */
  async #deleteAside(batch: Settled): Promise<void> {
    this.#active.add(batch.pending);
    await this.#delete(batch, false);
    this.#active.delete(batch.pending);
    this.#goOn();
  }

  /** Takes a batch off the log, however often that fails. None of its bytes are in memory. */
  async #delete(batch: Settled, keepsPlace: boolean = true): Promise<void> {
    this.#deleting++;
    if (keepsPlace) this.#lingering.add(batch);
    const deleting = this.#settling.retries.untilDone('delete', batch, async () =>
      this.#log.delete(batch).catch((error: unknown) => {
        if (this.#lingering.delete(batch)) this.#goOn(); // once it has failed, it gives up its place
        throw error;
      }),
    );
    this.#goOn();
    const removal = await deleting;
    this.#deleting--;
    this.#lingering.delete(batch);
    if (removal === null) return; // the server stops: it is still pending (N12)
    this.delivered += batch.events - batch.deadLettered;
    this.deadLettered += batch.deadLettered;
    const { name, events, pending } = batch;
    this.drain.add((this.#log.pendingBytesOf(batch) * batch.deadLettered) / Math.max(1, events));
    this.#reporter.batch({ what: 'deleted', batch: name, events, leftover: pending.leftover, removal });
    this.emit('gone', pending);
  }
}
