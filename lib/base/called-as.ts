import { basename, dirname } from 'node:path';

/**
 * How a program of this package is called: by its own name if the running one was, as a script if that is one of a clone,
 * else, in somebody's own program, as a command of a package that it depends on.
 *
 * @param script what was started, as `process.argv` has it
 */
export function calledAs(command: string, script = process.argv[1] ?? ''): string {
  if (basename(script).startsWith('forebay-')) return `forebay-${command}`;
  return basename(dirname(script)) === 'bin' ? `node bin/${command}.js` : `npx forebay-${command}`;
}
