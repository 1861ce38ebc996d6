import { readAt } from './file-system.js';
import type { FileSystem } from './file-system.js';

/** The lines of a file, whether it has them as they were appended or compressed. */
export interface FileView {
  /** In bytes. */
  readonly size: number;
  /** Reads from a position, at most `bytesMax`; less only at the end. */
  readAt(at: number, bytesMax: number): Promise<Buffer<ArrayBuffer>>;
}

/** An open file that has its lines as they were appended. @param size how much of it counts, in bytes */
export function plainView(fs: FileSystem, fd: number, size: number): FileView {
  return {
    size,
    readAt: async (at, bytesMax) => readAt(fs, fd, at, Math.max(0, Math.min(bytesMax, size - at))),
  };
}
