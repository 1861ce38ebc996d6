import { spawnSync } from 'node:child_process';

/** The ids of the worker processes of a server, in no order; none if it is one process. */
export function workersOf({ pid }: { readonly pid: number }): number[] {
  const { stdout } = spawnSync('pgrep', ['-P', String(pid)], { encoding: 'utf8' });
  return stdout.split('\n').filter(Boolean).map(Number);
}

export function lives(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
