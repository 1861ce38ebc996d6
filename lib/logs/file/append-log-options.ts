import type { Reporter } from '../../base/reporter.js';
import type { Fsync } from './batch-file.js';
import type { FileSystem } from './file-system.js';
import type { FileBounds } from './large-file.js';

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
}
