import { basename } from 'node:path';

/** A command with its arguments, and the lines that say what it does. */
type Row = readonly [command: string, ...what: string[]];

/**
 * How a program of this package is called: by its own name if the running one was, else as a script of a clone.
 *
 * @param script what was started, as `process.argv` has it
 */
export function calledAs(command: string, script = process.argv[1] ?? ''): string {
  return basename(script).startsWith('forebay-') ? `forebay-${command}` : `node bin/${command}.js`;
}

/** The commands of a program, in two columns. */
export function usageLines(program: string, rows: readonly Row[]): string {
  const lefts = rows.map(([command]) => `  ${program} ${command}`);
  const width = Math.max(...lefts.map((left) => left.length)) + 2;
  return rows
    .flatMap(([, ...what], row) =>
      what.map((text, line) => (line === 0 ? (lefts[row] ?? '') : '').padEnd(width) + text),
    )
    .join('\n');
}
