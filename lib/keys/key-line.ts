import type { ClientLimits } from '../seams/client.js';
import { CheckError, listOf, optional, wholeNumber } from '../settings/checks.js';
import type { Check } from '../settings/checks.js';
import { fromKeys } from '../settings/option-table.js';
import type { Option, Values } from '../settings/option-table.js';
import { doubledKey } from '../settings/settings-file.js';
import { SOURCE_NAME } from '../settings/source-settings.js';

/** At most this many keys in a file. */
export const KEYS_MAX = 10_000;

/** Also a label of metrics. */
const NAME = /^[a-z][a-z\d-]{0,63}$/;
const HASH = /^[\da-f]{64}$/;
const TIME = /^\d{4}-\d\d-\d\d(?:T\d\d:\d\d:\d\d(?:\.\d{3})?Z)?$/;

/** The members of a line. */
const MEMBERS = {
  name: member('name', keyName),
  hash: member('hash', hash),
  created: member('created', optional(time)),
  expires: member('expires', optional(time)),
  sources: member('sources', optional(sourceNames)),
  eventsPerSecond: member('eventsPerSecond', optional(wholeNumber(1))),
  bytesPerSecond: member('bytesPerSecond', optional(wholeNumber(1))),
};

/** What the keys of a holder may do. */
export interface Rights extends ClientLimits {
  /** Names of sources; `null`: all. */
  readonly sources: readonly string[] | null;
}

/** A line of the keys file. `created` and `expires` are in milliseconds since 1970; `null`: not known, never. */
export interface KeyLine extends Values<typeof MEMBERS> {
  /** From 1. */
  readonly number: number;
}

/**
 * The keys in a file: a JSON object a line. A holder may have several, all with the same name and rights.
 *
 * @throws Error which names the line, and shows no hash: it may be a key
 */
export function parseKeys(text: string): readonly KeyLine[] {
  const keys = text.split('\n').flatMap((line, index) => {
    return line.trim() === '' ? [] : [parsed(line, index + 1)];
  });
  if (keys.length > KEYS_MAX)
    throw new Error(`it has ${keys.length} keys, and at most ${KEYS_MAX} are taken`);
  const hashes = new Map<string, number>();
  const holders = new Map<string, KeyLine>();
  for (const key of keys) {
    const { name, hash: own, number } = key;
    const same = hashes.get(own);
    if (same !== undefined) throw new Error(`line ${number} has the same key as line ${same}`);
    hashes.set(own, number);
    const first = holders.get(name) ?? key;
    if (first !== key && !haveSameRights(first, key))
      throw new Error(
        `line ${number} has other sources or limits than line ${first.number} of the same name`,
      );
    holders.set(name, first);
  }
  return keys;
}

/** A line of the keys file, with its line feed. Members that are `null` are left out. */
export function lineOf(key: Omit<KeyLine, 'number'>): string {
  const { created, expires, ...rest } = key;
  const members = Object.entries({ ...rest, created: iso(created), expires: iso(expires) });
  return `${JSON.stringify(Object.fromEntries(members.filter(([, value]) => value !== null)))}\n`;
}

export function haveSameRights(one: Rights, other: Rights): boolean {
  const text = ({ sources, eventsPerSecond, bytesPerSecond }: Rights): string =>
    JSON.stringify([sources?.toSorted(), eventsPerSecond, bytesPerSecond]);
  return text(one) === text(other);
}

/** @throws CheckError */
export function keyName(given: unknown): string {
  if (typeof given === 'string' && NAME.test(given)) return given;
  throw new CheckError('must be at most 64 characters of a-z, 0-9 and -, a letter first');
}

/** @throws CheckError */
export function sourceNames(given: unknown): readonly string[] {
  const names = listOf('the name of a source', (name) => SOURCE_NAME.test(name))(given);
  if (names.length === 0) throw new CheckError('must name a source');
  return names;
}

/** A date, or a time in UTC, in milliseconds since 1970; `NaN` if it is neither. */
export function timeMs(text: string): number {
  const ms = TIME.test(text) ? Date.parse(text) : NaN;
  // `Date.parse` makes a day of March out of February 30
  return Number.isNaN(ms) || iso(ms)?.slice(0, 10) === text.slice(0, 10) ? ms : NaN;
}

function parsed(line: string, number: number): KeyLine {
  let object: unknown;
  try {
    object = JSON.parse(line);
  } catch {
    // the system's message would quote the text
  }
  if (typeof object !== 'object' || object === null || Array.isArray(object))
    throw new Error(`line ${number} is not a JSON object`);
  const twice = doubledKey(line);
  if (twice !== null) throw new Error(`line ${number} has ${JSON.stringify(twice)} twice`);
  for (const needed of ['name', 'hash'])
    if (!Object.hasOwn(object, needed)) throw new Error(`line ${number} has no "${needed}"`);
  return { ...fromKeys(MEMBERS, object, `line ${number}`), number };
}

function member<T>(flag: string, check: Check<T>): Option<T> {
  return { flag, initial: null, unit: '', help: '', check };
}

function time(given: unknown): number {
  const ms = timeMs(String(given));
  if (!Number.isNaN(ms)) return ms;
  throw new CheckError('must be a date like 2027-01-31, or a time like 2027-01-31T12:00:00Z');
}

function hash(given: unknown): string {
  if (typeof given === 'string' && HASH.test(given)) return given;
  throw new CheckError('must be the SHA-256 of a key, as 64 hexadecimal digits in small letters', true);
}

function iso(ms: number | null): string | null {
  return ms === null ? null : new Date(ms).toISOString();
}
