import type { Dir, Dirent } from 'node:fs';
import { systemCode } from '../../base/errors.js';
import { call } from './file-system.js';
import type { FileSystem } from './file-system.js';

/** Entries that are read at once: each read is a trip to the thread pool, and takes about as long as 100 entries. */
const ENTRIES_AT_ONCE = 1024;

export type Entry = Pick<Dirent, 'name' | 'isFile'>;

/**
 * Goes through a directory, in no order. Its memory does not grow with the directory.
 *
 * Some file systems do not say what an entry is. Node.js then asks for each, several entries at a time. If one is gone
 * by then, it fails and loses the entries read with it. So `look` is called once more, from the start, with one entry
 * at a time, which costs a trip to the thread pool each.
 *
 * @param look must start from nothing at each call
 */
export async function lookThrough<T>(
  fs: FileSystem,
  dir: string,
  look: (entries: AsyncIterable<Entry>) => Promise<T>,
): Promise<T> {
  try {
    const handle = await call<Dir>((done) => {
      fs.opendir(dir, { bufferSize: ENTRIES_AT_ONCE }, done);
    });
    return await look(handle);
  } catch (error) {
    if (!isOfGoneEntry(error)) throw error;
    return look(oneByOne(fs, dir));
  }
}

async function* oneByOne(fs: FileSystem, dir: string): AsyncGenerator<Entry, void, undefined> {
  const handle = await call<Dir>((done) => {
    fs.opendir(dir, { bufferSize: 1 }, done);
  });
  try {
    for (;;) {
      let entry: Entry | null;
      try {
        entry = await handle.read();
      } catch (error) {
        if (isOfGoneEntry(error)) continue;
        throw error;
      }
      if (entry === null) return;
      yield entry;
    }
  } finally {
    await handle.close();
  }
}

/** If the directory itself is gone, another call fails. */
function isOfGoneEntry(error: unknown): boolean {
  return (
    error instanceof Error &&
    systemCode(error) === 'ENOENT' &&
    'syscall' in error &&
    error.syscall === 'lstat'
  );
}
