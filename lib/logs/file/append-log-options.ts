import type { Reporter } from '../../base/reporter.js';
import type { Fsync } from './batch-file.js';
import type { FileSystem } from './file-system.js';
import type { Retention } from '../../seams/retention.js';
import type { FileBounds } from './large-file.js';

export interface KeptIds {
  /** The names of the sources. */
  readonly sources: readonly string[];
  /** The longest window, in milliseconds. */
  readonly windowMs: number;
  /** How many ids of each source are kept at most. */
  readonly idsMax: number;
}

export interface AppendLogOptions {
  readonly dir: string;
  readonly fsync: Fsync;
  readonly reporter: Reporter;
  readonly fs?: FileSystem;
  /** How much of the recently appended events memory keeps until they are delivered, in bytes. */
  readonly recentBytesMax?: number;
  /** The bound of the dead letters, in bytes; unbounded by default. */
  readonly deadLettersBytesMax?: number;
  /** A file of several batches ends with the one that reaches this many events, or bytes. One batch a file by default. */
  readonly fileEvents?: number;
  readonly fileBytes?: number;
  readonly fileBounds?: FileBounds;
  /** How long settled files are kept; not at all by default. */
  readonly retention?: Retention;
  /** Sources whose ids are kept; none by default. */
  readonly ids?: KeptIds | null;
  /** How long a batch waits before its file is compressed, in milliseconds; `null`: none is. Default: `null`. */
  readonly compressAfterMs?: number | null;
}
