import { join } from 'node:path';
import { unlink } from '../closing.js';
import { statsOf, writeNewFile } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { isFull } from '../reserve.js';
import type { SubdirectoryOwner } from './subdirectory.js';

/** A file that gives way to a new one. */
export interface EarlierCopy {
  readonly path: string;
  /** How much of it the new one has, too, in bytes. */
  readonly size: number;
}

/** Copies of a batch, with free places among them, are looked for until so many places in a row are free. */
const FREE_MAX = 3;

export interface NewCopyOptions extends Pick<SubdirectoryOwner, 'fs' | 'logDir' | 'confirmLock'> {
  /** The path that a first one gets. If there is something else, a number goes behind it. */
  readonly first: string;
  readonly bytes: Buffer;
  readonly earlier: readonly EarlierCopy[];
  /** The batch file. */
  readonly batchName: string;
}

/**
 * Writes what a batch leaves behind, flushed, in place of earlier copies of it. They are of attempts that were cut off: after
 * a failed flush neither bytes nor name of one could be trusted. But one may be of a second server, which has come by the
 * directory somehow and has deleted the batch file for it. So the fullest one goes only when the new one is there. If the
 * disk has no room for both, it goes while the batch file is there: as only the server with the lock does that, and none
 * without the lock deletes a batch file that has left something behind, the file stays.
 *
 * @returns the path of the new one
 * @throws the system's error
 */
export async function writeNewCopy(options: NewCopyOptions): Promise<string> {
  const { fs, logDir, confirmLock, first, bytes, earlier, batchName } = options;
  const [fullest, ...others] = earlier.toSorted((a, b) => b.size - a.size);
  // a name may stand for a file of another server by now: only the one with the lock deletes some
  const remove = async (copy: string): Promise<void> => {
    await confirmLock();
    await unlink(fs, copy);
  };
  // first: their number must not grow if they cannot be deleted
  for (const other of others) await remove(other.path);
  const path = await freePath(fs, first, 1);
  let isWritten = true;
  try {
    await writeNewFile(fs, path, bytes);
  } catch (error) {
    if (fullest === undefined || !isFull(error)) throw error;
    if ((await statsOf(fs, join(logDir, batchName))) === null) throw error;
    isWritten = false;
  }
  if (fullest === undefined) return path;
  await remove(fullest.path);
  // with its name: operators may know it
  await writeNewFile(fs, fullest.path, bytes);
  if (isWritten) await remove(path);
  return fullest.path;
}

/** The files that may be earlier copies: at a path and at the same with a number behind it. */
export async function* copies(fs: FileSystem, first: string): AsyncGenerator<EarlierCopy, void, undefined> {
  for (let number = 1, free = 0; free < FREE_MAX; number++) {
    const path = numbered(first, number);
    const there = await statsOf(fs, path);
    free = there === null ? free + 1 : 0;
    if (there?.isFile() === true) yield { path, size: there.size };
  }
}

/** The first path of these, from a number on, where nothing is. */
export async function freePath(fs: FileSystem, first: string, from: number): Promise<string> {
  let number = from;
  while ((await statsOf(fs, numbered(first, number))) !== null) number++;
  return numbered(first, number);
}

function numbered(first: string, number: number): string {
  return number === 1 ? first : `${first}.${number}`;
}
