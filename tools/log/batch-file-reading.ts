import { join } from 'node:path';
import { withOpen } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { FILE_BOUNDS } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { asError, systemCode } from '../../lib/base/errors.js';
import { BatchInspection, inspectParts } from './batch-inspection.js';

/** The result of reading a file. */
export type FileReading<T> =
  | { readonly content: T }
  /** A server has delivered it meanwhile, or it never existed. */
  | { readonly gone: true }
  | { readonly unreadable: string };

/** Work on the bytes has failed, which says nothing about the file. */
class Elsewhere extends Error {}

/** Opens a file of the log directory and reads it. Returns a failure to read as a value. */
export async function tryRead<T>(
  fs: FileSystem,
  dir: string,
  name: string,
  read: (fd: number, size: number) => Promise<T>,
): Promise<FileReading<T>> {
  try {
    return { content: await withOpen(fs, join(dir, name), async (fd, { size }) => read(fd, size)) };
  } catch (error) {
    if (error instanceof Elsewhere) throw error.cause;
    return systemCode(error) === 'ENOENT' ? { gone: true } : { unreadable: asError(error).message };
  }
}

/** Wraps work on the bytes: `tryRead` throws its error as it is. */
export async function elsewhere<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    throw new Elsewhere('what was read cannot be used', { cause: error });
  }
}

/**
 * Inspects a batch file. At most a part of it is in memory.
 *
 * @param use gets the sound events of each part in order, and returns whether to go on
 */
export async function tryInspect(
  fs: FileSystem,
  dir: string,
  name: string,
  bounds: FileBounds = FILE_BOUNDS,
  use?: (events: Buffer) => Promise<boolean>,
): Promise<FileReading<BatchInspection>> {
  return tryRead(fs, dir, name, async (fd, size) => {
    const inspection = new BatchInspection();
    for await (const events of inspectParts(fs, fd, size, bounds, inspection)) {
      if (use !== undefined && !(await elsewhere(use(events)))) break;
    }
    return inspection;
  });
}
