import { join } from 'node:path';
import { call, callVoid, flushDirectory, makeDirectory, readAll, statsOf, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

export const QUARANTINE = 'quarantine';

/**
 * Puts damaged parts of a batch file into the quarantine, byte for byte and flushed, in a file named like it. What
 * was set aside before is never overwritten with something else: a second file of the name ends in `.2`, and so on.
 *
 * @returns the path of the file in the quarantine
 */
export async function setAside(
  fs: FileSystem,
  logDir: string,
  name: string,
  damaged: readonly Buffer[],
): Promise<string> {
  const dir = join(logDir, QUARANTINE);
  await makeDirectory(fs, dir);
  const bytes = Buffer.concat(damaged);
  const { path, fd } = await openFor(fs, join(dir, name), bytes);
  try {
    try {
      await writeAll(fs, fd, bytes, 0);
      await callVoid((done) => {
        fs.fsync(fd, done);
      });
    } finally {
      await callVoid((done) => {
        fs.close(fd, done);
      });
    }
    await flushDirectory(fs, dir);
  } catch (error) {
    // after a failed flush the next attempt must not trust this file or its name
    await callVoid((done) => {
      fs.unlink(path, done);
    }).catch(() => undefined);
    throw error;
  }
  return path;
}

/** A new file, or the one in which an attempt that was cut off began to write the same bytes. */
async function openFor(fs: FileSystem, first: string, bytes: Buffer): Promise<{ path: string; fd: number }> {
  for (let number = 1; ; number++) {
    const path = number === 1 ? first : `${first}.${number}`;
    const there = await statsOf(fs, path);
    if (there !== null && !(there.isFile() && (await holdsStartOf(fs, path, bytes)))) continue;
    const flags = there === null ? 'wx' : 'r+';
    const fd = await call<number>((done) => {
      fs.open(path, flags, 0o640, done);
    });
    return { path, fd };
  }
}

async function holdsStartOf(fs: FileSystem, path: string, bytes: Buffer): Promise<boolean> {
  const there = await readAll(fs, path, null);
  return there.equals(bytes.subarray(0, there.length));
}
