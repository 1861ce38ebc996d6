/** A sealed batch file. */
export interface SealedBatch {
  readonly name: string;
  /** How much of the file is acknowledged, in bytes; `null`: all of it, as far as is known. */
  readonly acknowledgedBytes: number | null;
  /** How many events that is; `null` where it is not known before the file is read. */
  readonly events: number | null;
  /** How much it takes of the disk, in bytes. */
  readonly fileBytes: number;
  /** When its file was made, in milliseconds since 1970. */
  readonly bornMs: number;
  /** Whether an earlier run left it. */
  readonly leftover: boolean;
}

/** A batch as a sink gets it. */
export interface Batch {
  /** The name of its file: the same at each attempt, also after a crash. */
  readonly name: string;
  /** How many events. */
  readonly events: number;
  /** NDJSON: one event a line, each ended by LF. */
  readonly bytes: Buffer<ArrayBuffer>;
}

/** A batch that was read from its file. */
export interface StoredBatch extends Batch {
  readonly fileBytes: number;
}
