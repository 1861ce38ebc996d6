import { dirname } from 'node:path';
import { unlinkOpened } from './closing.js';
import { call, callVoid, flushDirectory, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

/**
 * Creates a file that is on the device with its name, or leaves none: after a failed flush another flush could not be
 * trusted. An existing file of the same name belongs to someone else, and stays.
 */
export async function writeNewFile(
  fs: FileSystem,
  path: string,
  bytes: Buffer,
  // the directory as of now: someone may have moved it away
  flushName = async (): Promise<void> => flushDirectory(fs, dirname(path)),
): Promise<void> {
  const fd = await call<number>((done) => {
    fs.open(path, 'wx', 0o640, done);
  });
  try {
    await writeAll(fs, fd, bytes, 0);
    await callVoid((done) => {
      fs.fsync(fd, done);
    });
    await flushName();
  } catch (error) {
    await unlinkOpened(fs, fd, path).catch(() => undefined);
    throw error;
  } finally {
    // it is on the device, or of no use
    await callVoid((done) => {
      fs.close(fd, done);
    }).catch(() => undefined);
  }
}
