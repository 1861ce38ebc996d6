import { join } from 'node:path';
import { systemCode } from '../../../base/errors.js';
import { unlink } from '../closing.js';
import { statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { sizesOf } from '../plain-files.js';
import { ENDINGS } from './batch-file-name.js';
import type { Ending } from './batch-file-name.js';

const FORMS: readonly (Ending | '')[] = ['', ...ENDINGS];

/**
 * Works on the file of a batch, in the form that it has.
 *
 * @param known the form that it had; someone may have changed it by hand
 * @param work throws `ENOENT` if there is no such file
 * @throws the error of `work`; `ENOENT` if the batch has no file
 */
export async function inAnyForm<T>(known: string, work: (ending: Ending | '') => Promise<T>): Promise<T> {
  let missing: unknown = null;
  for (const ending of FORMS.toSorted((a, b) => Number(b === known) - Number(a === known))) {
    try {
      return await work(ending);
    } catch (error) {
      if (systemCode(error) !== 'ENOENT') throw error;
      missing ??= error;
    }
  }
  throw missing;
}

/** Whether a batch has a file in a log directory, in any form. @throws the system's error */
export async function hasBatchFile(fs: FileSystem, dir: string, name: string): Promise<boolean> {
  for (const ending of FORMS) if ((await statsOf(fs, join(dir, `${name}${ending}`))) !== null) return true;
  return false;
}

/** The same for many at once. A file that cannot be looked at is there. */
export async function haveBatchFiles(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
): Promise<boolean[]> {
  const areThere = names.map(() => false);
  for (const ending of FORMS) {
    const others = [...names.keys()].filter((index) => areThere[index] === false);
    const sizes = await sizesOf(
      fs,
      dir,
      others.map((index) => `${names[index]}${ending}`),
    );
    for (const [at, index] of others.entries()) areThere[index] = sizes[at] !== null;
  }
  return areThere;
}

/** Deletes the file of a batch, or both if it is there twice. @returns whether there was one */
export async function unlinkBatch(fs: FileSystem, path: string, isThereTwice: boolean): Promise<boolean> {
  let isGone = false;
  for (const ending of FORMS) {
    if (isGone && !isThereTwice) break;
    isGone = (await unlink(fs, `${path}${ending}`)) || isGone;
  }
  return isGone;
}
