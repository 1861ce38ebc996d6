import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
import type { EventBlock } from '../event/event-block.js';
import type { BatchEnd, BatchPart, EventLog, EventRange, QueuedEvents } from '../seams/event-log.js';

export interface BatcherOptions {
  /** The bound of the queue, in events. */
  readonly queueSize: number;
  /** The bound of the queue, in bytes of event lines. */
  readonly queueBytes: number;
  /** A batch ends at this many events, */
  readonly batchSize: number;
  /** or this many bytes (a larger event is a batch by itself), */
  readonly batchBytes: number;
  /** or this long after its first event, in milliseconds. */
  readonly batchWaitMs: number;
}

/**
 * Bounds the batches of one group commit. Each group waits for its slowest batch, so few large groups cost less: at 64
 * instead of 16, with batches of 100 in requests of 5,000, the main thread takes 0.8 times as long for an event. More gain
 * little and keep the thread pool from others.
 */
const GROUP_PARTS_MAX = 64;

interface OpenBatch {
  events: number;
  bytes: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Events in, groups out: decides which events are appended together and where a batch ends. No I/O.
 *
 * The writable side is the queue; a chunk is the events of one request. `_writev` takes all that is at hand but calls
 * back only when the Committer is done with the last of it: until then it stays in the stream's buffer and counts in
 * `queuedEvents` and `queuedBytes`, so the bounds of the queue hold for each event that is not in the log yet (N2), and
 * what arrives meanwhile is the next group. The readable side holds nothing (`readableHighWaterMark: 0`): a read means
 * that the Committer is free.
 *
 * No event waits for its batch to fill: a group leaves as soon as the Committer can take it.
 */
export class Batcher extends Transform {
  /** The events in the queue. */
  queuedEvents = 0;
  /** Their bytes. */
  queuedBytes = 0;
  readonly #options: BatcherOptions;
  readonly #log: Pick<EventLog, 'bytesOf'>;
  /** What was taken from the stream's buffer and not given to the writer yet, from `#next` on. */
  #ranges: EventRange[] = [];
  #next = 0;
  /** What was given to the writer since `#taken`. */
  #givenEvents = 0;
  #givenBytes = 0;
  /** Tells the stream that the writer is done with what was taken. */
  #taken: TransformCallback | null = null;
  #writerIsFree = false;
  #batch: OpenBatch | null = null;
  #timeIsUp = false;
  /** When the writer was given a group, and how long it took for the last one: the pace of the disk. */
  #givenAtMs: number | null = null;
  #groupMs = 0;

  constructor(options: BatcherOptions, log: Pick<EventLog, 'bytesOf'>) {
    // a chunk holds an event at least, so the bound of the stream itself is never below that of the queue
    super({ objectMode: true, writableHighWaterMark: options.queueSize, readableHighWaterMark: 0 });
    this.#options = options;
    this.#log = log;
  }

  /**
   * Whether so many events fit into the queue together: the one condition of admission. Asked before the
   * `write()`, because a `write()` that returns `false` has taken its events all the same.
   */
  admits(events: number, bytes: number): boolean {
    const { queueSize, queueBytes } = this.#options;
    return this.queuedEvents + events <= queueSize && this.queuedBytes + bytes <= queueBytes;
  }

  /** Whether so many events could fit into an empty queue. */
  canEverAdmit(events: number, bytes: number): boolean {
    return events <= this.#options.queueSize && bytes <= this.#options.queueBytes;
  }

  /** Puts the events of a request into the queue; `admits` must have said yes. */
  queue(request: QueuedEvents): void {
    const events = request.block.length;
    this.queuedEvents += events;
    this.queuedBytes += this.#bytesOf(request.block, 0, events);
    // Only the writer may say success; the stream's own callback says that the pipeline is gone.
    this.write(request, (error) => {
      if (error) request.acknowledge(events, error);
    });
  }

