import type { Dir, Dirent } from 'node:fs';
import { systemCode } from '../../base/errors.js';
import { call } from './file-system.js';
import type { FileSystem } from './file-system.js';

export type Entry = Pick<Dirent, 'name' | 'isFile'>;

/**
 * Goes through a directory, in no order. Memory does not grow with it.
 *
 * Some file systems do not say what an entry is. Node.js asks for each then, some entries at a time, and if one is gone
 * by then it fails and forgets those beside it. So `look` is called once more, from the start, with one entry at a time;
 * each costs a trip to the thread pool.
 *
 * @param look must begin from nothing at each call
 */
export async function lookThrough<T>(
  fs: FileSystem,
  dir: string,
  look: (entries: AsyncIterable<Entry>) => Promise<T>,
): Promise<T> {
  try {
    const handle = await call<Dir>((done) => {
      fs.opendir(dir, done);
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

/** A directory that is gone itself fails in another call. */
function isOfGoneEntry(error: unknown): boolean {
  return (
    error instanceof Error &&
    systemCode(error) === 'ENOENT' &&
    'syscall' in error &&
    error.syscall === 'lstat'
  );
}
