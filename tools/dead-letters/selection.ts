import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

/** At most this many reasons are listed if nothing matches. */
const REASONS_NAMED_MAX = 3;
/** Each is cut to this many characters. */
const REASON_LENGTH_MAX = 100;

/** A sink may give each event its own reason: at most this many are kept. */
const REASONS_KEPT_MAX = 10_000;

/** Selects dead letters. */
export class Selection {
  /** Only letters whose reason contains this; `null`: all. */
  readonly reason: string | null;
  /** What was requested by name; nothing: all. */
  readonly names: readonly string[];

  constructor(reason: string | null, names: readonly string[]) {
    this.reason = reason;
    this.names = names;
  }

  readonly has = (letter: Letter): boolean => this.reason === null || letter.reason.includes(this.reason);

  get isEverything(): boolean {
    return this.reason === null && this.names.length === 0;
  }
}

/** The letters that a selection matches, before anything is done. */
export interface Found {
  /** The number of matching letters. */
  readonly events: number;
  /** The groups that hold them. */
  readonly names: readonly string[];
  /** All letters that were read, by reason. If there are very many reasons, only the first are here. */
  readonly reasons: ReadonlyMap<string, number>;
  /** Failures to read, in words. */
  readonly failures: readonly string[];
}

/** Searches letters. At most a part of a group is in memory. */
export async function find(
  store: LetterStore,
  names: readonly string[],
  selection: Selection,
): Promise<Found> {
  const reasons = new Map<string, number>();
  const failures: string[] = [];
  const holding: string[] = [];
  let events = 0;
  for await (const { name, letters } of store.readEach(names, failures)) {
    for (const { reason } of letters) {
      const before = reasons.get(reason);
      if (before !== undefined || reasons.size < REASONS_KEPT_MAX) reasons.set(reason, (before ?? 0) + 1);
    }
    const wanted = letters.filter(selection.has).length;
    events += wanted;
    if (wanted > 0 && holding.at(-1) !== name) holding.push(name);
  }
  return { events, names: holding, reasons, failures };
}

/** Says that nothing is done, and which letters there are instead. */
export function noMatchText({ reason }: Selection, { reasons }: Found, place: string): string {
  const none = `No dead letter in ${place} matches${reason === null ? '' : ` --reason ${JSON.stringify(reason)}`}`;
  const rows = [...reasons].toSorted(([, a], [, b]) => b - a);
  const named = rows
    .slice(0, REASONS_NAMED_MAX)
    .map(([text, letters]) => `${printable(shortened(text))} (${letters})`);
  const more = rows.length - named.length;
  if (more > 0) named.push(`${count(more, 'other reason')} (ls names them)`);
  return printable(none) + (named.length === 0 ? '; there are none' : `; there are: ${named.join(', ')}`);
}

function shortened(text: string): string {
  return text.length > REASON_LENGTH_MAX ? `${text.slice(0, REASON_LENGTH_MAX)}…` : text;
}
