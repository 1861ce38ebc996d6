import { checkRelations, SERVER_SETTINGS } from '../../lib/cli/server-settings.js';
import type { ServerSettings } from '../../lib/cli/server-settings.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { readOptions } from '../../lib/settings/option-table.js';
import { SINK_KINDS } from '../../lib/sinks/registry.js';
import { kindNamed } from '../../lib/seams/sink-kind.js';
import type { SinkContext } from '../../lib/seams/sink-kind.js';
import type { Sink } from '../../lib/seams/sink.js';

/** The settings that a server has with these flags. */
export function settingsOf(flags: readonly string[]): ServerSettings {
  const settings = readOptions(SERVER_SETTINGS, flags);
  checkRelations(settings);
  return settings;
}

export function contextOf(settings: ServerSettings, logger = silentLogger): SinkContext {
  return { connections: settings.sinkConcurrency, logger };
}

/** The sink that a server with these flags has. */
export async function openSink(flags: readonly string[], logger = silentLogger): Promise<Sink> {
  const settings = settingsOf(flags);
  return kindNamed(SINK_KINDS, settings.sink).open(settings, contextOf(settings, logger));
}
