import minimist from 'minimist';
import { invalid } from './setting-error.js';
import { unknown } from './unknown.js';

/** A flag of a command line. */
export interface Flag {
  readonly flag: string;
  /** Whether it has no value: `--sink-gzip` and `--no-sink-gzip`. Every other flag takes one. */
  readonly isOnOff: boolean;
  readonly isRepeatable: boolean;
}

/** The parts of a command line. */
export interface CommandLineParts {
  /** The value of each given flag, by its name; an array if a repeatable flag is given more than once. */
  readonly values: ReadonlyMap<string, unknown>;
  /** All other words, in order. */
  readonly words: readonly string[];
}

/** Flags that also have a letter: `-h`. */
const LETTERS: Readonly<Record<string, string>> = { help: 'h', version: 'v' };

/**
 * Reads a command line. `minimist` splits it. This function decides which flags exist, and how often each may be
 * given.
 *
 * @param takesWords whether words other than flags may be given
 * @throws ForebayError `SETTING_INVALID`, which names the mistake and shows no value of a flag
 */
export function readFlags(
  flags: readonly Flag[],
  argv: readonly string[],
  takesWords: boolean,
): CommandLineParts {
  const onOff = flags.filter(({ isOnOff }) => isOnOff).map(({ flag }) => flag);
  checkOnOff(onOff, argv);
  const { '--': rest = [], ...parsed } = minimist([...argv], {
    string: flags.filter(({ isOnOff }) => !isOnOff).map(({ flag }) => flag),
    boolean: onOff,
    // minimist sets each of these, given or not
    default: Object.fromEntries(onOff.map((flag) => [flag, null])),
    alias: Object.fromEntries(Object.entries(LETTERS).filter(([flag]) => onOff.includes(flag))),
    '--': true,
    unknown: (word) => {
      if (word.startsWith('-')) throw unknownFlag(nameOf(word), flags);
      if (!takesWords) throw unexpected(word, false);
      return true;
    },
  });
  if (rest[0] !== undefined && !takesWords) throw unexpected(rest[0], true);
  const values = new Map<string, unknown>();
  for (const flag of flags) {
    const value: unknown = parsed[flag.flag];
    if (value !== undefined && value !== null) values.set(flag.flag, checked(flag, value));
  }
  return { values, words: [...parsed._.map(String), ...rest] };
}

/**
 * Refuses mistakes that `minimist` ignores: an on-off flag given twice, or with a value other than `true` and
 * `false`.
 */
function checkOnOff(onOff: readonly string[], argv: readonly string[]): void {
  const given = new Set<string>();
  for (const word of argv) {
    if (word === '--') return;
    const [, no, flag = '', value] = /^--(no-)?([^=]+)(?:=(.*))?$/s.exec(word) ?? [];
    if (!onOff.includes(flag)) continue;
    if (given.has(flag)) throw invalid(`--${flag} is given more than once`);
    given.add(flag);
    if (no !== undefined && value !== undefined) throw invalid(`--no-${flag} takes no value`);
    if (value !== undefined && value !== 'true' && value !== 'false')
      throw invalid(`--${flag} must be true or false, not ${JSON.stringify(value)}`);
  }
}

function checked({ flag, isOnOff, isRepeatable }: Flag, value: unknown): unknown {
  if (isOnOff) return value;
  if (value === false) throw invalid(`Unknown flag --no-${flag}: --${flag} takes a value`);
  if (Array.isArray(value) && !isRepeatable) throw invalid(`--${flag} is given more than once`);
  if ([value].flat().includes('')) throw invalid(`--${flag} needs a value`);
  return value;
}

function unexpected(word: string, isEnded: boolean): Error {
  if (!isEnded) return invalid(`Unexpected argument ${word}`);
  return invalid(`Unexpected argument ${nameOf(word)}: nothing may come after --`);
}

function unknownFlag(given: string, flags: readonly Flag[]): Error {
  const names = flags.map(({ flag }) => flag);
  return unknown('flag', given, names, (like) => {
    const isOnOff = flags.some(({ flag, isOnOff: each }) => each && flag === like);
    return `--${isOnOff && given.startsWith('--no-') ? 'no-' : ''}${like}`;
  });
}

/** A flag without its value, which may be a secret. */
function nameOf(word: string): string {
  return word.startsWith('-') ? word.replace(/=.*/s, '') : word;
}
