import { printable } from '../../lib/base/terminal-text.js';
import { count } from '../../lib/base/words.js';
import type { Moment } from '../../lib/settings/checks.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

/** At most this many reasons are listed if nothing matches. */
const REASONS_NAMED_MAX = 3;
/** Each is cut to this many characters. */
const REASON_LENGTH_MAX = 100;

/** A sink may give each event its own reason: at most this many are kept. */
const REASONS_KEPT_MAX = 10_000;

/** Which letters are meant; `null`: this does not matter. */
export interface Wanted {
  /** The reason contains this. */
  readonly reason: string | null;
  /** Refused at this moment or later, and before this one. */
  readonly from: Moment | null;
  readonly to: Moment | null;
  /** The batch, or the file of several. */
  readonly batch: string | null;
  /** The `source` of the event, as CloudEvents have it. */
  readonly source: string | null;
  /** Groups that were requested by name; nothing: all. */
  readonly names: readonly string[];
}

/** Selects dead letters. */
export class Selection {
  readonly wanted: Wanted;

  constructor(wanted: Wanted) {
    this.wanted = wanted;
  }

  readonly has = (letter: Letter): boolean => {
    const { reason, from, to, batch, source } = this.wanted;
    const timeMs = from === null && to === null ? 0 : Date.parse(letter.time);
    return (
      (reason === null || letter.reason.includes(reason)) &&
      (from === null || timeMs >= from.ms) &&
      (to === null || timeMs < to.ms) &&
      (batch === null || letter.batch === batch || letter.batch.startsWith(`${batch}#`)) &&
      (source === null || sourceOf(letter) === source)
    );
  };

  get isEverything(): boolean {
    return this.wanted.names.length === 0 && this.flags.length === 0;
  }

  /** The flags that select, as they were given. */
  get flags(): readonly (readonly [name: string, text: string])[] {
    const { reason, from, to, batch, source } = this.wanted;
    const texts = { reason, from: from?.text ?? null, to: to?.text ?? null, batch, source };
    return Object.entries(texts).flatMap(([name, text]) => (text === null ? [] : [[name, text] as const]));
  }
}

function sourceOf({ event }: Letter): unknown {
  return (JSON.parse(event.toString('utf8')) as { source?: unknown }).source;
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
export function noMatchText({ flags }: Selection, { reasons }: Found, place: string): string {
  const given = flags.map(([name, text]) => ` --${name} ${JSON.stringify(text)}`).join('');
  const none = `No dead letter in ${place} matches${given}`;
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
