import type { FileSystem } from '../../lib/logs/file/file-system.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import type { Output } from './output.js';

export interface PrintOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  /** Batch files, a batch in one (`NAME#101-200`), `quarantine/NAME` or `id-window/NAME`; none: all batch files. */
  readonly names: readonly string[];
  /** Whether to print the bytes unchanged. */
  readonly raw: boolean;
  readonly output: Output;
  /** Takes a line about data that is not printed. */
  readonly tell: (line: string) => Promise<void>;
  readonly bounds?: FileBounds;
}
