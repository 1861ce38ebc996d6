import { CheckError } from './checks.js';
import type { OptionTable } from './option-table.js';

/** A source as its operator declares it. */
export interface DeclaredSource {
  readonly name: string;
  /** Its settings by flag name; `false`: it is switched off. */
  readonly given: Readonly<Record<string, unknown>> | false;
}

/** The name of a source, also a label of metrics. */
export const SOURCE_NAME = /^[a-z][a-z\d-]{0,31}$/;
/** Among the sources of a key: its holder may pause delivery. No source is called so. */
export const CONTROL = 'control';
const OFF = 'off';

/** Where sources are declared. A source of a flag adds to the one of the same name in the file. */
export const SOURCE_FLAGS = {
  source: {
    flag: 'source',
    initial: null,
    unit: 'NAME=PATH[,SETTING=VALUE…]',
    help: 'takes what a sender posts to PATH: see Sources below; may be given more than once; events=off: no /events',
    isRepeatable: true,
    check: declaredByFlags,
  },
  sources: {
    flag: 'sources',
    initial: null,
    unit: 'JSON',
    help: 'sources by name, for the file of --config: {"github": {"path": "/in/github", …}}',
    check: declaredByObject,
  },
} as const satisfies OptionTable;

/** The sources of both settings, one for each name. */
export function declaredSources({
  source,
  sources,
}: {
  readonly source: readonly DeclaredSource[];
  readonly sources: readonly DeclaredSource[];
}): readonly DeclaredSource[] {
  const all = new Map<string, DeclaredSource>();
  for (const { name, given } of [...sources, ...source]) {
    const before = all.get(name)?.given;
    all.set(name, { name, given: given === false || !before ? given : { ...before, ...given } });
  }
  return [...all.values()];
}

function declaredByFlags(given: unknown): readonly DeclaredSource[] {
  if (given === null) return [];
  return (Array.isArray(given) ? (given as unknown[]) : [given]).map((each) => declaredByFlag(each));
}

function declaredByFlag(given: unknown): DeclaredSource {
  if (typeof given !== 'string')
    throw new CheckError('must be like github=/in/github,secret-file=github.secret');
  const [first = '', ...rest] = given.split(',');
  const [name, path] = split(first);
  checkName(name);
  if (path === OFF) return { name, given: false };
  const settings = new Map<string, unknown>(path === undefined ? [] : [['path', path]]);
  for (const each of rest) {
    const [key, value] = split(each);
    if (value === undefined) throw new CheckError(`must have a value for ${JSON.stringify(key)}, after "="`);
    // a list is a setting that is given more than once
    settings.set(key, settings.has(key) ? [settings.get(key), value].flat() : value);
  }
  return { name, given: Object.fromEntries(settings) };
}

function declaredByObject(given: unknown): readonly DeclaredSource[] {
  if (given === null) return [];
  const sources = typeof given === 'string' ? parsed(given) : given;
  if (!isObject(sources)) throw new CheckError('must be an object with a source for each name');
  return Object.entries(sources).map(([name, settings]) => {
    checkName(name);
    if (settings === false || settings === OFF) return { name, given: false };
    if (!isObject(settings)) throw new CheckError(`must have an object of settings, or false, for ${name}`);
    return { name, given: settings };
  });
}

function checkName(name: string): void {
  if (!SOURCE_NAME.test(name))
    throw new CheckError('must name each source in at most 32 characters of a-z, 0-9 and -, a letter first');
  if (name === CONTROL)
    throw new CheckError(`must not name a source ${CONTROL}: a key with that name may pause delivery`);
}

/** At the first `=`. */
function split(text: string): [string, string?] {
  const at = text.indexOf('=');
  return at === -1 ? [text.trim()] : [text.slice(0, at).trim(), text.slice(at + 1).trim()];
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    throw new CheckError('must be a JSON object', true);
  }
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
