import { spawnSync } from 'node:child_process';

/** Why `promtool` cannot be called; `false` where it can. */
export function noPromtool(): string | false {
  const { error } = spawnSync('promtool', ['--version']);
  return error === undefined ? false : 'promtool is not on the PATH (Debian: apt-get install prometheus)';
}

/** @returns its exit code and all it said */
export function promtool(
  args: readonly string[],
  input: string = '',
): { status: number | null; said: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, said: stdout + stderr };
}
