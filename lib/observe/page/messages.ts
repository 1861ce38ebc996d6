import type { EventCounts } from '../../event-counts.js';

/**
 * What the server sends to an open page, as JSON in server-sent events: `history` once at the start, then a `snapshot`
 * each second. The server and the browser both know this file, and nothing else of each other.
 *
 * Any text may come from a client or from a sink: it is shown as text, never as anything else.
 */

/** The columns of the history. Rates are per second, means of the last seconds; `null`: there is nothing to say. */
export const COLUMNS = [
  'atSeconds',
  'in',
  'out',
  'refused',
  'p50Ms',
  'p99Ms',
  'backlogBytes',
  'drainSeconds',
  'deadLettered',
] as const;

export type Column = (typeof COLUMNS)[number];

/** A value of each column, for one second. */
export type Point = Readonly<Record<Column, number | null>>;

/** Column by column, oldest first; all are of the same length. */
export type HistoryMessage = Readonly<Record<Column, readonly (number | null)[]>>;

export interface Snapshot {
  readonly version: string;
  readonly upSeconds: number;
  /** `false`: a stage of the pipeline broke. */
  readonly isHealthy: boolean;
  /** `null`: the server is one process. */
  readonly workers: WorkerStates | null;
  /** Where events wait on disk (`--log-dir`). */
  readonly logDir: string;
  /** How the programs are called that look into it. */
  readonly tools: { readonly log: string; readonly deadLetters: string; readonly control: string };
  /** The flags by which they find a log that is in no directory; `null`: it is in `logDir`. */
  readonly logFlags: readonly string[] | null;
  readonly resuming: Resuming;
  /** The error that a client would get now; `null`: its event would be taken. */
  readonly refusal: { readonly code: string; readonly reason: string } | null;
  readonly events: EventCounts;
  readonly door: {
    readonly inPerSecond: number;
    /** Events that got `429`. */
    readonly refusedPerSecond: number;
    /** Those of them for which the backlog had no room. */
    readonly backlogFullPerSecond: number;
    /** Those of them whose connection was one too many. */
    readonly connectionsFullPerSecond: number;
    /** Events that could not be put on disk. */
    readonly failedPerSecond: number;
    readonly p50Ms: number | null;
    readonly p99Ms: number | null;
    readonly connections: number;
  };
  /** The most that it held at any look of the last second. */
  readonly queue: {
    readonly events: number;
    readonly eventsMax: number;
    readonly bytes: number;
    readonly bytesMax: number;
    /** About how long the disk needs for all of it, in milliseconds. */
    readonly drainMs: number;
  };
  readonly disk: {
    readonly bytes: number;
    readonly bytesMax: number;
    /** How long the oldest pending event has waited. */
    readonly oldestSeconds: number;
    /** `null`: nothing is delivered. */
    readonly drainSeconds: number | null;
    /** How long there is room for what comes, at the growth of the last half minute; `null`: it does not grow. */
    readonly roomSeconds: number | null;
    readonly freeBytes: number | null;
    readonly sizeBytes: number | null;
    readonly quarantineFiles: number | null;
    /** Delivered batches that are kept; `null`: there are none. */
    readonly retained: { readonly bytes: number; readonly oldestSeconds: number } | null;
    /** Of a log with copies on several servers; `null`: it is in files. */
    readonly replicas: {
      readonly stream: string;
      readonly wanted: number;
      readonly current: number;
      /** `null`: there is none, and no event is taken. */
      readonly leader: string | null;
      /** Those that lack something or do not answer. */
      readonly missing: readonly string[];
    } | null;
  };
  readonly sink: {
    readonly kind: string;
    /** Where events go, without secrets; '' if there is nothing to say. */
    readonly target: string;
    readonly keepsNothing: boolean;
    readonly outPerSecond: number;
    readonly breaker: 'closed' | 'open' | 'half-open';
    /** The breaker is not closed because the sink is set up wrongly: a token, a right, a path, a table. */
    readonly misconfigured: boolean;
    /** How long the breaker has not been closed; `null`: it is. */
    readonly troubleSeconds: number | null;
    /** Until the breaker lets the next attempt through; `null`: nothing waits for it. */
    readonly nextAttemptSeconds: number | null;
    readonly running: number;
    readonly concurrency: number;
    readonly failuresInARow: number;
    readonly failedAttempts: number;
    readonly lastError: { readonly text: string; readonly agoSeconds: number } | null;
    /** `null`: delivery goes on. */
    readonly paused: PauseState | null;
  };
  /** Newest first. */
  readonly batches: readonly BatchState[];
  readonly deadLetters: DeadLetterState;
  readonly sources: SourceStates;
  /** What the history gets from this second. */
  readonly point: Point;
}

