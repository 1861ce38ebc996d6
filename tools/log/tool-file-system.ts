import nodeFs from 'node:fs';
import { call, callVoid, nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';

/** The file system of the log, and what else tools call. */
export interface ToolFileSystem
  extends FileSystem, Pick<typeof nodeFs, 'rename' | 'readFile' | 'realpath' | 'fchmod' | 'fchown'> {}

export const toolFileSystem: ToolFileSystem = Object.assign(
  Object.create(nodeFileSystem) as typeof nodeFileSystem,
  {
    rename: nodeFs.rename,
    readFile: nodeFs.readFile,
    realpath: nodeFs.realpath,
    fchmod: nodeFs.fchmod,
    fchown: nodeFs.fchown,
  },
);

/** Opens a file, works on it, closes it. An error of the work hides one of closing. */
export async function withFile<T>(
  fs: FileSystem,
  path: string,
  flags: string | number,
  work: (fd: number) => Promise<T>,
  mode = 0o640,
): Promise<T> {
  const fd = await new Promise<number>((resolve, reject) => {
    fs.open(path, flags, mode, (error, opened) => {
      if (error) reject(error);
      else resolve(opened);
    });
  });
  const close = (): Promise<void> =>
    callVoid((done) => {
      fs.close(fd, done);
    });
  let result: T;
  try {
    result = await work(fd);
  } catch (error) {
    await close().catch(() => undefined);
    throw error;
  }
  await close();
  return result;
}

/** Flushes an open file's bytes and size to the device. */
export function flush(fs: FileSystem, fd: number): Promise<void> {
  return callVoid((done) => {
    fs.fsync(fd, done);
  });
}

/** The stats of an open file. */
export function statsOfOpen(fs: FileSystem, fd: number): Promise<nodeFs.Stats> {
  return call<nodeFs.Stats>((done) => {
    fs.fstat(fd, done);
  });
}
