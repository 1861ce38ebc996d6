import { readFileSync } from 'node:fs';
import minimist from 'minimist';
import { asError, ForebayError } from '../errors.js';
import { jsonErrorPosition } from '../json-position.js';
import { CheckError, onOff } from './checks.js';
import type { Check } from './checks.js';
import { nearest } from './nearest.js';

/** One setting, as it stands once in its table. */
export interface Option<T> {
  /** Its name as a flag (`--batch-wait`) and in a JSON file; as a variable it is `FOREBAY_BATCH_WAIT`. */
  readonly flag: string;
  /** What it is without being set, in the form a user would give it; `null`: nothing. */
  readonly initial: string | number | boolean | null;
  /** What its value is, for the help text: a unit or a kind. */
  readonly unit: string;
  readonly help: string;
  /** Whether the flag may be given more than once: the check gets an array then. */
  readonly isRepeatable?: true;
  readonly check: Check<T>;
}

export type OptionTable = Readonly<Record<string, Option<unknown>>>;

/** The values of a table: for each key what its check gives. */
export type Values<Table extends OptionTable> = {
  -readonly [K in keyof Table]: ReturnType<Table[K]['check']>;
};

/** What was given, by flag name, and where: `--batch-wait`, `FOREBAY_BATCH_WAIT`, `batch-wait in FILE`. */
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
  environment: Readonly<Record<string, string | undefined>> = {},
): Values<Table> {
  const flags = fromFlags(table, argv);
  const variables = fromEnvironment(table, environment);
  const config = flags.get('config') ?? variables.get('config');
  const file: Given = typeof config?.value === 'string' ? fromFile(table, config.value) : new Map();
  return check(table, new Map([...file, ...variables, ...flags]));
}

/** The values of a table from an object with the table's own keys, as code gives them. */
export function fromObject<Table extends OptionTable>(table: Table, given: object): Values<Table> {
  const found: Given = new Map();
  for (const [key, value] of Object.entries(given)) {
    if (value === undefined) continue;
    const flag = table[key]?.flag;
    if (flag === undefined) {
      const like = nearest(key, Object.keys(table));
      throw invalid(`Unknown setting ${key}${like === null ? '' : `: did you mean ${like}?`}`);
    }
    found.set(flag, { value, as: key });
  }
  return check(table, found);
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

function fromFlags(table: OptionTable, argv: readonly string[]): Given {
  const options = Object.values(table);
  const isOnOff = ({ check: kind }: Option<unknown>): boolean => kind === onOff;
  const parsed = minimist([...argv], {
    string: options.filter((option) => !isOnOff(option)).map(({ flag }) => flag),
    boolean: options.filter(isOnOff).map(({ flag }) => flag),
    unknown: (argument) => {
      if (!argument.startsWith('-')) throw invalid(`Unexpected argument ${argument}`);
      const given = argument.replace(/=.*/s, ''); // a secret may follow it
      const like = nearest(
        given.replace(/^-+(?:no-)?/, ''),
        options.map(({ flag }) => flag),
      );
      throw invalid(`Unknown flag ${given}${like === null ? '' : `: did you mean --${like}?`}`);
    },
  });
  const given: Given = new Map();
  for (const option of options) {
    const value: unknown = parsed[option.flag];
    const as = `--${option.flag}`;
    if (Array.isArray(value) && option.isRepeatable !== true) throw invalid(`${as} is given more than once`);
    // minimist sets every on-off flag, given or not: only one that is on says something
    if (value !== undefined && !(isOnOff(option) && value === false)) given.set(option.flag, { value, as });
  }
  return given;
}

function fromEnvironment(
  table: OptionTable,
  environment: Readonly<Record<string, string | undefined>>,
): Given {
  const flags = new Map(Object.values(table).map(({ flag }) => [variableName(flag), flag]));
  const given: Given = new Map();
  for (const [name, value] of Object.entries(environment)) {
    if (!name.startsWith('FOREBAY_') || value === undefined) continue;
    const flag = flags.get(name);
    if (flag === undefined) {
      const like = nearest(name, [...flags.keys()]);
      throw invalid(`Unknown environment variable ${name}${like === null ? '' : `: did you mean ${like}?`}`);
    }
    given.set(flag, { value, as: name });
  }
  return given;
}

function fromFile(table: OptionTable, path: string): Given {
  let json: string;
  try {
    json = readFileSync(path, 'utf8');
  } catch (error) {
    throw invalid(`The file ${path} (--config) cannot be read: ${asError(error).message}`);
  }
  let content: unknown;
  try {
    content = JSON.parse(json);
  } catch {
    // the system's message would quote it, and a secret may stand there
    const line = json.slice(0, jsonErrorPosition(json) ?? 0).split('\n').length;
    throw invalid(`The file ${path} (--config) cannot be read: it is no JSON, see line ${line}`);
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content)) {
    throw invalid(`The file ${path} (--config) must hold a JSON object`);
  }
  const flags = new Set(Object.values(table).map(({ flag }) => flag));
  const given: Given = new Map();
  for (const [flag, value] of Object.entries(content)) {
    if (!flags.has(flag)) {
      const like = nearest(flag, [...flags]);
      throw invalid(
        `Unknown setting "${flag}" in ${path}${like === null ? '' : `: did you mean "${like}"?`}`,
      );
    }
    given.set(flag, { value, as: `"${flag}" in ${path}` });
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

function invalid(message: string): ForebayError {
  return new ForebayError('SETTING_INVALID', { message });
}