/** Why nothing is delivered: an operator has paused it. */
export interface PauseState {
  readonly forSeconds: number;
  readonly by: string;
  /** '': none was given. */
  readonly reason: string;
  /** Until it ends by itself; `null`: when someone resumes. */
  readonly leftSeconds: number | null;
}

/** What ends a pause of this server. */
export interface Resuming {
  /** From where the control tool may: from this machine alone, or with a key from anywhere. */
  readonly toolFrom: 'nowhere' | 'this machine' | 'anywhere';
  /** The process that takes `SIGUSR2`; `null`: none. */
  readonly pid: number | null;
}

/** The worker processes of a server. */
export interface WorkerStates {
  readonly number: number;
  /** Those whose figures are missing from all others here, each with why, in words. */
  readonly missing: readonly { readonly worker: number; readonly why: string }[];
}

export type BatchStage =
  | 'waiting' // on disk, its turn has not come
  | 'at the sink'
  | 'held back' // by the breaker or a pause
  | 'trying again'
  | 'aside' // its refused events have no room among the dead letters
  | 'confirmed' // by the sink, and its file is not deleted yet
  | 'delivered'; // and off the disk

export interface BatchState {
  readonly name: string;
  /** `null`: its file was not read yet. */
  readonly events: number | null;
  readonly stage: BatchStage;
  /** How many of its events the sink refused for good. */
  readonly refused: number;
  /** The last error; '' if there is none. */
  readonly error: string;
}

export interface DeadLetterState {
  /** What the sink refuses has no room below the bound. */
  readonly isFull: boolean;
  /** Batches that wait on disk for that room, or because the disk takes no dead letters. */
  readonly batchesAside: number;
  /** Events that the sink fails at while it takes others. */
  readonly isolatedEvents: number;
  /** `null`: not looked at yet. */
  readonly files: number | null;
  readonly bytes: number | null;
  /** How many there have been while the history runs. */
  readonly lately: number;
  /** Those of the newest files, by reason, the newest reason first. */
  readonly reasons: readonly LetterReason[];
}

export interface LetterReason {
  readonly reason: string;
  readonly status: number | string | null;
  /** How many of the letters that were looked at. */
  readonly letters: number;
  /** The newest of them. */
  readonly batch: string;
  readonly index: number;
  readonly attempts: number;
  readonly time: string;
  /** The start of the event's own text. */
  readonly event: string;
  readonly isCut: boolean;
}

export interface SourceStates {
  /** Those that have refused something within the last minute first, then in the order in which they were declared. */
  readonly shown: readonly SourceState[];
  /** How many there are beside them. */
  readonly more: number;
  /** Requests that were refused before they came to a source. */
  readonly stray: readonly Refusals[];
  /** The codes of all these refusals. */
  readonly codes: Readonly<Record<string, CodeWords>>;
}

export interface SourceState {
  readonly name: string;
  readonly path: string;
  /** Accepted events: those that were stored. */
  readonly inPerSecond: number;
  /** Events of this run. */
  readonly accepted: number;
  /** Since it last accepted something, in this run; `null`: it has not. */
  readonly acceptedAgoSeconds: number | null;
  /** Events of this run. */
  readonly refused: number;
  /** Whether it has refused something within the last minute. */
  readonly isRefusing: boolean;
  /** Those of the last minute first, then the most frequent; rare ones may be missing. */
  readonly refusals: readonly Refusals[];
  /** `null`: the source has no id window. */
  readonly window: WindowState | null;
  /** Newest first; the more sources there are, the fewer. */
  readonly newest: readonly NewestEvent[];
}

/** The ids of a source that are known, and what came again in this run. */
export interface WindowState {
  /** Events that were not stored, as their ids were known, conflicts included. */
  readonly duplicates: number;
  /** Events with other content than the first one with their id. */
  readonly conflicts: number;
  /** Since the last duplicate; `null`: there was none. */
  readonly duplicateAgoSeconds: number | null;
  readonly ids: number;
  /** How long ids should be kept. */
  readonly setSeconds: number;
  /** How long they are, if there are more than their bound. */
  readonly effectiveSeconds: number;
}

/** What was refused for one reason, in this run. */
export interface Refusals {
  readonly code: string;
  /** How many events; requests, if they came to no source. */
  readonly number: number;
  /** Since the last one. */
  readonly agoSeconds: number;
}

export interface CodeWords {
  readonly text: string;
  /** Whether a retry can help: then it is no fault of the sender. */
  readonly retry: boolean;
}

/** An accepted event. Its texts are cut off after some length, with `…`; '' for what does not come early in it. */
export interface NewestEvent {
  readonly id: string;
  readonly type: string;
  /** The length of its line in the log. */
  readonly bytes: number;
  /** When it was acknowledged, since 1970. */
  readonly atSeconds: number;
  /** The start of its `data`, as it was sent; '' unless `--page data` asks for it. */
  readonly data: string;
}
