import { ForebayError } from '../../lib/base/errors.js';
import { statsOf } from '../../lib/logs/file/file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';

/**
 * Refuses to run as another user than the server's, for example root: the server could not use the files.
 *
 * @param path a path that belongs to the server's user
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function refuseOtherUser(fs: ToolFileSystem, path: string, command: string): Promise<void> {
  const uid = (await statsOf(fs, path))?.uid ?? null;
  const own = process.geteuid?.() ?? uid;
  if (uid === null || own === uid) return;
  const message = `${command} must run as the user that the server runs as, ${uid} (${path} is theirs), not as ${own}`;
  throw new ForebayError('LOG_DIR_UNUSABLE', { message });
}
