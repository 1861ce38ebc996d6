import { join } from 'node:path';
import { asError, ForebayError, systemCode } from '../../base/errors.js';
import { lookThrough } from './directory-entries.js';
import { deadLetterFiles } from './aside/letter-files.js';
import { lookAtBatches } from './directory-listing.js';
import { nodeFileSystem } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { lookAtRetained } from './retained/retained-listing.js';
import { isWorkerDirectory, workerDirectory, workerOf } from './worker-name.js';

/** The numbers of the workers that have a directory here, ascending; none if there is no log directory. */
export async function workersWithDirectory(
  logDir: string,
  fs: FileSystem = nodeFileSystem,
): Promise<number[]> {
  try {
    return await lookThrough(fs, logDir, async (entries) => {
      const workers: number[] = [];
      for await (const entry of entries)
        if (isWorkerDirectory(entry)) workers.push(workerOf(entry.name) ?? 0);
      return workers.toSorted((a, b) => a - b);
    });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return [];
    throw error;
  }
}

/** Whether a log directory holds batches, dead letters or retained files: someone has to look after these. */
export async function holdsEvents(dir: string, fs: FileSystem = nodeFileSystem): Promise<boolean> {
  const hasBatches = await lookAtBatches(fs, dir, async (files) => {
    for await (const file of files) return file.name !== '';
    return false;
  });
  if (hasBatches || (await deadLetterFiles(fs, dir)).length > 0) return true;
  return lookAtRetained(fs, dir, async (files) => {
    for await (const { file } of files) return file !== '';
    return false;
  });
}

/**
 * The directories of workers from this number on that hold events, as paths.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function leftWorkerDirectories(
  logDir: string,
  from: number,
  fs: FileSystem = nodeFileSystem,
): Promise<string[]> {
  const left: string[] = [];
  let dir = logDir;
  try {
    for (const worker of await workersWithDirectory(logDir, fs)) {
      if (worker < from) continue;
      dir = join(logDir, workerDirectory(worker));
      if (await holdsEvents(dir, fs)) left.push(dir);
    }
  } catch (error) {
    const message = `The log directory ${dir} cannot be used: ${asError(error).message}`;
    throw new ForebayError('LOG_DIR_UNUSABLE', { message, cause: error });
  }
  return left;
}
