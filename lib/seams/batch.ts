import type { Event } from '../event/event.js';
import { NO_CONTEXTS } from './event-contexts.js';
import type { EventContexts } from './event-contexts.js';

/** A batch that is in the log and not settled, or several that leave it together. */
export interface PendingBatch {
  readonly name: string;
  /** `null` if the number is not known before the batch is read. */
  readonly events: number | null;
  /** The size of the batch in the log, in bytes. */
  readonly logBytes: number;
  /** Whether all of `logBytes` is known to be acknowledged. */
  readonly isAcknowledged: boolean;
  /** When it was created, in milliseconds of `performance.now()`: below 0 if that was before this process. */
  readonly bornMs: number;
  /** Whether an earlier run left it. */
  readonly leftover: boolean;
  /**
   * What this run has done with it. `read`: its events are counted; `offered`: also, it has been to the sink and has left its
   * place. `null`: nothing.
   */
  readonly past: 'read' | 'offered' | null;
  /** Set if the log keeps it compressed. */
  readonly compressed?: Compressed | undefined;
}

/** How a log keeps a batch compressed. */
export interface Compressed {
  /** What the name of its file has after that of the batch. */
  readonly ending: string;
  /** What it takes in memory when it is read, in bytes; about, if that is not known before. */
  readonly readBytes: number;
}

const LINE_FEED = 0x0a;

export interface BatchContent {
  readonly name: string;
  /** Or a function that finds it: that takes a digest of all bytes, and not every sink needs it. */
  readonly key: string | (() => string);
  readonly events: number;
  readonly bytes: Buffer<ArrayBuffer>;
  /** Without: none of its events has one. */
  readonly contexts?: EventContexts;
}

/** A batch as a sink gets it. Iterating over it parses its events one by one. */
export class Batch implements Iterable<Event> {
  /**
   * The name of its file, as in log lines. One batch of several in a file has its range after it: `….jsonl#101-200`, and so
   * has a part of a batch: `….jsonl#1-50`.
   */
  readonly name: string;
  /**
   * Identifies the batch if it comes again: the same at each attempt, also after a crash, and never that of other
   * events, from any server. The sink `http` sends it as `Idempotency-Key`.
   */
  readonly key!: string;
  /** How many events. */
  readonly events: number;
  /** NDJSON: one event per line, each ended by LF. Numbers have all their digits, as they were sent. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** What came beside each event, by its place in the batch; empty if none has a context. */
  readonly contexts: EventContexts;
  #key: BatchContent['key'];

  /**
   * Each batch has it as a property of its own, so that copies have it. All share this description: V8 remembers a new
   * one for each batch, with all that its function refers to, until the next full collection (decision 72).
   */
  static readonly #KEY: PropertyDescriptor & ThisType<Batch> = {
    enumerable: true,
    get() {
      if (typeof this.#key !== 'string') this.#key = this.#key();
      return this.#key;
    },
  };

  constructor({ name, key, events, bytes, contexts = NO_CONTEXTS }: BatchContent) {
    this.name = name;
    this.#key = key;
    Object.defineProperty(this, 'key', Batch.#KEY);
    this.events = events;
    this.bytes = bytes;
    this.contexts = contexts;
  }

  /** As `JSON.parse` reads them: an integer of more than 15 digits may lose precision. */
  *[Symbol.iterator](): Generator<Event, void, undefined> {
    for (let start = 0; start < this.bytes.length;) {
      const end = this.bytes.indexOf(LINE_FEED, start);
      yield JSON.parse(this.bytes.toString('utf8', start, end)) as Event;
      start = end + 1;
    }
  }
}

/** One batch of several in a file, or consecutive events of a batch that is too large for memory. */
export interface Piece {
  readonly events: number;
  /** It may have fewer events by now. @throws as `EventLog.read` */
  read(): Promise<Batch>;
}

/** A batch that was read from the log. */
export class StoredBatch extends Batch {
  /** The size of the batch in the log, in bytes. */
  readonly logBytes: number;
  /** The batches of a file of several, or the pieces of a large batch, one at a time. If there are none, the events are in `bytes`. */
  readonly pieces: readonly Piece[];

  constructor(batch: BatchContent, logBytes: number, pieces: readonly Piece[] = []) {
    super(batch);
    this.logBytes = logBytes;
    this.pieces = pieces;
  }

  /** A batch without pieces is one piece. @throws as `EventLog.read` */
  async piece(index: number): Promise<Batch> {
    return this.pieces[index]?.read() ?? this;
  }
}

/** What is known of a batch when it is taken off the log. Its bytes are dropped before. */
export interface SettledBatch {
  readonly name: string;
  readonly events: number;
  readonly logBytes: number;
}
