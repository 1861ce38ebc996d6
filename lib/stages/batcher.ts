import { Transform } from 'node:stream';
import type { TransformCallback } from 'node:stream';

/** Who sent events: a request with one event or many. */
export interface EventOwner {
  /** Whether it was told not to count on its events: those that the writer has not begun with are not written. */
  readonly withdrawn: boolean;
  /** Called when so many of its events are on disk, or with the error that kept them from there. */
  acknowledge(events: number, error: Error | null): void;
}

/** An event on its way to the disk. */
export interface QueuedEvent {
  /** Its line in the append log, without mark and line break. */
  readonly line: string;
  /** How much it takes of the append log, in bytes. */
  readonly bytes: number;
  readonly owner: EventOwner;
}

/** Which limit ended a batch; `stop`: the server stops. */
export type BatchEnd = 'size' | 'bytes' | 'time' | 'stop';

/** Events that go into one batch, one after the other; none where a batch ends by time. */
export interface BatchPart {
  readonly events: readonly QueuedEvent[];
  /** Set where the batch ends behind these events: the next part begins a new one. */
  readonly end: BatchEnd | null;
}

/** What is written and flushed together: the group commit. Parts of different batches, in order. */
export type Group = readonly BatchPart[];

export interface BatcherOptions {
  /** The bound of the queue, in events. */
  readonly queueSize: number;
  /** The bound of the queue, in bytes of event lines. */
  readonly queueBytes: number;
  /** A batch ends at so many events, */
  readonly batchSize: number;
  /** or at so many bytes (an event larger than this is a batch of its own), */
  readonly batchBytes: number;
  /** or so long after its first event, in milliseconds. */
  readonly batchWaitMs: number;
}

/** Bounds the files that one group commit holds open. */
const GROUP_PARTS_MAX = 16;

interface OpenBatch {
  events: number;
  bytes: number;
  readonly timer: NodeJS.Timeout;
}

/**
 * Events in, groups out: decides which events are written together and where a batch ends. No I/O.
 *
 * The writable side is the queue. `_writev` takes all events at hand but calls back only when the writer is
 * done with the last of them: until then they count in `writableLength`, so the queue's bound holds for every
 * event that is not on disk yet, and the events that arrive meanwhile are the next group. The readable side
 * holds nothing (`readableHighWaterMark: 0`): a read means that the writer is free.
 *
 * No event waits for its batch to fill: a group leaves as soon as the writer can take it.
 */
export class Batcher extends Transform {
  /** The bytes of the events in the queue. */
  queuedBytes = 0;
  readonly #options: BatcherOptions;
  /** The events taken from the stream's buffer, from `#next` on not yet given to the writer. */
  #events: readonly QueuedEvent[] = [];
  #next = 0;
  /** Tells the stream that the writer is done with `#events`. */
  #taken: TransformCallback | null = null;
  #writerIsFree = false;
  #batch: OpenBatch | null = null;
  #timeIsUp = false;
  /** When the writer was given a group, and how long it took for the last one: the pace of the disk. */
  #givenAtMs: number | null = null;
  #groupMs = 0;

  constructor(options: BatcherOptions) {
    super({ objectMode: true, writableHighWaterMark: options.queueSize, readableHighWaterMark: 0 });
    this.#options = options;
  }

  /**
   * Whether so many events fit into the queue together: the one condition of admission. Asked before the first
   * `write()`, because a `write()` that returns `false` has taken its event all the same.
   */
  admits(events: number, bytes: number): boolean {
    return (
      this.writableLength + events <= this.writableHighWaterMark &&
      this.queuedBytes + bytes <= this.#options.queueBytes
    );
  }

  /** Whether so many events could fit into an empty queue. */
  canEverAdmit(events: number, bytes: number): boolean {
    return events <= this.writableHighWaterMark && bytes <= this.#options.queueBytes;
  }

  /** Puts an event into the queue; `admits` must have said yes. */
  queue(event: QueuedEvent): void {
    this.queuedBytes += event.bytes;
    // Only the writer may say success; the stream's own callback says that the pipeline is gone.
    this.write(event, (error) => {
      if (error) event.owner.acknowledge(1, error);
    });
  }

