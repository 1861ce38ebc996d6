import { asError, systemCode } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { BatchFile } from './batch-file.js';
import { identityAt, identityOf, isSame } from './file-identity.js';
import { callVoid } from './file-system.js';
import type { FileSystem } from './file-system.js';

/**
 * Finishes a sealed file while its batch is already being delivered: cuts off the end that a failed append left,
 * flushes what no acknowledgement waits for, deletes the file if it is empty, and closes it. Never throws.
 *
 * @param flushes whether appended bytes may not be flushed yet (`--fsync MILLISECONDS`)
 */
export async function finishFile(
  file: BatchFile,
  path: string,
  flushes: boolean,
  fs: FileSystem,
  reporter: Reporter,
): Promise<{ isCut: boolean; isDeleted: boolean; isFlushed: boolean }> {
  const step = async (what: string, work: () => Promise<void>): Promise<boolean> => {
    try {
      await work();
      return true;
    } catch (error) {
      reporter.error('DISK_FAILED', `Could not ${what} ${file.name}`, asError(error));
      return false;
    }
  };
  let isCut = false;
  const { hasFailedEnd } = file;
  if (hasFailedEnd) isCut = await step('cut the failed end of', () => file.cut());
  else if (flushes) await flushLate(file, reporter);
  const isDeleted =
    file.events === 0 && (await step('delete the empty', () => unlinkOpened(fs, file.fd, path)));
  await step('close', () => file.close());
  return { isCut, isDeleted, isFlushed: hasFailedEnd ? isCut : !file.failed };
}

/** A flush that no acknowledgement waits for (`--fsync MILLISECONDS`). Never throws. */
export async function flushLate(file: BatchFile, reporter: Reporter): Promise<void> {
  await file.flush().catch((error: unknown) => {
    reporter.error(
      'DISK_FAILED',
      `Could not flush ${file.name}: acknowledged events may be lost if the machine fails now`,
      asError(error),
    );
  });
}

/** Deletes a file. A file that is already gone is no error. @returns whether it existed */
export async function unlink(fs: FileSystem, path: string): Promise<boolean> {
  try {
    await callVoid((done) => {
      fs.unlink(path, done);
    });
    return true;
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return false;
  }
}

/**
 * Deletes a file that this process has created and has open. If another one is at its path by now, that one stays: someone
 * has moved the directory away, and a server that has started in its place may have acknowledged events in it.
 */
export async function unlinkOpened(fs: FileSystem, fd: number, path: string): Promise<void> {
  if (isSame(await identityAt(fs, path), await identityOf(fs, fd))) await unlink(fs, path);
}
