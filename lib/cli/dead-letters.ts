import { DEAD_LETTERS_SETTINGS, readCommandLine } from '../dead-letters-tool/command-line.js';
import type { CommandLine } from '../dead-letters-tool/command-line.js';
import { LetterFiles } from '../dead-letters-tool/letter-files.js';
import type { Letter } from '../dead-letters-tool/letter-files.js';
import { list } from '../dead-letters-tool/list.js';
import { redrive } from '../dead-letters-tool/redrive.js';
import { asError } from '../errors.js';
import { EXIT } from '../log-tool/exit-code.js';
import type { ExitCode } from '../log-tool/exit-code.js';
import { DescriptorOutput } from '../log-tool/output.js';
import { toolFileSystem } from '../log-tool/tool-file-system.js';
import { count } from '../log-tool/words.js';
import { helpText } from '../settings/option-table.js';
import { isWrongSetting } from '../settings/setting-error.js';
import { VERSION } from '../version.js';

const USAGE = `forebay-dead-letters: looks at events that the sink refused, sends them again, or drops them.

  node bin/dead-letters.js ls [--json]          how many there are, by reason
  node bin/dead-letters.js show [FILE ...]      prints them as they stand, one a line
  node bin/dead-letters.js redrive [FILE ...]   sends their events to a running server again (--url)
  node bin/dead-letters.js drop [FILE ...] --yes
                                                deletes them

FILE is one of the names in dead-letters/; without, all are meant. --reason TEXT goes with each of them.
All may run beside a server. An event leaves its file only after the server has it on disk.
Exit code: 0 if all was done, 1 if something could not be read or sent, 2 if nothing was tried,
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
  const isWanted = (letter: Letter): boolean => reason === null || letter.reason.includes(reason);
  switch (command) {
    case 'ls':
      return (await list(files, names, isWanted, json, output)) ? EXIT.sound : EXIT.damaged;
    case 'show':
      return show(files, names, isWanted);
    case 'drop':
      return names.length === 0
        ? drop(files, names, isWanted)
        : files.exclusively(command, () => drop(files, names, isWanted));
    case 'redrive':
      return names.length === 0
        ? sendAgain(files, names, isWanted, url)
        : files.exclusively(command, () => sendAgain(files, names, isWanted, url));
  }
}

async function sendAgain(
  files: LetterFiles,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
  url: URL,
): Promise<ExitCode> {
  const failures = await redrive(files, names, isWanted, url, output);
  for (const failure of failures) await tell(failure);
  if (failures.length === 0) return EXIT.sound;
  await tell(`what was not taken stays in ${files.dir}`);
  return EXIT.damaged;
}

async function show(
  files: LetterFiles,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
): Promise<ExitCode> {
  let strange = 0;
  for (const name of names) {
    const found = await files.read(name);
    strange += found?.strange ?? 0;
    for (const letter of found?.letters ?? []) if (isWanted(letter)) await output.write(letter.line);
  }
  if (strange > 0) await tell(`${count(strange, 'line')} cannot be read, or are being written`);
  return strange === 0 ? EXIT.sound : EXIT.damaged;
}

async function drop(
  files: LetterFiles,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
): Promise<ExitCode> {
  let dropped = 0;
  let exit: ExitCode = EXIT.sound;
  for (const name of names) {
    try {
      const file = await files.take(name, isWanted);
      if (file === null) continue;
      const left = file.letters.filter((letter) => !isWanted(letter));
      await files.keepOnly(file.taken, left);
      dropped += file.letters.length - left.length;
    } catch (error) {
      exit = EXIT.damaged;
      await tell(asError(error).message);
    }
  }
  await output.write(`${count(dropped, 'event')} dropped\n`);
  return exit;
}

async function tell(line: string): Promise<void> {
  await errors.write(`forebay-dead-letters: ${line}\n`).catch(() => undefined); // nobody is left to be told
}
