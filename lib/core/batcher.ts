import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';
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
 * Bounds the batches of one group. A group waits for its slowest batch, so few large groups cost less: 64 instead of 16
 * cut the main thread's time for an event by a fifth, with batches of 100 in requests of 5,000. More gain little and starve
 * others of the thread pool.
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
  readonly #log: Pick<EventLog, 'bytesOf' | 'cutsBatches'>;
  /** Events that left the stream's buffer and are in no group yet, from `#next` on. */
  #ranges: EventRange[] = [];
  #next = 0;
  /** Events in groups since `#taken`. */
  #givenEvents = 0;
  #givenBytes = 0;
  /** Calls back the stream for the chunks in `#ranges`, once the log has all of them. */
  #taken: TransformCallback | null = null;
  #committerIsFree = false;
  #batch: OpenBatch | null = null;
  #timeIsUp = false;
  /** When the Committer got its group, and how long it took for the one before: the pace of the log. */
  #givenAtMs: number | null = null;
  #groupMs = 0;

  constructor(options: BatcherOptions, log: Pick<EventLog, 'bytesOf' | 'cutsBatches'>) {
    // a chunk holds an event at least, so the bound of the stream itself is never below that of the queue
    super({ objectMode: true, writableHighWaterMark: options.queueSize, readableHighWaterMark: 0 });
    this.#options = options;
    this.#log = log;
  }

  /**
   * Whether this many more events and bytes fit into the queue. To be asked before `queue()`: a `write()` that returns
   * `false` has taken its chunk all the same.
   */
  admits(events: number, bytes: number): boolean {
    const { queueSize, queueBytes } = this.#options;
    return this.queuedEvents + events <= queueSize && this.queuedBytes + bytes <= queueBytes;
  }

  /** Whether they would fit into an empty queue. */
  canEverAdmit(events: number, bytes: number): boolean {
    return events <= this.#options.queueSize && bytes <= this.#options.queueBytes;
  }

  /** Puts the events of a request into the queue; `admits` must have said yes. */
  queue(request: QueuedEvents): void {
    const events = request.block.length;
    this.queuedEvents += events;
    this.queuedBytes += this.#log.bytesOf(request.block, 0, events);
    // only the log may say success (N3); the stream's own callback says that the pipeline is gone
    this.write(request, (error) => {
      if (error) request.acknowledge(0, events, error);
    });
  }

  /** About how long the queue takes to empty, in milliseconds: its groups, each like the last one. */
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

  /** The Committer is done with the last group, and only then asks for the next (N2). */
  override _read(): void {
    this.#committerIsFree = true;
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
    // ends the write that runs; the stream then calls back all chunks that it holds, with the error
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

  /** The ranges for the next groups, without withdrawn ones. */
  #setRanges(ranges: readonly EventRange[]): void {
    this.#ranges = ranges.filter((range) => !this.#leaveOut(range));
    this.#next = 0;
  }

  #leaveOut({ request, from, to }: EventRange): boolean {
    if (!request.withdrawn) return false; // it has its answer already (N5)
    this.queuedEvents -= to - from;
    this.queuedBytes -= this.#log.bytesOf(request.block, from, to);
    request.acknowledge(from, to, new Error('withdrawn'));
    return true;
  }

  #give(): void {
    if (!this.#committerIsFree) return;
    const group = this.#nextGroup();
    if (group.length === 0) return;
    this.#committerIsFree = false;
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
    // where it ends has no meaning: the next group starts one of its own
    if (this.#log.cutsBatches === true && this.#batch !== null) this.#endBatch('size');
    return group;
  }

  /** The events at hand, up to the end of the batch. */
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
        const bytes = this.#log.bytesOf(range.request.block, range.from, to);
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

  /** The first of these events that does not fit into the batch. */
  #endInBatch({ request: { block }, from, to }: EventRange, { events, bytes }: OpenBatch): number {
    const { batchSize, batchBytes } = this.#options;
    const most = Math.min(to, from + batchSize - events);
    const fits = (end: number): boolean => bytes + this.#log.bytesOf(block, from, end) <= batchBytes;
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
