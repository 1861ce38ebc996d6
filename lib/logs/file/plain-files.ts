import { join } from 'node:path';
import { systemCode } from '../../base/errors.js';
import { lookThrough } from './directory-entries.js';
import type { Entry } from './directory-entries.js';
import { statsOf } from './file-system.js';
import type { FileSystem } from './file-system.js';

/** Keeps the system's threads busy and memory small. */
export const SIZES_AT_ONCE = 256;

/**
 * The sizes of files, in bytes; 0 for a file whose size is unknown, `null` for one that is gone.
 *
 * @param known sizes that need not be read
 */
export async function sizesOf(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  known?: ReadonlyMap<string, number>,
): Promise<(number | null)[]> {
  const sizes: (number | null)[] = [];
  const size = async (name: string): Promise<number | null> =>
    known?.get(name) ?? sizeOf(fs, join(dir, name));
  for (let at = 0; at < names.length; at += SIZES_AT_ONCE) {
    sizes.push(...(await Promise.all(names.slice(at, at + SIZES_AT_ONCE).map(size))));
  }
  return sizes;
}

/** One bad file must not block the start or the other files. */
async function sizeOf(fs: FileSystem, path: string): Promise<number | null> {
  try {
    return (await statsOf(fs, path))?.size ?? null;
  } catch {
    return 0;
  }
}

/** How many plain files of these names a directory has, and their size. Its memory does not grow with the directory. */
export async function filesIn(
  fs: FileSystem,
  dir: string,
  isWanted: (name: string) => boolean,
): Promise<{ files: number; bytes: number }> {
  return lookAtFiles(fs, dir, async (entries) => {
    let files = 0;
    let bytes = 0;
    let names: string[] = [];
    const measure = async (): Promise<void> => {
      for (const size of await sizesOf(fs, dir, names)) bytes += size ?? 0;
      names = [];
    };
    for await (const name of entries) {
      if (!isWanted(name)) continue;
      files++;
      if (names.push(name) >= SIZES_AT_ONCE) await measure();
    }
    await measure();
    return { files, bytes };
  });
}

/** Goes through the names of the plain files in a directory; none if there is no such directory. */
export async function lookAtFiles<T>(
  fs: FileSystem,
  dir: string,
  look: (names: AsyncIterable<string>) => Promise<T>,
): Promise<T> {
  try {
    return await lookThrough(fs, dir, async (entries) => look(namesOf(entries, (entry) => entry.isFile())));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return look(namesOf([], () => false));
  }
}

/** The names of some entries. */
export async function* namesOf(
  entries: AsyncIterable<Entry> | Iterable<Entry>,
  isMeant: (entry: Entry) => boolean,
): AsyncGenerator<string, void, undefined> {
  for await (const entry of entries) if (isMeant(entry)) yield entry.name;
}
