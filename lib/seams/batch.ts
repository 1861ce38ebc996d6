import type { Event } from '../event/event.js';
import type { Piece } from '../logs/file/large-file.js';

/** A sealed batch file. */
export interface SealedBatch {
  readonly name: string;
  /** How much of the file is acknowledged, in bytes; `null`: all of it, as far as is known. */
  readonly acknowledgedBytes: number | null;
  /** How many events that is; `null` where it is not known before the file is read. */
  readonly events: number | null;
  /** The size of the file, in bytes. */
  readonly fileBytes: number;
  /** When its file was made, in milliseconds of `performance.now()`: before this process, it is below 0. */
  readonly bornMs: number;
  /** Whether an earlier run left it. */
  readonly leftover: boolean;
  /**
   * What this run has done with it: `read`: its events are counted; `aside`: also, and it has been to the sink and waits
   * for room for its dead letters, or has waited. `null`: nothing.
   */
  readonly past: 'read' | 'aside' | null;
}

const LINE_FEED = 0x0a;

/** A batch as a sink gets it. Iterating it gives its events, each parsed when it is asked for. */
export class Batch implements Iterable<Event> {
  /** The name of its file, as it stands in log lines; a part of a batch has its range behind it: `….jsonl#0-50`. */
  readonly name: string;
  /**
   * What it is known by, to recognise one that comes again: the same at each attempt, also after a crash, and never
   * that of other events, of whichever server. The sink `http` sends it as `Idempotency-Key`.
   */
  readonly key: string;
  /** How many events. */
  readonly events: number;
  /** NDJSON: one event a line, each ended by LF. Numbers have all their digits, as they were sent. */
  readonly bytes: Buffer<ArrayBuffer>;

  constructor({ name, key, events, bytes }: Pick<Batch, 'name' | 'key' | 'events' | 'bytes'>) {
    this.name = name;
    this.key = key;
    this.events = events;
    this.bytes = bytes;
  }

  /** As `JSON.parse` reads them: an integer of more than 15 digits may lose some. */
  *[Symbol.iterator](): Generator<Event, void, undefined> {
    for (let start = 0; start < this.bytes.length;) {
      const end = this.bytes.indexOf(LINE_FEED, start);
      yield JSON.parse(this.bytes.toString('utf8', start, end)) as Event;
      start = end + 1;
    }
  }
}

/** A batch that was read from its file. */
export class StoredBatch extends Batch {
  /** The size of its file, in bytes. */
  readonly fileBytes: number;
  /** Where the events of a large file are, to be read one piece after the other; none: they are in `bytes`. */
  readonly pieces: readonly Piece[];

  constructor(
    batch: Pick<Batch, 'name' | 'key' | 'events' | 'bytes'>,
    fileBytes: number,
    pieces: readonly Piece[] = [],
  ) {
    super(batch);
    this.fileBytes = fileBytes;
    this.pieces = pieces;
  }
}

/** What is known of a batch when its file is deleted: not its bytes, which are let go before. */
export interface DeletedBatch {
  readonly name: string;
  readonly events: number;
  readonly fileBytes: number;
  /** How many of its events are dead letters; without it none. */
  readonly deadLettered?: number;
}
