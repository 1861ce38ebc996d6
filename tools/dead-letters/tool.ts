import { checkLogPlace } from '../../lib/settings/log-settings.js';
import { moment, onOff, optional, text } from '../../lib/settings/checks.js';
import { invalid } from '../../lib/settings/setting-error.js';
import { EXIT } from '../log/exit-code.js';
import { FRONT_DOOR_SETTINGS, readKey } from '../log/front-door.js';
import type { ExitCode } from '../log/exit-code.js';
import { countDeadLetters, workerDirectories } from '../log/log-directory.js';
import { LOG_SETTINGS_OF_TOOLS, logVariables, withStreams } from '../log/log-place.js';
import type { Request, Surroundings, Tool } from '../log/program.js';
import { change, exitCode, show } from './commands.js';
import { LetterFiles } from './letter-files.js';
import type { LetterStore } from './letter-store.js';
import { list } from './list.js';
import { Selection } from './selection.js';
import { checkLetterName, StreamLetters } from './stream-letters.js';

const SETTINGS = {
  ...LOG_SETTINGS_OF_TOOLS,
  reason: {
    flag: 'reason',
    initial: null,
    unit: 'TEXT',
    help: 'only letters whose reason contains this',
    check: optional(text),
  },
  from: {
    flag: 'from',
    initial: null,
    unit: 'TIME',
    help: 'only letters that were refused at this time or later: 2026-11-01T08:00:00Z, 2026-11-01, or 2h for 2 hours ago',
    check: optional(moment),
  },
  to: { flag: 'to', initial: null, unit: 'TIME', help: 'and before this time', check: optional(moment) },
  batch: {
    flag: 'batch',
    initial: null,
    unit: 'NAME',
    help: 'only letters of this batch, or file of several, as the log names it',
    check: optional(text),
  },
  source: {
    flag: 'source',
    initial: null,
    unit: 'TEXT',
    help: 'only letters whose event has this source (a member of CloudEvents)',
    check: optional(text),
  },
  ...FRONT_DOOR_SETTINGS,
  json: { flag: 'json', initial: false, unit: '', help: 'ls: one JSON object a line', check: onOff },
  yes: { flag: 'yes', initial: false, unit: '', help: 'drop: yes, these events are lost', check: onOff },
} as const;

type Command = 'ls' | 'show' | 'redrive' | 'drop';

/** Shows dead letters, sends them again, or drops them. */
export const DEAD_LETTERS_TOOL: Tool<typeof SETTINGS, Command> = {
  name: 'dead-letters',
  settings: SETTINGS,
  variables: logVariables,
  commands: {
    ls: { usage: ['ls [--json]', 'how many there are, by reason'], only: ['json'], takesNames: true },
    show: {
      usage: ['show [FILE ...]', 'prints them as they stand, one a line'],
      only: [],
      takesNames: true,
    },
    redrive: {
      usage: ['redrive [FILE ...]', 'sends their events to a running server again (--url)'],
      only: [],
      takesNames: true,
    },
    drop: { usage: ['drop [FILE ...] --yes', 'deletes them'], only: ['yes'], takesNames: true },
  },
  removed: {},
  about: 'looks at events that the sink refused, sends them again, or drops them.',
  notes: `FILE is one of the names in dead-letters/; without, all are meant, those of workers (worker-1, …) too. --reason, --from, --to,
--batch and --source go with each of them, and with each other.
With --log jetstream it is 120 or 120.3: of a message of the stream, or of one of its events.
All may run beside a server. An event leaves its file, or the stream, only after the server has stored it.
Who redrives or drops what is written to operations.jsonl in the log directory; of a stream, nothing is written.
Exit code: 0 if all was done, 1 if nothing matched or something could not be read or sent, 2 if nothing was tried,
78 for a wrong flag or command; 130 for a redrive that Ctrl-C ended.`,
  check({ command, names, settings }) {
    if (command === 'drop' && !settings.yes) throw invalid('drop deletes events for good: say --yes');
    checkLogPlace(settings);
    if (settings.log === 'jetstream') for (const name of names) checkLetterName(name);
  },
  async run(request, surroundings) {
    const { names: wanted, settings } = request;
    if (settings.log === 'jetstream')
      return withStreams(settings, async (streams) => run(request, surroundings, new StreamLetters(streams)));
    const { fs } = surroundings;
    const { logDir } = settings;
    const withLetters: string[] = [];
    if (wanted.length === 0) {
      for (const dir of await workerDirectories(fs, logDir))
        if ((await countDeadLetters(fs, dir)) > 0) withLetters.push(dir);
    }
    let code: ExitCode = EXIT.sound;
    // what workers have; the directory itself unless only they have some
    const own = withLetters.length > 0 && (await countDeadLetters(fs, logDir)) === 0 ? [] : [logDir];
    for (const dir of [...own, ...withLetters]) {
      const done = await run(request, surroundings, new LetterFiles(fs, dir));
      if (done > code) code = done;
      if (done === EXIT.interrupted) break;
    }
    return code;
  },
};

async function run(
  { command, names: wanted, settings }: Request<typeof SETTINGS, Command>,
  { fs, output, tell, interrupted }: Surroundings,
  store: LetterStore,
): Promise<ExitCode> {
  const names = await store.names(wanted);
  const { url, json, keyFile } = settings;
  const look = {
    store,
    names,
    selection: new Selection({ ...settings, names: wanted }),
    output,
    tell,
    interrupted,
  };
  if (command === 'ls') return exitCode(tell, await list(store, names, look.selection.has, json, output));
  if (command === 'show') return show(look);
  const key = await readKey(fs, keyFile);
  const work = (): Promise<ExitCode> => change(look, command, url, key);
  // without files there may be no folder to lock
  return names.length === 0 ? work() : store.exclusively(command, work);
}
