import { Writable } from 'node:stream';
import type { AppendLog } from '../logs/file/append-log.js';
import type { SealedBatch } from '../seams/batch.js';
import type { BatchFile } from '../logs/file/batch-file.js';
import { writeMarkedLine } from '../logs/file/checksum.js';
import { asError, ForebayError } from '../base/errors.js';
import { EVENTS, Histogram, SECONDS } from '../base/histogram.js';
import type { LogLines } from '../base/reporter.js';
import type { DiskWatch } from '../intake/disk-watch.js';
import type { BatchEnd, BatchPart, EventRange, Group } from './batcher.js';
import { count } from '../base/words.js';

export interface BatchWriterOptions {
  readonly log: AppendLog;
  /** Is told whether the disk takes events. */
  readonly disk: DiskWatch;
  readonly lines: LogLines;
  /** Takes each batch when it is sealed, in the order of names. */
  readonly sealed: (batch: SealedBatch) => void;
}

/**
 * Appends each part of a group to its batch's file, flushes, and only then calls each event's acknowledgement,
 * with success or with the error. Seals the file where the Batcher ended the batch.
 *
 * A disk that fails refuses the events at hand and never stops the pipeline: the file is given up with what
 * was acknowledged before, and the next events get a new one.
 */
export class BatchWriter extends Writable {
  /** Events acknowledged: they are on disk. */
  accepted = 0;
  /** Events that could not be put on disk: their clients got the error. */
  failed = 0;
  /** Batches sealed, by the limit that ended them. */
  readonly sealedBy: Record<BatchEnd | 'failure', number> = {
    size: 0,
    bytes: 0,
    time: 0,
    stop: 0,
    failure: 0,
  };
  /** How many events were written and flushed together, and what that took. */
  readonly groupEvents = new Histogram(EVENTS);
  readonly groupSeconds = new Histogram(SECONDS);
  readonly #disk: DiskWatch;
  readonly #log: AppendLog;
  readonly #lines: LogLines;
  readonly #sealed: (batch: SealedBatch) => void;
  /** The file of the batch that has not ended yet. */
  #file: BatchFile | null = null;

  constructor({ log, disk, lines, sealed }: BatchWriterOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#log = log;
    this.#lines = lines;
    this.#sealed = sealed;
    this.#disk = disk;
  }

  /** When the file was made that is written, in milliseconds of `performance.now()`; `null` where there is none with events. */
  get openBornMs(): number | null {
    return this.#file !== null && this.#file.events > 0 ? this.#file.bornMs : null;
  }

  override _write(group: Group, _encoding: BufferEncoding, done: (error?: Error | null) => void): void {
    this.#commit(group).then(() => {
      done();
    }, done);
  }

  /** The parts belong to different files, so they are written and flushed side by side. */
  async #commit(group: Group): Promise<void> {
    const startMs = performance.now();
    const files = await Promise.all(
      group.map((part, index) => this.#commitPart(part, index === 0 ? this.#file : null)),
    );
    const events = group.reduce((sum, part) => sum + part.events, 0);
    if (events > 0) {
      this.groupEvents.observe(events);
      this.groupSeconds.observe((performance.now() - startMs) / 1000);
    }
    this.#file = null;
    for (const [index, file] of files.entries()) {
      const end = group[index]?.end ?? null;
      if (file === null) continue;
      if (file.failed) this.#seal(file, 'failure');
      else if (end !== null) this.#seal(file, end);
      else this.#file = file;
    }
  }

  /** Never throws: an error goes to the events. Gives back the part's file, `null` where none came to be. */
  async #commitPart(part: BatchPart, open: BatchFile | null): Promise<BatchFile | null> {
    let file = open?.failed === true ? null : open;
    if (open !== file && open !== null) this.#seal(open, 'failure');
    if (part.events === 0) return file;
    try {
      file ??= await this.#log.create();
      const run = file.bytes === 0 ? this.#log.runMark : null;
      await this.#log.append(file, logLines(part, run), part.events);
      this.accepted += part.events;
      this.#disk.took();
      acknowledge(part.ranges, null);
    } catch (error) {
      this.#refuse(part, asError(error));
    }
    return file;
  }

  #refuse({ ranges, events }: BatchPart, cause: Error): void {
    this.failed += events;
    const error =
      cause instanceof ForebayError ? cause : new ForebayError('LOG_FAILED', { cause, retryAfterMs: 1000 });
    const why = asError(error.cause ?? error).message;
    const clients = events === 1 ? 'its client was' : 'their clients were';
    const text = `${count(events, 'event')} could not be put into ${this.#log.path('')} (${why}); ${clients} told to retry`;
    const { code } = error;
    const line = { kind: 'Append failed', code, text, batch: '', events, error: cause } as const;
    // a full disk refuses events for hours: the log says so when it starts, and the counts go on
    if (this.#disk.refused(error)) this.#lines.batch(line);
    else this.#lines.recent.add(line);
    acknowledge(ranges, error);
  }

  #seal(file: BatchFile, end: BatchEnd | 'failure'): void {
    const batch = this.#log.seal(file);
    if (batch === null) return;
    this.sealedBy[end]++;
    const { name, events } = file;
    this.#lines.batch({ kind: 'Wrote batch to', text: `${name} (${events} events)`, batch: name, events });
    this.#sealed(batch);
  }
}

function acknowledge(ranges: readonly EventRange[], error: Error | null): void {
  for (const { request, from, to } of ranges) request.acknowledge(to - from, error);
}

/**
 * One buffer for one write. A copy also where it is one request: what is kept of it would hold all of that.
 *
 * @param run the mark of the run, where they are the first lines of their file
 */
function logLines({ ranges, bytes }: BatchPart, run: Buffer | null): Buffer {
  const joined = Buffer.allocUnsafe(bytes + (run?.length ?? 0));
  let at = 0;
  for (const { request, from, to } of ranges) {
    const { lines } = request;
    for (let index = from; index < to; index++) {
      const mark = at === 0 ? run : null;
      at = writeMarkedLine(joined, at, lines.bytes, lines.startOf(index), lines.startOf(index + 1), mark);
    }
  }
  return joined;
}
