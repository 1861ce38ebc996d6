/** The kinds of sinks. To add one: its folder, and here its name in both lists. */
import { oneOf } from '../settings/checks.js';
import type { OptionTable, Values } from '../settings/option-table.js';
import { fileKind } from './file/file-kind.js';
import { httpKind } from './http/http-kind.js';
import { NETWORK_SETTINGS } from './network-settings.js';
import { postgresKind } from './postgres/postgres-kind.js';
import { simulatedKind } from './simulated/simulated-kind.js';
import type { SinkKind } from '../seams/sink-kind.js';
import { stdoutKind } from './stdout/stdout-kind.js';

const KINDS = [simulatedKind, fileKind, stdoutKind, httpKind, postgresKind] as const;

/** The setting that chooses a kind; the first one is the default. */
export function sinkOption<const Name extends string>(kinds: readonly { readonly name: Name }[]) {
  const names = kinds.map(({ name }) => name);
  return {
    flag: 'sink',
    initial: names[0] ?? null,
    unit: names.join('|'),
    help: 'where batches go; the simulated sink keeps nothing',
    check: oneOf(...names),
  } as const;
}

/** Which sink, and what each of them takes. */
export const SINK_SETTINGS = {
  sink: sinkOption(KINDS),
  ...simulatedKind.settings,
  ...fileKind.settings,
  ...stdoutKind.settings,
  ...httpKind.settings,
  ...postgresKind.settings,
  ...NETWORK_SETTINGS,
} as const satisfies OptionTable;

export type SinkSettings = Values<typeof SINK_SETTINGS>;

export const SINK_KINDS: readonly SinkKind<Omit<SinkSettings, 'sink'>>[] = KINDS;
