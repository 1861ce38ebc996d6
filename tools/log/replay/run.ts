import { isDeepStrictEqual } from 'node:util';
import type { LogPlaceSettings } from '../../../lib/settings/log-settings.js';
import { invalid } from '../../../lib/settings/setting-error.js';
import type { OptionTable, Values } from '../../../lib/settings/option-table.js';
import { checkSinkSettings } from '../../../lib/seams/sink-kind.js';
import { SINK_KINDS } from '../../../lib/sinks/registry.js';
import type { SinkSettings } from '../../../lib/sinks/registry.js';
import type { ExitCode } from '../exit-code.js';
import { readKey } from '../front-door.js';
import type { Surroundings } from '../program.js';
import { runningServer } from './destination.js';
import type { Destination } from './destination.js';
import { Replay } from './replay.js';
import { REPLAY_SINK_SETTINGS } from './replay-settings.js';
import type { REPLAY_SETTINGS } from './replay-settings.js';

type Settings = Values<typeof REPLAY_SETTINGS & typeof REPLAY_SINK_SETTINGS> &
  Pick<LogPlaceSettings, 'log'> & { readonly logDir: string };

/** @throws ForebayError `SETTING_INVALID` */
export function checkReplay(settings: Settings): void {
  const { log, from, to, yes, dryRun, sink, idWindow, keyFile } = settings;
  if (log === 'jetstream') throw invalid('replay needs --log file: what is delivered leaves a stream');
  if (from === null)
    throw invalid('replay needs --from TIME: a time like 2026-11-01T08:00:00Z, or 2h for 2 hours ago');
  if (from.ms > Date.now()) throw invalid('--from is in the future');
  if (to !== null && to.ms <= from.ms) throw invalid('--to must be after --from');
  if (!yes && !dryRun) throw invalid('replay sends events again: say --yes, or --dry-run to count them');
  if (sink === null) {
    for (const [key, { flag, initial, check }] of Object.entries<OptionTable[string]>(REPLAY_SINK_SETTINGS))
      if (!isDeepStrictEqual(settings[key as keyof Settings], check(initial)))
        throw invalid(`--${flag} needs --sink`);
    return;
  }
  if (idWindow === 'pass' || keyFile !== null)
    throw invalid(
      `--${keyFile === null ? 'id-window' : 'key-file'} is for a server that runs, not for --sink`,
    );
  checkSinkSettings(SINK_KINDS, sinkSettings(settings, sink), []);
}

function sinkSettings(settings: Settings, sink: SinkSettings['sink']): SinkSettings {
  return { ...settings, sink };
}

/** Sends events again that a log directory has retained. */
export async function replay(
  settings: Settings,
  { fs, output, tell, interrupted }: Surroundings,
): Promise<ExitCode> {
  const { logDir, from, to, type, source, url, idWindow, dryRun, startOver, sink } = settings;
  const key = await readKey(fs, settings.keyFile);
  const signal = interrupted();
  const nowMs = Date.now();
  const open = async (): Promise<Destination> => {
    if (sink === null) return runningServer({ url, key, idWindow, tell, signal });
    // the whole server: only now, as all else needs none of it
    const { stoppedServer } = await import('./stopped-server.js');
    return stoppedServer({ logDir, sink: sinkSettings(settings, sink), tell, signal });
  };
  const bareUrl = sink === null ? url.origin + url.pathname : null;
  const command = {
    from: from?.text ?? null,
    to: to?.text ?? null,
    type,
    source,
    'id-window': idWindow,
    url: bareUrl,
    sink,
  };
  const plan = {
    command,
    fromMs: from?.ms ?? 0,
    toMs: to?.ms ?? nowMs,
    begun: new Date(nowMs).toISOString(),
  };
  const request = {
    logDir,
    plan,
    wanted: { types: type, sources: source },
    isDryRun: dryRun,
    startsOver: startOver,
    url: sink === null ? url : null,
    open,
  };
  return new Replay(request, { fs, output, tell, signal }).run();
}
