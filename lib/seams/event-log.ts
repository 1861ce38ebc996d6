import type { Readable } from 'node:stream';
import type { Removal } from '../base/batch-event.js';
import type { DrainRate } from '../base/drain-rate.js';
import type { ForebayError } from '../base/errors.js';
import type { EventBlock } from '../event/event-block.js';
import type { PendingBatch, SettledBatch, StoredBatch } from './batch.js';
import type { Client } from './client.js';
import type { Compression } from './compression.js';
import type { DeadLetterStore, LetterLook } from './dead-letters.js';
import type { IdStore } from './id-store.js';
import type { PauseStore } from './pause.js';
import type { RetainedUsage } from './retention.js';

/** The events of a request on their way to the log, as one chunk of the queue. */
export interface QueuedEvents {
  /** Their texts; at least one. */
  readonly block: EventBlock;
  /**
   * Whether their client was answered that they may not be taken. Events that no append has started with are left out
   * then.
   */
  readonly withdrawn: boolean;
  /** Who sent them, if that is known. */
  readonly client?: Client | undefined;
  /** Called when those from number `from` to before `to` are in the log, or with the error that kept them out. */
  acknowledge(from: number, to: number, error: Error | null): void;
}

/** Consecutive events of a request, from number `from` to before `to`. */
export interface EventRange {
  readonly request: QueuedEvents;
  readonly from: number;
  readonly to: number;
}

/** Which limit ended a batch; `stop`: the server stops. */
export type BatchEnd = 'size' | 'bytes' | 'time' | 'stop';

/** Consecutive events of one batch; there may be none if it ends here. */
export interface BatchPart {
  readonly ranges: readonly EventRange[];
  readonly events: number;
  /** Their size in the log, in bytes. */
  readonly bytes: number;
  /** Set if the batch ends after these events: the next part starts a new one. */
  readonly end: BatchEnd | null;
}

/**
 * The parts that are appended together: the group commit. They belong to different batches, in order; the first may
 * continue a batch.
 */
export type Group = readonly BatchPart[];

/** Called with the outcome of a part: no error, and the name of its batch, if all of its events are durable. */
export type PartEnded = (part: BatchPart, error: ForebayError | null, batch: string | null) => void;

/** The counts of the log, as of now. Events of an earlier run are counted when their batch is read. */
export interface LogUsage {
  /** Events that are in the log and not settled. */
  readonly pendingEvents: number;
  /** The size of unsettled batches in the log, in bytes. */
  readonly pendingBytes: number;
  /** When the oldest batch was created that delivery was not given yet, on the clock of `performance.now()`. */
  readonly oldestBornMs: number | null;
  /** Batches that an earlier run left, as of the start. */
  readonly leftoverBatches: number;
  /** Leftover batches that are not read yet. */
  readonly unreadBatches: number;
  /** Events in leftover batches that were read. */
  readonly recoveredEvents: number;
  /** Batches whose end was cut off by a crash. */
  readonly torn: number;
  /** Events that were found damaged and set aside, or are missing. */
  readonly quarantined: number;
  /** Batches that ended, by the limit that ended them. */
  readonly sealedBy: Readonly<Record<BatchEnd | 'failure', number>>;
}

/** The size of what the log holds besides batches, and the free space of its disk, in bytes; `null` if not known. */
export interface LogSpace {
  readonly deadLetterFiles: number | null;
  readonly deadLetterBytes: number | null;
  readonly quarantineFiles: number | null;
  readonly quarantineBytes: number | null;
  readonly freeBytes: number | null;
  readonly sizeBytes: number | null;
  /** How many files (inodes) can still be created, and how many there can be; also `null` if there is no bound. */
  readonly freeInodes: number | null;
  readonly inodes: number | null;
  /** The newest dead letters. */
  readonly newestLetters: readonly LetterLook[] | null;
}

/** A server with a copy of a replicated log. */
export interface LogReplica {
  readonly name: string;
  readonly isLeader: boolean;
  /** Whether it has all that is acknowledged, and answers. */
  readonly isCurrent: boolean;
  /** How many messages it lacks. */
  readonly lag: number;
  /** How long the leader has not heard of it, in milliseconds. */
  readonly silentMs: number;
}

