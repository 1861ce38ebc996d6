import { unlink } from '../closing.js';
import { hasBatchFile } from '../compressed/forms.js';
import { statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { writeNewFile } from '../new-file.js';
import { isFull } from '../reserve.js';
import type { SubdirectoryOwner } from './subdirectory.js';

/** A file that a new copy replaces. */
export interface EarlierCopy {
  readonly path: string;
  /** How much of it is also in the new copy, in bytes. */
  readonly size: number;
}

/** The search for copies of a batch ends after this many free names in a row: there may be gaps among them. */
const FREE_MAX = 3;

export interface NewCopyOptions extends Pick<SubdirectoryOwner, 'fs' | 'logDir' | 'confirmLock'> {
  /** The path of the first copy. If it is taken, a number is appended. */
  readonly first: string;
  readonly bytes: Buffer;
  readonly earlier: readonly EarlierCopy[];
  /** The batch file. */
  readonly batchName: string;
}

/**
 * Writes a copy of what a batch leaves, flushed, in place of earlier copies of it. These are of attempts that were cut
 * off: after a failed flush neither bytes nor name of a file can be trusted. But a copy may belong to a second server
 * that somehow uses the directory and has deleted the batch file after writing it. So the fullest copy is deleted only
 * after the new one is on disk. If the disk has no room for both, it is deleted while the batch file exists. Only the
 * server with the lock does that, and a server without the lock deletes no batch file that has left a copy, so the
 * batch file stays.
 *
 * @returns the path of the new copy
 * @throws the system's error
 */
export async function writeNewCopy(options: NewCopyOptions): Promise<string> {
  const { fs, logDir, confirmLock, first, bytes, earlier, batchName } = options;
  const [fullest, ...others] = earlier.toSorted((a, b) => b.size - a.size);
  // a name may belong to a file of another server by now: only the server with the lock deletes files
  const remove = async (copy: string): Promise<void> => {
    await confirmLock();
    await unlink(fs, copy);
  };
  // before the new copy: their number must not grow if they cannot be deleted
  for (const other of others) await remove(other.path);
  const path = await freePath(fs, first, 1);
  let isWritten = true;
  try {
    await writeNewFile(fs, path, bytes);
  } catch (error) {
    if (fullest === undefined || !isFull(error)) throw error;
    if (!(await hasBatchFile(fs, logDir, batchName))) throw error;
    isWritten = false;
  }
  if (fullest === undefined) return path;
  await remove(fullest.path);
  // under its old name, which operators may know
  await writeNewFile(fs, fullest.path, bytes);
  if (isWritten) await remove(path);
  return fullest.path;
}

/** The files that may be earlier copies: at a path, and at the same path with a number appended. */
export async function* copies(fs: FileSystem, first: string): AsyncGenerator<EarlierCopy, void, undefined> {
  for (let number = 1, free = 0; free < FREE_MAX; number++) {
    const path = numbered(first, number);
    const there = await statsOf(fs, path);
    free = there === null ? free + 1 : 0;
    if (there?.isFile() === true) yield { path, size: there.size };
  }
}

/** The first free path of these, starting with a number. */
export async function freePath(fs: FileSystem, first: string, from: number): Promise<string> {
  let number = from;
  while ((await statsOf(fs, numbered(first, number))) !== null) number++;
  return numbered(first, number);
}

function numbered(first: string, number: number): string {
  return number === 1 ? first : `${first}.${number}`;
}
