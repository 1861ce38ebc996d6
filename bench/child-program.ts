import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ROOT } from './paths.js';

const execute = promisify(execFile);

/**
 * Runs a program of `dist/bench/` in a process of its own, and resolves to the JSON that it prints.
 *
 * @param name without `.js`
 */
export async function runProgram<Result>(
  name: string,
  args: readonly (string | number)[],
  signal: AbortSignal,
): Promise<Result> {
  const path = join(ROOT, 'dist/bench', `${name}.js`);
  const { stdout } = await execute(process.execPath, [path, ...args.map(String)], { signal });
  return JSON.parse(stdout) as Result;
}
