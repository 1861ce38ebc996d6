import { calledAs } from '../../lib/base/called-as.js';
import { DEAD_LETTERS_SETTINGS, readCommandLine } from './command-line.js';
import type { CommandLine } from './command-line.js';
import { drop } from './drop.js';
import { LetterFiles } from './letter-files.js';
import { list } from './list.js';
import { redrive } from './redrive.js';
import { find, noMatchText, Selection } from './selection.js';
import type { Found } from './selection.js';
import { asError } from '../../lib/base/errors.js';
import { EXIT } from '../log/exit-code.js';
import type { ExitCode } from '../log/exit-code.js';
import { recorded } from '../log/operations.js';
import { DescriptorOutput } from '../log/output.js';
import { toolFileSystem } from '../log/tool-file-system.js';
import { count } from '../../lib/base/words.js';
import { helpText } from '../../lib/settings/option-table.js';
import { isWrongSetting } from '../../lib/settings/setting-error.js';
import { VERSION } from '../../lib/base/version.js';
import { usageLines } from '../../lib/settings/usage.js';

const COMMANDS = usageLines(calledAs('dead-letters'), [
  ['ls [--json]', 'how many there are, by reason'],
  ['show [FILE ...]', 'prints them as they stand, one a line'],
  ['redrive [FILE ...]', 'sends their events to a running server again (--url)'],
  ['drop [FILE ...] --yes', 'deletes them'],
]);

const USAGE = `forebay-dead-letters: looks at events that the sink refused, sends them again, or drops them.

${COMMANDS}

FILE is one of the names in dead-letters/; without, all are meant. --reason TEXT goes with each of them.
All may run beside a server. An event leaves its file only after the server has it on disk.
Who redrives or drops what is written to operations.jsonl in the log directory.
Exit code: 0 if all was done, 1 if nothing matched or something could not be read or sent, 2 if nothing was tried,
78 for a wrong flag or command.

`;

const output = new DescriptorOutput(1);
const errors = new DescriptorOutput(2);

try {
  process.exitCode = await run(readCommandLine(process.argv.slice(2), process.env));
} catch (error) {
  process.exitCode = isWrongSetting(error) ? EXIT.wrongSetting : EXIT.unusable;
  await tell(asError(error).message);
}

async function run({ command, names: wanted, settings }: CommandLine): Promise<ExitCode> {
  if (command === null) {
    await output.write(settings.help ? USAGE + helpText(DEAD_LETTERS_SETTINGS, false) : `${VERSION}\n`);
    return EXIT.sound;
  }
  const { logDir, reason, url, json } = settings;
  const files = new LetterFiles(toolFileSystem, logDir);
  const names = await files.names(wanted);
  const selection = new Selection(reason, wanted);
  switch (command) {
    case 'ls':
      return exitCode(await list(files, names, selection.has, json, output));
    case 'show':
      return show(files, names, selection);
    case 'drop':
    case 'redrive': {
      const work = (): Promise<ExitCode> => change(command, files, names, selection, { logDir, url });
      // where there is no file there may be no folder to lock
      return names.length === 0 ? work() : files.exclusively(command, work);
    }
  }
}

/** Looks for what is meant, writes down what is about to be done, and does it. */
async function change(
  what: 'drop' | 'redrive',
  files: LetterFiles,
  names: readonly string[],
  selection: Selection,
  { logDir, url }: { readonly logDir: string; readonly url: URL },
): Promise<ExitCode> {
  const found = await find(files, names, selection);
  if (found.events === 0) return nothing(files, selection, found, (line) => output.write(`${line}\n`));
  const operation = {
    what,
    selection: { reason: selection.reason, names: selection.names },
    url: what === 'redrive' ? url : null,
    counts: { events: found.events, files: found.names.length },
  };
  const { counts, failures } = await recorded(toolFileSystem, logDir, operation, async () => {
    const done = await (what === 'drop'
      ? drop(files, found.names, selection.has)
      : redrive(files, found.names, selection.has, url));
    return { ...done, failures: [...found.failures, ...done.failures] };
  });
  const code = await exitCode(failures);
  const events = count(counts.events, 'event');
  if (what === 'drop') await output.write(`${events} dropped\n`);
  else if (counts.events > 0) await output.write(`${events} sent again to ${url.origin}, and taken there\n`);
  if (code !== EXIT.sound && what === 'redrive') await tell(`what was not taken stays in ${files.dir}`);
  return code;
}

async function show(files: LetterFiles, names: readonly string[], selection: Selection): Promise<ExitCode> {
  const failures: string[] = [];
  let shown = 0;
  for await (const { letters } of files.readEach(names, failures)) {
    const lines = letters.filter(selection.has).map(({ line }) => line);
    shown += lines.length;
    await output.write(Buffer.concat(lines));
  }
  // what is printed is letters only, for a script
  if (shown === 0) return nothing(files, selection, await find(files, names, selection), tell);
  return exitCode(failures);
}

/** Says what could not be done, and what the program ends with. */
async function exitCode(failures: readonly string[]): Promise<ExitCode> {
  for (const failure of failures) await tell(failure);
  return failures.length === 0 ? EXIT.sound : EXIT.damaged;
}

/** No letter is meant: no fault where all were, as there are none. */
async function nothing(
  files: LetterFiles,
  selection: Selection,
  found: Found,
  say: (line: string) => Promise<void>,
): Promise<ExitCode> {
  await exitCode(found.failures);
  if (!selection.isEverything) await tell(noMatchText(selection, found, files.dir));
  else if (found.failures.length === 0) {
    await say(`No dead letters in ${files.dir}: nothing to do`);
    return EXIT.sound;
  }
  return EXIT.damaged;
}

async function tell(line: string): Promise<void> {
  await errors.write(`forebay-dead-letters: ${line}\n`).catch(() => undefined); // nobody is left to be told
}
