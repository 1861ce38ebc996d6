import { join } from 'node:path';
import { call, callVoid, flushDirectory, makeDirectory, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

export const QUARANTINE = 'quarantine';

/**
 * Puts damaged parts of a batch file into the quarantine, byte for byte and flushed, in a file of the same name.
 * Gives its path back.
 */
export async function setAside(
  fs: FileSystem,
  logDir: string,
  name: string,
  damaged: readonly Buffer[],
): Promise<string> {
  const dir = join(logDir, QUARANTINE);
  await makeDirectory(fs, dir);
  const path = join(dir, name);
  const fd = await call<number>((done) => {
    fs.open(path, 'w', 0o640, done);
  });
  try {
    await writeAll(fs, fd, Buffer.concat(damaged), 0);
    await callVoid((done) => {
      fs.fsync(fd, done);
    });
  } finally {
    await callVoid((done) => {
      fs.close(fd, done);
    });
  }
  await flushDirectory(fs, dir);
  return path;
}
