import type { Reporter } from '../../base/reporter.js';
import type { Fsync } from './batch-file.js';
import type { FileSystem } from './file-system.js';
import type { FileBounds } from './large-file.js';

export interface AppendLogOptions {
  readonly dir: string;
  readonly fsync: Fsync;
  readonly reporter: Reporter;
  readonly fs?: FileSystem;
  /** How much of what was appended lately is kept in memory until it is delivered, in bytes. */
  readonly recentBytesMax?: number;
  /** Dead letters take at most this many bytes; unbounded by default. */
  readonly deadLettersBytesMax?: number;
  readonly fileBounds?: FileBounds;
}