/** The state of a replicated log, as of the last look. */
export interface LogReplicas {
  readonly stream: string;
  /** How many copies there are to be. */
  readonly replicas: number;
  /** Those that are known; without a leader no event is taken. */
  readonly servers: readonly LogReplica[];
  /** Unconfirmed messages that instances hold, and how many of these were handed out before. */
  readonly handedOut: number;
  readonly redelivered: number;
}

/**
 * Where events rest between their `202` and the sink. The append log on disk is one (lib/logs/file), a replicated
 * stream can be another. Each must pass test/helpers/event-log-contract.ts.
 */
export interface EventLog extends LogUsage {
  /** Its name in log lines and errors. */
  readonly place: string;
  /** The overhead of a batch in the log beyond its events, at most, in bytes. */
  readonly batchBytesMost: number;
  readonly deadLetters: DeadLetterStore;
  /** The largest part of a batch that it takes, in bytes. A log without it takes any. */
  readonly partBytesMost?: number;
  /** Set for a log that decides itself where batches end, as it gives them: it is best off with few parts. */
  readonly cutsBatches?: true;
  /** Set for a log that several instances share: how fast they take off it, together. */
  readonly drain?: Pick<DrainRate, 'msFor'>;
  /** Set for a replicated log; `null`: nobody has answered yet. */
  readonly replicas?: LogReplicas | null;
  /** Set for a log on other machines: whether one of them is there to talk to. */
  readonly isConnected?: boolean;
  /** Attempts to append after which it was unknown for a while whether the events are in the log. */
  readonly doubtful?: number;
  /** Keeps the ids of sources with a window; `null`: none has one. A log that never keeps ids has none. */
  readonly ids?: IdStore | null;
  /** What it keeps of settled batches. A log that keeps none has none. */
  readonly retained?: RetainedUsage;
  /** Compresses what waits. A log that does not has none, or `null`. */
  readonly compression?: Compression | null;
  /** Keeps the pause of delivery. Without it a pause ends with the process. */
  readonly pauses?: PauseStore;

  /** The size of events in the log, in bytes: those of a request from number `from` to before `to`. */
  bytesOf(block: EventBlock, from: number, to: number): number;

  /**
   * Appends the parts of a group. Calls `ended` once for each that has events, or for shares of it, as soon as the outcome is
   * known: without an error only if its events are durable, or are known by their ids and marked so (`EventIds.found`), which
   * do not count among those of the share; with `LOG_FAILED` if they left no trace and are never delivered; with `IN_DOUBT` if they may.
   * Resolves when the next group may come. Groups come one at a time. Must not reject: a rejection destroys the
   * pipeline.
   */
  append(group: Group, ended: PartEnded): Promise<void>;

  /** Tries what `append` does, and leaves nothing. @throws ForebayError; the system's error */
  probe(bytes: number): Promise<void>;

  /**
   * Unsettled batches, oldest first: those of earlier runs, then those that are appended. Called once, before the
   * first append. Ends when `stopping` is aborted.
   */
  backlog(stopping: AbortSignal): Readable;

  /** The share of a batch in `pendingBytes`. */
  pendingBytesOf(batch: Pick<PendingBatch, 'logBytes'>): number;

  /** Whether `read` costs nothing. */
  remembers(batch: PendingBatch): boolean;

  /** Drops what memory holds of a batch. */
  forget(batch: PendingBatch): void;

  /** @throws the system's error if it cannot be read now; it is read again later */
  read(batch: PendingBatch): Promise<StoredBatch>;

  /**
   * Takes a batch off the log once the sink or the dead letters have its events. A batch that is gone is no error.
   *
   * @returns what became of it
   */
  delete(batch: SettledBatch): Promise<Removal>;

  /** Finds unsettled batches by name, oldest first, at most `most`. */
  find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]>;

  /** The order of delivery: negative if the batch of the first name goes first. */
  compare(a: string, b: string): number;

  /** Counts events of batches that were read and are gone. @param bytes their size */
  miss(events: number, bytes: number): void;

  /** Never rejects. */
  space(): Promise<LogSpace>;

  /** Called after the last batch has ended. Releases the log for the next server. Batches that are not deleted stay. */
  close(): Promise<void>;
}
