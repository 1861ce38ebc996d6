import type { RestingStreams } from '../../lib/logs/jetstream/resting-streams.js';
import { LOG_PLACE_SETTINGS } from '../../lib/settings/log-settings.js';
import type { LogPlaceSettings } from '../../lib/settings/log-settings.js';
import { variableName } from '../../lib/settings/option-table.js';
import type { OptionTable } from '../../lib/settings/option-table.js';
import { PIPELINE_SETTINGS } from '../../lib/settings/pipeline-settings.js';

/** The settings that say where a log is: a directory, or streams. */
export const LOG_SETTINGS_OF_TOOLS = {
  logDir: {
    ...PIPELINE_SETTINGS.logDir,
    help: 'the log directory; otherwise as the variable FOREBAY_LOG_DIR says',
  },
  ...LOG_PLACE_SETTINGS,
} as const satisfies OptionTable;

const DIRECTORY = variableName(LOG_SETTINGS_OF_TOOLS.logDir.flag);
const VARIABLES = Object.values(LOG_SETTINGS_OF_TOOLS).map(({ flag }) => variableName(flag));

/** A directory that is named on the command line is meant, whatever log a server has here. */
export function logVariables(argv: readonly string[]): readonly string[] {
  return argv.some((word) => /^--log-dir(?:=|$)/.test(word)) ? [DIRECTORY] : VARIABLES;
}

/** Works on the streams of a log. What that needs is loaded only if it is asked for. @throws ForebayError */
export async function withStreams<T>(
  settings: LogPlaceSettings,
  work: (streams: RestingStreams) => Promise<T>,
): Promise<T> {
  const jetstream = await import('../../lib/logs/jetstream/resting-streams.js');
  const streams = await jetstream.RestingStreams.open(settings);
  try {
    return await work(streams);
  } finally {
    await streams.close();
  }
}
