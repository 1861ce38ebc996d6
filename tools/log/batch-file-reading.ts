import { join } from 'node:path';
import { batchOf } from '../../lib/logs/file/aside/letter-files.js';
import { ENDINGS } from '../../lib/logs/file/compressed/batch-file-name.js';
import type { Ending } from '../../lib/logs/file/compressed/batch-file-name.js';
import { CompressedView } from '../../lib/logs/file/compressed/compressed-view.js';
import { inAnyForm } from '../../lib/logs/file/compressed/forms.js';
import { withOpen } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { plainView } from '../../lib/logs/file/file-view.js';
import type { FileView } from '../../lib/logs/file/file-view.js';
import { FILE_BOUNDS } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { asError, systemCode } from '../../lib/base/errors.js';
import { BatchInspection, inspectParts } from './batch-inspection.js';
import type { BatchFileForm } from './batch-inspection.js';

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

/** Reads the lines of a batch file, compressed or not. In the place of those that are damaged there are lost lines. */
export async function tryView<T>(
  fs: FileSystem,
  dir: string,
  name: string,
  { wholeMax }: FileBounds,
  read: (view: FileView, form: BatchFileForm) => Promise<T>,
): Promise<FileReading<T>> {
  const file = batchOf(name);
  const setAside = async (): Promise<void> => undefined; // a tool changes nothing
  const inForm = async (ending: Ending | ''): Promise<FileReading<T>> => {
    const reading = await tryRead(fs, dir, `${file}${ending}`, async (fd, size) => {
      const view =
        ending === ''
          ? plainView(fs, fd, size)
          : await CompressedView.open(fs, fd, size, ending, { foreignMax: wholeMax, setAside });
      return read(view, { ending, fileBytes: size });
    });
    if ('gone' in reading) throw Object.assign(new Error('gone'), { code: 'ENOENT' });
    return reading;
  };
  const known = ENDINGS.find((ending) => name.startsWith(`${file}${ending}`)) ?? '';
  try {
    return await inAnyForm(known, inForm);
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return { gone: true };
    throw error;
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
  return tryView(fs, dir, name, bounds, async (view, about) => {
    const inspection = new BatchInspection(about);
    for await (const events of inspectParts(view, bounds, inspection)) {
      if (use !== undefined && !(await elsewhere(use(events)))) break;
    }
    return inspection;
  });
}
