/** A command with its arguments, and the lines that describe it. */
type Row = readonly [command: string, ...what: string[]];

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