  /** About how long the queue takes to empty, in milliseconds: so many groups, each like the last one. */
  get drainMs(): number {
    const groups = Math.ceil(this.queuedEvents / (GROUP_PARTS_MAX * this.#options.batchSize));
    const running = this.#givenAtMs === null ? 0 : performance.now() - this.#givenAtMs;
    return groups * Math.max(running, this.#groupMs);
  }

  override _write(request: QueuedEvents, _encoding: BufferEncoding, taken: TransformCallback): void {
    this.#take([allOf(request)], taken);
  }

  override _writev(chunks: { chunk: QueuedEvents }[], taken: TransformCallback): void {
    this.#take(
      chunks.map(({ chunk }) => allOf(chunk)),
      taken,
    );
  }

  /** The writer has taken in and finished what it was given. */
  override _read(): void {
    this.#writerIsFree = true;
    if (this.#givenAtMs !== null) this.#groupMs = performance.now() - this.#givenAtMs;
    this.#givenAtMs = null;
    if (this.#next < this.#ranges.length) this.#setRanges(this.#ranges.slice(this.#next));
    if (this.#taken !== null && this.#next === this.#ranges.length) {
      const taken = this.#taken;
      this.#taken = null;
      this.queuedEvents -= this.#givenEvents;
      this.queuedBytes -= this.#givenBytes;
      this.#givenEvents = 0;
      this.#givenBytes = 0;
      this.#setRanges([]);
      taken(); // calls _writev at once if events have gathered
    }
    this.#give();
  }

  override _flush(done: TransformCallback): void {
    done(null, this.#batch === null ? undefined : [this.#emptyPart('stop')]);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#batch?.timer);
    // Ends the write that runs; the stream then calls back all requests that it holds, with the error.
    this.#taken?.(error ?? new Error('the pipeline was destroyed'));
    done(error);
  }

  #take(ranges: readonly EventRange[], taken: TransformCallback): void {
    this.#setRanges(ranges);
    if (this.#ranges.length === 0) {
      taken();
      return;
    }
    this.#taken = taken;
    this.#give();
  }

  /** What is to be given next, without what was withdrawn. */
  #setRanges(ranges: readonly EventRange[]): void {
    this.#ranges = ranges.filter((range) => !this.#leaveOut(range));
    this.#next = 0;
  }

  #leaveOut({ request, from, to }: EventRange): boolean {
    if (!request.withdrawn) return false;
    this.queuedEvents -= to - from;
    this.queuedBytes -= this.#bytesOf(request.block, from, to);
    request.acknowledge(to - from, new Error('withdrawn'));
    return true;
  }

  #give(): void {
    if (!this.#writerIsFree) return;
    const group = this.#nextGroup();
    if (group.length === 0) return;
    this.#writerIsFree = false;
    this.#givenAtMs = performance.now();
    for (const { events, bytes } of group) {
      this.#givenEvents += events;
      this.#givenBytes += bytes;
    }
    this.push(group);
  }

  #nextGroup(): BatchPart[] {
    const group: BatchPart[] = [];
    if (this.#timeIsUp) group.push(this.#emptyPart('time'));
    while (this.#next < this.#ranges.length && group.length < GROUP_PARTS_MAX) group.push(this.#nextPart());
    return group;
  }

  /** The events at hand up to the end of the batch. */
  #nextPart(): BatchPart {
    const batch = (this.#batch ??= this.#newBatch());
    const part = { ranges: [] as EventRange[], events: 0, bytes: 0, end: null as BatchEnd | null };
    while (part.end === null) {
      const range = this.#ranges[this.#next];
      if (range === undefined) break;
      const to = this.#endInBatch(range, batch);
      const isWhole = to === range.to;
      if (isWhole) this.#next++;
      else this.#ranges[this.#next] = { ...range, from: to };
      if (to > range.from) {
        const bytes = this.#bytesOf(range.request.block, range.from, to);
        part.ranges.push(isWhole ? range : { ...range, to });
        part.events += to - range.from;
        part.bytes += bytes;
        batch.events += to - range.from;
        batch.bytes += bytes;
      }
      if (batch.events === this.#options.batchSize) part.end = this.#endBatch('size');
      else if (!isWhole) part.end = this.#endBatch('bytes');
    }
    return part;
  }

  /** The first of these events that does not go into the batch any more. */
  #endInBatch({ request: { block }, from, to }: EventRange, { events, bytes }: OpenBatch): number {
    const { batchSize, batchBytes } = this.#options;
    const most = Math.min(to, from + batchSize - events);
    const fits = (end: number): boolean => bytes + this.#bytesOf(block, from, end) <= batchBytes;
    if (fits(most)) return most;
    let end = events === 0 ? from + 1 : from; // an event that is larger than this is a batch of its own
    while (end < most && fits(end + 1)) end++;
    return end;
  }

  #newBatch(): OpenBatch {
    const timer = setTimeout(() => {
      this.#timeIsUp = true;
      this.#give();
    }, this.#options.batchWaitMs);
    return { events: 0, bytes: 0, timer };
  }

  #emptyPart(end: BatchEnd): BatchPart {
    return { ranges: [], events: 0, bytes: 0, end: this.#endBatch(end) };
  }

  /** What some events take of the log. */
  #bytesOf(block: EventBlock, from: number, to: number): number {
    return this.#log.bytesOf(to - from, block.startOf(to) - block.startOf(from));
  }

  #endBatch(end: BatchEnd): BatchEnd {
    clearTimeout(this.#batch?.timer);
    this.#batch = null;
    this.#timeIsUp = false;
    return end;
  }
}

function allOf(request: QueuedEvents): EventRange {
  return { request, from: 0, to: request.block.length };
}
