import type { Output } from '../log/output.js';
import { count } from '../../lib/base/words.js';
import { printable } from '../../lib/base/terminal-text.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

/** A sink may give each event its own reason. Reasons beyond this number are counted together. */
const KINDS_MAX = 10_000;
const OTHER_REASONS = '(other reasons)';

/** Dead letters with the same reason and status. */
interface Kind {
  readonly reason: string;
  readonly status: number | string | null;
  letters: number;
  first: string;
  last: string;
}

/**
 * Lists how many dead letters there are, by reason, the most frequent first. At most a part of one file is in memory.
 *
 * @returns a text for each failure to read
 */
export async function list(
  store: LetterStore,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
  json: boolean,
  output: Output,
): Promise<readonly string[]> {
  const kinds = new Map<string, Kind>();
  const failures: string[] = [];
  for await (const { letters } of store.readEach(names, failures)) {
    for (const letter of letters) if (isWanted(letter)) add(kinds, letter);
  }
  const rows = [...kinds.values()].toSorted((a, b) => b.letters - a.letters);
  if (json) {
    for (const row of rows) await output.write(`${JSON.stringify(row)}\n`);
    return failures;
  }
  for (const { reason, status, letters, first, last } of rows) {
    const shown = printable(`${first} to ${last}  ${status === null ? '' : `${status} `}${reason}`);
    await output.write(`${String(letters).padStart(7)}  ${shown}\n`);
  }
  const total = rows.reduce((sum, { letters }) => sum + letters, 0);
  await output.write(`${count(total, 'dead letter')} ${store.whereText(names)}\n`);
  return failures;
}

function add(kinds: Map<string, Kind>, { reason, status, time }: Letter): void {
  const own = JSON.stringify([status, reason]);
  const isOther = !kinds.has(own) && kinds.size >= KINDS_MAX;
  const key = isOther ? OTHER_REASONS : own;
  const about = isOther ? { reason: OTHER_REASONS, status: null } : { reason, status };
  const kind = kinds.get(key) ?? { ...about, letters: 0, first: time, last: time };
  kind.letters++;
  if (time < kind.first) kind.first = time;
  if (time > kind.last) kind.last = time;
  kinds.set(key, kind);
}