  /** About how long the queue takes to empty, in milliseconds: so many groups, each like the last one. */
  get drainMs(): number {
    const groups = Math.ceil(this.writableLength / (GROUP_PARTS_MAX * this.#options.batchSize));
    const running = this.#givenAtMs === null ? 0 : performance.now() - this.#givenAtMs;
    return groups * Math.max(running, this.#groupMs);
  }

  override _write(event: QueuedEvent, _encoding: BufferEncoding, taken: TransformCallback): void {
    this.#take([event], taken);
  }

  override _writev(chunks: { chunk: QueuedEvent }[], taken: TransformCallback): void {
    this.#take(
      chunks.map(({ chunk }) => chunk),
      taken,
    );
  }

  /** The writer has taken in and finished what it was given. */
  override _read(): void {
    this.#writerIsFree = true;
    if (this.#givenAtMs !== null) this.#groupMs = performance.now() - this.#givenAtMs;
    this.#givenAtMs = null;
    if (this.#next < this.#events.length) {
      const given = this.#events.slice(0, this.#next);
      this.#events = [...given, ...this.#events.slice(this.#next).filter((event) => !this.#leaveOut(event))];
    }
    if (this.#taken !== null && this.#next === this.#events.length) {
      const taken = this.#taken;
      this.#taken = null;
      for (const { bytes } of this.#events) this.queuedBytes -= bytes;
      this.#events = [];
      this.#next = 0;
      taken(); // calls _writev at once if events have gathered
    }
    this.#give();
  }

  override _flush(done: TransformCallback): void {
    const end = this.#batch === null ? null : this.#endBatch('stop');
    done(null, end === null ? undefined : [{ events: [], end }]);
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    clearTimeout(this.#batch?.timer);
    // Ends the write that runs; the stream then calls back all events that it holds, with the error.
    this.#taken?.(error ?? new Error('the pipeline was destroyed'));
    done(error);
  }

  #take(events: readonly QueuedEvent[], taken: TransformCallback): void {
    this.#events = events.filter((event) => !this.#leaveOut(event));
    this.#next = 0;
    if (this.#events.length === 0) {
      taken();
      return;
    }
    this.#taken = taken;
    this.#give();
  }

  #leaveOut(event: QueuedEvent): boolean {
    if (!event.owner.withdrawn) return false;
    this.queuedBytes -= event.bytes;
    event.owner.acknowledge(1, new Error('withdrawn'));
    return true;
  }

  #give(): void {
    if (!this.#writerIsFree) return;
    const group = this.#nextGroup();
    if (group.length === 0) return;
    this.#writerIsFree = false;
    this.#givenAtMs = performance.now();
    this.push(group);
  }

  #nextGroup(): BatchPart[] {
    const group: BatchPart[] = [];
    if (this.#timeIsUp) group.push({ events: [], end: this.#endBatch('time') });
    while (this.#next < this.#events.length && group.length < GROUP_PARTS_MAX) group.push(this.#nextPart());
    return group;
  }

  /** The events at hand up to the end of the batch. */
  #nextPart(): BatchPart {
    const { batchSize, batchBytes, batchWaitMs } = this.#options;
    this.#batch ??= {
      events: 0,
      bytes: 0,
      timer: setTimeout(() => {
        this.#onTimeUp();
      }, batchWaitMs),
    };
    const batch = this.#batch;
    const start = this.#next;
    for (let event = this.#events[start]; event !== undefined; event = this.#events[this.#next]) {
      if (batch.events > 0 && batch.bytes + event.bytes > batchBytes) {
        return { events: this.#events.slice(start, this.#next), end: this.#endBatch('bytes') };
      }
      batch.events++;
      batch.bytes += event.bytes;
      this.#next++;
      if (batch.events === batchSize) {
        return { events: this.#events.slice(start, this.#next), end: this.#endBatch('size') };
      }
    }
    return { events: this.#events.slice(start), end: null };
  }

  #endBatch(end: BatchEnd): BatchEnd {
    clearTimeout(this.#batch?.timer);
    this.#batch = null;
    this.#timeIsUp = false;
    return end;
  }

  #onTimeUp(): void {
    this.#timeIsUp = true;
    this.#give();
  }
}
