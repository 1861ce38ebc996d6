import type { StatsFs } from 'node:fs';
import { call } from '../file-system.js';
import type { FileSystem } from '../file-system.js';

/** Below this the disk counts as full: some seconds of events, or of a small disk this share. */
const FREE_BYTES = 64 * 2 ** 20;
const FREE_FILES = 1000;
const SHARE = 0.05;

/** Whether so little of the disk is left that what is kept for comfort has to go. If nobody knows: no. */
export async function isDiskLow(fs: FileSystem, dir: string): Promise<boolean> {
  const disk = await call<StatsFs>((done) => {
    fs.statfs(dir, done);
  }).catch(() => null);
  if (disk === null) return false;
  const { bavail, blocks, bsize, ffree, files } = disk;
  // some file systems have no bound for files, and say 0
  const hasFewFiles = files > 0 && ffree < Math.min(FREE_FILES, files * SHARE);
  return hasFewFiles || bavail * bsize < Math.min(FREE_BYTES, blocks * bsize * SHARE);
}
