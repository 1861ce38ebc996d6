import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { QUARANTINE } from '../../lib/logs/file/aside/quarantine.js';
import { onOff } from '../../lib/settings/checks.js';
import { readCommand, variableName } from '../../lib/settings/option-table.js';
import type { OptionTable, Values } from '../../lib/settings/option-table.js';
import { PIPELINE_SETTINGS } from '../../lib/settings/pipeline-settings.js';
import { PROGRAM_SETTINGS } from '../../lib/settings/program-settings.js';
import { invalid } from '../../lib/settings/setting-error.js';

/** All settings of the log tool; its flags come from this table alone. */
export const LOG_TOOL_SETTINGS = {
  logDir: {
    ...PIPELINE_SETTINGS.logDir,
    help: 'the log directory; otherwise as the variable FOREBAY_LOG_DIR says',
  },
  json: { flag: 'json', initial: false, unit: '', help: 'ls: one JSON object a line', check: onOff },
  raw: {
    flag: 'raw',
    initial: false,
    unit: '',
    help: 'cat: the bytes of the files as they are, with marks and damage',
    check: onOff,
  },
  dryRun: {
    flag: 'dry-run',
    initial: false,
    unit: '',
    help: 'repair: say what it would do, and do nothing',
    check: onOff,
  },
  ...PROGRAM_SETTINGS,
} as const satisfies OptionTable;

export type LogToolSettings = Values<typeof LOG_TOOL_SETTINGS>;

/** Each command, and the setting that goes with it alone. */
const COMMANDS = { ls: 'json', verify: null, cat: 'raw', repair: 'dryRun' } as const;

export type Command = keyof typeof COMMANDS;

export interface CommandLine {
  /** `null` with `--help` or `--version`. */
  readonly command: Command | null;
  /** The files to print: batch names, or `quarantine/NAME`. */
  readonly names: readonly string[];
  readonly settings: LogToolSettings;
}

/**
 * What was asked for: flags from the table, all else in order.
 *
 * @throws ForebayError `SETTING_INVALID`, which names what is wrong
 */
export function readCommandLine(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  // the variables of a server that are no settings of this tool may well be set here
  const variable = variableName(LOG_TOOL_SETTINGS.logDir.flag);
  const { settings, words } = readCommand(LOG_TOOL_SETTINGS, argv, { [variable]: environment[variable] });
  const [word, ...names] = words;
  if (settings.help || settings.version) return { command: null, names: [], settings };
  const choices = Object.keys(COMMANDS).join(', ');
  if (word === undefined) throw invalid(`Say what to do: one of ${choices} (--help explains them)`);
  if (!isCommand(word)) throw invalid(`Unknown command ${word}: it must be one of ${choices}`);
  for (const [command, key] of Object.entries(COMMANDS)) {
    if (key !== null && settings[key] && command !== word) {
      throw invalid(`--${LOG_TOOL_SETTINGS[key].flag} goes with ${command}, not with ${word}`);
    }
  }
  if (word !== 'cat' && names.length > 0)
    throw invalid(`Unexpected argument ${names[0]}: ${word} takes none`);
  for (const name of names) checkName(name);
  return { command: word, names, settings };
}

function isCommand(word: string): word is Command {
  return Object.hasOwn(COMMANDS, word);
}

/** Only files of the log directory itself can be named. */
function checkName(name: string): void {
  const aside = name.startsWith(`${QUARANTINE}/`) ? name.slice(QUARANTINE.length + 1) : null;
  const isInside = aside !== null && !aside.includes('/') && !['', '.', '..'].includes(aside);
  if (!isInside && !isBatchName(name)) {
    throw invalid(`${name} is not the name of a batch file, nor ${QUARANTINE}/NAME`);
  }
}
