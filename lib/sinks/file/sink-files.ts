import * as nodeFs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { systemCode } from '../../base/errors.js';

/** What the file sink asks of the system. It comes in as a parameter, so that a test can fail it or stop it anywhere. */
export type SinkFiles = Pick<
  typeof nodeFs,
  'open' | 'rename' | 'unlink' | 'stat' | 'lstat' | 'readdir' | 'realpath'
>;

export const nodeFiles: SinkFiles = nodeFs;

/** Writes all of `bytes` at the position of the file; the system may take them in several parts. */
export async function writeAll(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await file.write(bytes, done, bytes.length - done, null);
    if (bytesWritten === 0) throw new Error('the file system took none of the bytes');
    done += bytesWritten;
  }
}

/** Makes durable what has become of names in a directory: made, changed, taken away. */
export async function flushDirectory(fs: SinkFiles, dir: string): Promise<void> {
  const handle = await fs.open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Whether something stands at a path, links not followed. */
export async function isThere(fs: SinkFiles, path: string): Promise<boolean> {
  try {
    await fs.lstat(path);
    return true;
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return false;
    throw error;
  }
}
