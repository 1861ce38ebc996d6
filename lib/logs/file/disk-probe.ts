import { BatchFile } from './batch-file.js';
import { unlink } from './closing.js';
import type { FileSystem } from './file-system.js';

export const PROBE_FILE = 'forebay.probe';

/**
 * Does to the disk what an event does, with meaningless bytes, and deletes them again.
 *
 * @param path of the temporary file
 * @param flushName makes the name of the new file durable
 * @param flushes whether an event is flushed before it is acknowledged
 * @throws the system's error if the disk does not take it
 */
export async function probeDisk(
  fs: FileSystem,
  path: string,
  flushName: () => Promise<void>,
  flushes: boolean,
  bytes: number,
): Promise<void> {
  await unlink(fs, path); // left by a killed run
  const confirm = async (): Promise<void> => undefined; // the caller has just checked
  const file = await BatchFile.create(fs, path, {
    name: PROBE_FILE,
    flushName,
    confirm,
    flushes,
    isShared: false,
  });
  try {
    await file.append(Buffer.alloc(bytes, ' '), 0);
  } finally {
    await file.close();
    await unlink(fs, path);
  }
}
