import { statfs } from 'node:fs/promises';
import { availableParallelism, cpus, release, type } from 'node:os';

/** What `statfs` calls a file system that lives in memory, from Linux' `magic.h`. */
const TMPFS_MAGIC = 0x01021994;

/** The lines above all numbers: where they were measured. `dir` is the folder of the logs. */
export async function machineLines(dir: string): Promise<string> {
  const lines = [
    `Node.js      ${process.version}`,
    `CPUs         ${availableParallelism()} × ${cpus()[0]?.model.trim() ?? 'unknown'}`,
    `Kernel       ${type()} ${release()}`,
    `Logs are in  ${dir}`,
  ];
  if (process.platform === 'linux' && (await statfs(dir)).type === TMPFS_MAGIC) {
    lines.push('WARNING: that folder is in memory; flushes cost nothing there, and the numbers mean nothing');
  }
  return lines.join('\n');
}
