import { asError, ForebayError } from '../../base/errors.js';
import { lockDirectory } from './directory-lock.js';
import type { DirectoryLock } from './directory-lock.js';
import { makeDirectory } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { removeCopies } from './ids/left-copies.js';
import { survey } from './survey.js';
import type { Survey } from './survey.js';

/**
 * Locks a log directory, creating it if there is none, and finds the leftovers of earlier runs.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`
 */
export async function openDirectory(
  fs: FileSystem,
  dir: string,
): Promise<{ lock: DirectoryLock; found: Survey }> {
  let lock: DirectoryLock | undefined;
  try {
    await makeDirectory(fs, dir);
    const opened = await lockDirectory(fs, dir);
    lock = opened;
    const found = await survey(fs, dir);
    await removeCopies(fs, dir, found.copies, async () => opened.confirm());
    return { lock: opened, found };
  } catch (error) {
    await lock?.release();
    if (error instanceof ForebayError && error.code !== 'LOG_DIR_LOST') throw error;
    throw new ForebayError('LOG_DIR_UNUSABLE', {
      message: `The log directory ${dir} cannot be used: ${asError(error).message}`,
      cause: error,
    });
  }
}
