import { calledAs } from '../../lib/base/called-as.js';
import { asError } from '../../lib/base/errors.js';
import { LOG_TOOL_SETTINGS, readCommandLine } from './command-line.js';
import type { CommandLine } from './command-line.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { list } from './list.js';
import { DescriptorOutput } from './output.js';
import { print } from './print.js';
import { repair } from './repair.js';
import { toolFileSystem as fs } from './tool-file-system.js';
import { verify } from './verify.js';
import { helpText } from '../../lib/settings/option-table.js';
import { isWrongSetting } from '../../lib/settings/setting-error.js';
import { VERSION } from '../../lib/base/version.js';
import { usageLines } from '../../lib/settings/usage.js';

const COMMANDS = usageLines(calledAs('log'), [
  ['ls [--json]', 'what is there, oldest first, and whether a server runs on it'],
  ['verify', 'reads everything, says what is wrong and where'],
  [
    'cat [NAME ...]',
    'prints the events as NDJSON: of all batch files, or of those named',
    '(a file in the quarantine: quarantine/NAME)',
  ],
  [
    'repair',
    'sets damaged lines aside in quarantine/, leaves sound batch files;',
    'not while a server runs; who does it is written to operations.jsonl',
  ],
]);

const USAGE = `forebay-log: looks into a log directory, and sets damage aside.

${COMMANDS}

ls, verify and cat change nothing, and may run beside a server.
Exit code: 0 if all is sound, 1 if something is damaged or cannot be read, 2 if nothing can be said,
78 for a wrong flag or command.

`;

const output = new DescriptorOutput(1);
const errors = new DescriptorOutput(2);

try {
  process.exitCode = await run(readCommandLine(process.argv.slice(2), process.env));
} catch (error) {
  process.exitCode = isWrongSetting(error) ? EXIT.wrongSetting : EXIT.unusable;
  await tell(asError(error).message).catch(() => undefined); // nobody is left to be told
}

async function run({ command, names, settings }: CommandLine): Promise<ExitCode> {
  const { logDir: dir, json, raw, dryRun, help } = settings;
  switch (command) {
    case null:
      await output.write(help ? USAGE + helpText(LOG_TOOL_SETTINGS, false) : `${VERSION}\n`);
      return EXIT.sound;
    case 'ls':
      return list(fs, dir, json, output, calledAs('dead-letters'));
    case 'verify':
      return verify(fs, dir, output);
    case 'cat':
      return print({ fs, dir, names, raw, output, tell });
    case 'repair':
      return repair({ fs, dir, dryRun, output });
  }
}

async function tell(line: string): Promise<void> {
  await errors.write(`forebay-log: ${line}\n`);
}
