import { onOff } from './checks.js';
import type { OptionTable } from './option-table.js';

/** Flags with their values, and all other words, of a tool that takes both: which flags have values, its table says. */
export function splitFlags(
  argv: readonly string[],
  table: OptionTable,
): { flags: string[]; others: string[] } {
  const takesValue = new Set<string>(
    Object.values(table)
      .filter(({ check }) => check !== onOff)
      .map(({ flag }) => `--${flag}`),
  );
  const flags: string[] = [];
  const others: string[] = [];
  for (let at = 0; at < argv.length; at++) {
    const word = argv[at] ?? '';
    if (!word.startsWith('-')) {
      others.push(word);
      continue;
    }
    flags.push(word);
    const next = argv[at + 1];
    if (takesValue.has(word) && next !== undefined && !next.startsWith('-')) {
      flags.push(next);
      at++;
    }
  }
  return { flags, others };
}
