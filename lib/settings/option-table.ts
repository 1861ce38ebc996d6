import { CheckError, onOff } from './checks.js';
import type { Check } from './checks.js';
import { readFlags } from './flags.js';
import { invalid } from './setting-error.js';
import { readSettingsFile } from './settings-file.js';
import { unknown } from './unknown.js';

/** One setting: a row of its table. */
export interface Option<T> {
  /** Its name as a flag (`--batch-wait`) and in a JSON file. Its variable is `FOREBAY_BATCH_WAIT`. */
  readonly flag: string;
  /** Its default, as a user would write it; `null`: none. */
  readonly initial: string | number | boolean | null;
  /** The unit or kind of its value, for the help text. */
  readonly unit: string;
  readonly help: string;
  /** Whether the flag may be given more than once: its check then gets an array. */
  readonly isRepeatable?: true;
  readonly check: Check<T>;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The values of a table: for each key, the result of its check. */
export type Values<Table extends OptionTable> = {
  -readonly [K in keyof Table]: ReturnType<Table[K]['check']>;
};

type Environment = Readonly<Record<string, string | undefined>>;

/** Given values by flag name, and their origin: `--batch-wait`, `FOREBAY_BATCH_WAIT`, `batch-wait in FILE`. */
type Given = Map<string, { readonly value: unknown; readonly as: string }>;

/**
 * The values of a table from flags, variables and a JSON file, in that order of precedence. The file is named
 * by a setting with the flag `config`, if the table has one.
 *
 * @throws ForebayError `SETTING_INVALID`, which names the setting
 */
export function readOptions<Table extends OptionTable>(
  table: Table,
  argv: readonly string[],
  environment: Environment = {},
): Values<Table> {
  return read(table, argv, environment, false).settings;
}

/**
 * The same for a tool that also takes other words, such as a command and names of files.
 *
 * @throws ForebayError `SETTING_INVALID`, which names the setting
 */
export function readCommand<Table extends OptionTable>(
  table: Table,
  argv: readonly string[],
  environment: Environment = {},
): { readonly settings: Values<Table>; readonly words: readonly string[] } {
  return read(table, argv, environment, true);
}

function read<Table extends OptionTable>(
  table: Table,
  argv: readonly string[],
  environment: Environment,
  takesWords: boolean,
): { readonly settings: Values<Table>; readonly words: readonly string[] } {
  const known = Object.values(table).map(({ flag, check: kind, isRepeatable = false }) => ({
    flag,
    isOnOff: kind === onOff,
    isRepeatable,
  }));
  const { values, words } = readFlags(known, argv, takesWords);
  const flags = fromFlags(table, values);
  const variables = fromEnvironment(table, environment);
  const config = flags.get('config') ?? variables.get('config');
  const file: Given = typeof config?.value === 'string' ? fromFile(table, config.value) : new Map();
  return { settings: check(table, new Map([...file, ...variables, ...flags])), words };
}

/** The values of a table from an object with the table's keys, as code passes them. */
export function fromObject<Table extends OptionTable>(table: Table, given: object): Values<Table> {
  const found: Given = new Map();
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const flag = table[key]?.flag;
    if (flag === undefined) throw unknown('setting', key, Object.keys(table));
    found.set(flag, { value, as: key });
  }
  return check(table, found);
}

/**
 * The values of a table from an object with its flags as keys, as a JSON file has them.
 *
 * @param place whose object it is, for errors
 * @throws ForebayError `SETTING_INVALID`, which names the key
 */
export function fromKeys<Table extends OptionTable>(
  table: Table,
  given: object,
  place: string,
): Values<Table> {
  return check(table, named(table, given, ` of ${place}`));
}

/** The settings that are in a table. */
export function ofTable<Table extends OptionTable>(table: Table, settings: Values<Table>): Values<Table> {
  return Object.fromEntries(Object.keys(table).map((key) => [key, settings[key]])) as Values<Table>;
}

/** The table as `--help` prints it. */
export function helpText(table: OptionTable, environment: boolean): string {
  const rows = Object.values(table).map(({ flag, initial, unit, help }) => {
    const from = initial === null || initial === false ? '' : ` (${initial})`;
    return { left: `  --${flag}${unit === '' ? '' : ` ${unit}`}`, right: `${help}${from}` };
  });
  const width = Math.max(...rows.map(({ left }) => left.length)) + 2;
  const lines = rows.map(({ left, right }) => left.padEnd(width) + right);
  if (environment)
    lines.push('', 'Each is also an environment variable (--batch-wait is FOREBAY_BATCH_WAIT)');
  if (environment) lines.push('and a key of the JSON file given by --config ("batch-wait").');
  return `${lines.join('\n')}\n`;
}

export function variableName(flag: string): string {
  return `FOREBAY_${flag.replaceAll('-', '_').toUpperCase()}`;
}

function fromFlags(table: OptionTable, values: ReadonlyMap<string, unknown>): Given {
  const given = Object.values(table).filter(({ flag }) => values.has(flag));
  return new Map(given.map(({ flag }) => [flag, { value: values.get(flag), as: `--${flag}` }]));
}

function fromEnvironment(table: OptionTable, environment: Environment): Given {
  const flags = new Map(Object.values(table).map(({ flag }) => [variableName(flag), flag]));
  const given: Given = new Map();
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('FOREBAY_') || value === undefined) continue;
    const flag = flags.get(name);
    if (flag === undefined) throw unknown('environment variable', name, [...flags.values()], variableName);
    given.set(flag, { value, as: name });
  }
  return given;
}

function fromFile(table: OptionTable, path: string): Given {
  return named(table, readSettingsFile(path), ` in ${path}`);
}

function named(table: OptionTable, values: object, place: string): Given {
  const flags = new Set(Object.values(table).map(({ flag }) => flag));
  const given: Given = new Map();
  for (const [flag, value] of Object.entries(values)) {
    if (!flags.has(flag)) throw unknown('setting', `"${flag}"`, [...flags], (like) => `"${like}"`, place);
    given.set(flag, { value, as: `"${flag}"${place}` });
  }
  return given;
}

function check<Table extends OptionTable>(table: Table, given: Given): Values<Table> {
  const values = Object.entries(table).map(([key, option]) => {
    const { value, as } = given.get(option.flag) ?? { value: option.initial, as: option.flag };
    try {
      return [key, option.check(value)];
    } catch (error) {
      if (!(error instanceof CheckError)) throw error;
      throw invalid(`${as} ${error.message}${error.isSecret ? '' : `, not ${JSON.stringify(value)}`}`);
    }
  });
  return Object.fromEntries(values) as Values<Table>;
}
