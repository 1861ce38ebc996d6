import type { Readable } from 'node:stream';
import type { ForebayError } from '../base/errors.js';
import type { EventBlock } from '../event/event-block.js';
import type { PendingBatch, SettledBatch, StoredBatch } from './batch.js';
import type { DeadLetterStore, LetterLook } from './dead-letters.js';

/** The events of a request on their way to the log: what the queue takes as one chunk. */
export interface QueuedEvents {
  /** Their texts. At least one. */
  readonly block: EventBlock;
  /** Whether their client was answered that they may not be taken: those that no append has begun with are left out. */
  readonly withdrawn: boolean;
  /** Called when this many of them are in the log, or with the error that kept them out of it. */
  acknowledge(events: number, error: Error | null): void;
}

/** Consecutive events of a request: from number `from` to before `to`. */
export interface EventRange {
  readonly request: QueuedEvents;
  readonly from: number;
  readonly to: number;
}

/** Which limit ended a batch; `stop`: the server stops. */
export type BatchEnd = 'size' | 'bytes' | 'time' | 'stop';

/** Consecutive events of one batch; none if a batch ends by time. */
export interface BatchPart {
  readonly ranges: readonly EventRange[];
  readonly events: number;
  /** What they take of the log, in bytes. */
  readonly bytes: number;
  /** Set if the batch ends after these events: the next part starts a new one. */
  readonly end: BatchEnd | null;
}

/** What is appended together: the group commit. Parts of different batches, in order; the first may continue a batch. */
export type Group = readonly BatchPart[];

/** What became of a part: `null`: all of its events are durable. */
export type PartEnded = (part: BatchPart, error: ForebayError | null) => void;

/** What the log counts, as of now. Events of an earlier run are counted when their batch is read. */
export interface LogUsage {
  /** Events that are in the log and not settled. */
  readonly pendingEvents: number;
  /** What unsettled batches take of the log, in bytes. */
  readonly pendingBytes: number;
  /** When the oldest batch was created that delivery has not been given, on the clock of `performance.now()`. */
  readonly oldestBornMs: number | null;
  /** Batches that an earlier run left, as of the start. */
  readonly leftoverBatches: number;
  /** Those of them that are not read yet. */
  readonly unreadBatches: number;
  /** Events in those that are. */
  readonly recoveredEvents: number;
  /** Batches whose end a crash has cut off. */
  readonly torn: number;
  /** Events that were found damaged and are set aside, or are missing. */
  readonly quarantined: number;
  /** Batches that ended, by the limit that ended them. */
  readonly sealedBy: Readonly<Record<BatchEnd | 'failure', number>>;
}

/** What the log holds beside batches, and what its disk still takes, in bytes; `null`: not known. */
export interface LogSpace {
  readonly deadLetterFiles: number | null;
  readonly deadLetterBytes: number | null;
  readonly quarantineFiles: number | null;
  readonly quarantineBytes: number | null;
  readonly freeBytes: number | null;
  readonly sizeBytes: number | null;
  /** Files that can still be created, each an inode, and how many there can be; `null` also: unbounded. */
  readonly freeInodes: number | null;
  readonly inodes: number | null;
  /** The newest dead letters. */
  readonly newestLetters: readonly LetterLook[] | null;
}

/**
 * Where events rest between their `202` and the sink. The append log on disk is one (lib/logs/file), a replicated stream
 * can be another. test/helpers/event-log-contract.ts is what each must hold.
 */
export interface EventLog extends LogUsage {
  /** What log lines and errors call it. */
  readonly place: string;
  /** What a batch takes beside its events, at most, in bytes. */
  readonly batchBytesMost: number;
  /** What refused events are kept in. */
  readonly deadLetters: DeadLetterStore;

  /** What events take of it, in bytes. @param textBytes their texts */
  bytesOf(events: number, textBytes: number): number;

  /**
   * Appends the parts of a group. Calls `ended` once for each that has events, as soon as its outcome is known: without an error only if
   * its events are durable; with `LOG_FAILED` if they left no trace and are never delivered; with `IN_DOUBT` if they may.
   * Resolves when the next group may come. Groups come one at a time. Does not reject: that breaks the pipeline.
   */
  append(group: Group, ended: PartEnded): Promise<void>;

  /** Tries what `append` does, and leaves nothing. @throws ForebayError; the system's error */
  probe(bytes: number): Promise<void>;

  /**
   * Unsettled batches, oldest first: those of earlier runs, then those that are appended. Asked for once, before the first
   * append. Ends when `stopping` is aborted.
   */
  backlog(stopping: AbortSignal): Readable;

  /** What a batch takes of `pendingBytes`. */
  pendingBytesOf(batch: Pick<PendingBatch, 'logBytes'>): number;

  /** Whether `read` costs nothing. */
  remembers(batch: PendingBatch): boolean;

  /** Keeps nothing of a batch in memory. */
  forget(batch: PendingBatch): void;

  /** @throws the system's error if it cannot be read now; it is read again later */
  read(batch: PendingBatch): Promise<StoredBatch>;

  /** Takes a batch off the log whose events the sink or the dead letters have. One that is gone is no error. */
  delete(batch: SettledBatch): Promise<void>;

  /** Finds unsettled batches by name, oldest first, at most `most`. */
  find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]>;

  /** The order of delivery: negative if the batch of the first name goes first. */
  compare(a: string, b: string): number;

  /** Counts events that were in batches which were read, and are gone. @param bytes what they took */
  miss(events: number, bytes: number): void;

  /** How long it takes until this much of `pendingBytes` is settled, in milliseconds; `Infinity` if nothing is. */
  drainMs(bytes: number): number;

  /** Never rejects. */
  space(): Promise<LogSpace>;

  /** Called after the last batch has ended. Lets the log go for the next server. Batches that are not deleted stay. */
  close(): Promise<void>;
}
