/**
 * What a killed run has left may be in memory of the system and not on the device. An id that is known is answered
 * without being stored, so its event must be durable before, and its segment before its batch file is deleted (N14).
 */
import { call, callVoid, withOpen, writeAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { FILE_BOUNDS, partsOf } from '../large-file.js';

/** Flushes a file. @throws the system's error */
export async function flushFile(fs: FileSystem, path: string): Promise<void> {
  await withOpen(fs, path, async (fd) =>
    callVoid((done) => {
      fs.fdatasync(fd, done);
    }),
  );
}

/**
 * Makes the bytes of a file durable, even if a flush of them has failed before: the system may take them for written then,
 * so that another flush does nothing. They are written once more, each in its place.
 *
 * @throws the system's error
 */
export async function writeAgain(fs: FileSystem, path: string, size: number): Promise<void> {
  const fd = await call<number>((done) => {
    fs.open(path, 'r+', done);
  });
  try {
    for await (const { at, bytes } of partsOf(fs, fd, size, FILE_BOUNDS)) await writeAll(fs, fd, bytes, at);
    await callVoid((done) => {
      fs.fdatasync(fd, done);
    });
  } finally {
    await callVoid((done) => {
      fs.close(fd, done);
    });
  }
}
