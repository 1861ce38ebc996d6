import { basename, dirname } from 'node:path';

/**
 * How to call a program of this package: by its own name, if the running one was called so; as a script, if that is a
 * script of a clone; else, in a custom program, as a command of a package that it depends on.
 *
 * @param script the started script, as in `process.argv`
 */
export function calledAs(command: string, script = process.argv[1] ?? ''): string {
  if (basename(script).startsWith('forebay-')) return `forebay-${command}`;
  return basename(dirname(script)) === 'bin' ? `node bin/${command}.js` : `npx forebay-${command}`;
}
