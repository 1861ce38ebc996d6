import { httpUrl, onOff, optional, text } from '../../lib/settings/checks.js';
import { readCommand, variableName } from '../../lib/settings/option-table.js';
import type { OptionTable, Values } from '../../lib/settings/option-table.js';
import { PIPELINE_SETTINGS } from '../../lib/settings/pipeline-settings.js';
import { PROGRAM_SETTINGS } from '../../lib/settings/program-settings.js';
import { invalid } from '../../lib/settings/setting-error.js';

/** All settings of the tool; its flags come from this table alone. */
export const DEAD_LETTERS_SETTINGS = {
  logDir: {
    ...PIPELINE_SETTINGS.logDir,
    help: 'the log directory; otherwise as the variable FOREBAY_LOG_DIR says',
  },
  reason: {
    flag: 'reason',
    initial: null,
    unit: 'TEXT',
    help: 'only letters whose reason contains this',
    check: optional(text),
  },
  url: {
    flag: 'url',
    initial: 'http://127.0.0.1:8081/events',
    unit: 'URL',
    help: 'redrive: where the server takes events',
    check: httpUrl,
  },
  json: { flag: 'json', initial: false, unit: '', help: 'ls: one JSON object a line', check: onOff },
  yes: { flag: 'yes', initial: false, unit: '', help: 'drop: yes, these events are lost', check: onOff },
  ...PROGRAM_SETTINGS,
} as const satisfies OptionTable;

export type DeadLettersSettings = Values<typeof DEAD_LETTERS_SETTINGS>;

const COMMANDS = ['ls', 'show', 'redrive', 'drop'] as const;
export type Command = (typeof COMMANDS)[number];

export interface CommandLine {
  /** `null` with `--help` or `--version`. */
  readonly command: Command | null;
  /** The files that are meant; none: all. */
  readonly names: readonly string[];
  readonly settings: DeadLettersSettings;
}

/** @throws ForebayError `SETTING_INVALID`, which names what is wrong */
export function readCommandLine(
  argv: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): CommandLine {
  const variable = variableName(DEAD_LETTERS_SETTINGS.logDir.flag);
  const { settings, words } = readCommand(DEAD_LETTERS_SETTINGS, argv, { [variable]: environment[variable] });
  if (settings.help || settings.version) return { command: null, names: [], settings };
  const [word, ...names] = words;
  const command = COMMANDS.find((each) => each === word);
  if (command === undefined) {
    const what = word === undefined ? 'Say what to do' : `Unknown command ${word}`;
    throw invalid(`${what}: one of ${COMMANDS.join(', ')} (--help explains them)`);
  }
  if (command === 'drop' && !settings.yes) throw invalid('drop deletes events for good: say --yes');
  if (command !== 'drop' && settings.yes) throw invalid(`--yes goes with drop, not with ${command}`);
  if (command !== 'ls' && settings.json) throw invalid(`--json goes with ls, not with ${command}`);
  return { command, names, settings };
}
