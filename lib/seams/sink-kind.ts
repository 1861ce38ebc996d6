import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../base/reporter.js';
import type { OptionTable } from '../settings/option-table.js';
import { invalid } from '../settings/setting-error.js';
import type { Sink } from './sink.js';

/** What each sink gets besides its settings. */
export interface SinkContext {
  /** At most this many batches are at the sink at once. */
  readonly connections: number;
  readonly logger: Logger;
}

/** An address on which the server listens. */
export interface Door {
  readonly host: string;
  /** 0 for any free port. */
  readonly port: number;
  readonly isTls: boolean;
}

/** A kind of sink: its settings, and how to open it. `V` has the values of its settings, and perhaps others. */
export interface SinkKind<in V> {
  /** The value of `--sink`. */
  readonly name: string;
  /** Settings of this kind alone. Each flag starts with `sink-`, each help text with the name of the kind. */
  readonly settings: OptionTable;
  /** Settings that it shares with other kinds. */
  readonly shared?: OptionTable;
  /** The setting that is required if this kind is chosen. */
  readonly needs?: keyof V;
  /** Settings that may be given with any other kind, which ignores them. */
  readonly ignorable?: readonly (keyof V)[];
  /** Whether the sink needs standard output for itself; log lines go to standard error then. */
  readonly ownsStdout?: true;
  /** Why it can be used by one process only, in words; without: by several (`--workers`). */
  readonly oneProcess?: string;
  /** Called whether or not this kind is chosen; without doors if not. @throws ForebayError `SETTING_INVALID` */
  readonly check?: (values: V, doors: readonly Door[]) => void;
  /** Loads the sink's module. @throws ForebayError `SINK_UNUSABLE`, `SETTING_INVALID` */
  readonly open: (values: V, context: SinkContext) => Promise<Sink>;
}

export function kindNamed<V>(kinds: readonly SinkKind<V>[], name: string): SinkKind<V> {
  const kind = kinds.find((each) => each.name === name);
  if (kind === undefined) throw invalid(`Unknown sink ${name}`);
  return kind;
}

/**
 * @throws ForebayError `SETTING_INVALID` if a setting that the chosen kind needs is missing, or a setting of another
 * kind is given
 */
export function checkSinkSettings<V extends Readonly<Record<string, unknown>> & { readonly sink: string }>(
  kinds: readonly SinkKind<V>[],
  values: V,
  doors: readonly Door[],
): void {
  const chosen = kindNamed(kinds, values.sink);
  const tables = kinds.map(({ name, settings, shared }) => ({ name, table: { ...settings, ...shared } }));
  const namesWith = (key: string): string[] =>
    tables.filter(({ table }) => Object.hasOwn(table, key)).map(({ name }) => name);
  for (const kind of kinds) {
    const options = Object.entries({ ...kind.settings, ...kind.shared });
    const needed = options.find(([key]) => key === kind.needs && values[key] === null)?.[1];
    if (kind === chosen && needed !== undefined)
      throw invalid(`--sink ${kind.name} needs --${needed.flag} ${needed.unit}`);
    kind.check?.(values, kind === chosen ? doors : []);
    const ignorable: readonly PropertyKey[] = kind.ignorable ?? [];
    for (const [key, { flag, initial, check }] of options) {
      const names = namesWith(key);
      const isGiven = !isDeepStrictEqual(values[key], check(initial));
      if (isGiven && !names.includes(chosen.name) && !ignorable.includes(key))
        throw invalid(`--${flag} goes with --sink ${names.join(' or ')}`);
    }
  }
}
