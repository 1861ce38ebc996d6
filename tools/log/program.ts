/** Shared by the tools with commands: how they read command lines, start and end. */
import { isDeepStrictEqual } from 'node:util';
import { calledAs } from '../../lib/base/called-as.js';
import { asError } from '../../lib/base/errors.js';
import { VERSION } from '../../lib/base/version.js';
import { helpText, readCommand } from '../../lib/settings/option-table.js';
import type { OptionTable, Values } from '../../lib/settings/option-table.js';
import { PROGRAM_SETTINGS } from '../../lib/settings/program-settings.js';
import { invalid, isWrongSetting } from '../../lib/settings/setting-error.js';
import { usageLines } from '../../lib/settings/usage.js';
import { EXIT } from './exit-code.js';
import type { ExitCode } from './exit-code.js';
import { DescriptorOutput } from './output.js';
import type { Output } from './output.js';
import { toolFileSystem } from './tool-file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';

/** A command of a tool. */
interface Command<Key> {
  /** Its name and arguments, and lines that describe it. */
  readonly usage: readonly [call: string, ...what: string[]];
  /** Settings that no other command takes. */
  readonly only: readonly Key[];
  readonly takesNames: boolean;
}

/** A tool with commands. */
export interface Tool<Table extends OptionTable, Name extends string> {
  /** `forebay-NAME`, or `bin/NAME.js`. */
  readonly name: string;
  /** Its settings, besides those of every program. */
  readonly settings: Table;
  /** The variables that it reads with this command line. It ignores all others, which may be set for a server. */
  variables(argv: readonly string[]): readonly string[];
  readonly commands: Readonly<Record<Name, Command<keyof Table & string>>>;
  /** Commands and flags of earlier versions, each with its replacement. */
  readonly removed: Readonly<Record<string, string>>;
  /** The first line of its help, and the text after the commands. */
  readonly about: string;
  readonly notes: string;
  /** @throws ForebayError `SETTING_INVALID` if the command cannot run with these settings */
  check(request: Request<Table, Name>): void;
  run(request: Request<Table, Name>, surroundings: Surroundings): Promise<ExitCode>;
}

/** The request to a tool, from its command line. */
export interface Request<Table extends OptionTable, Name extends string> {
  readonly command: Name;
  /** Names of files, in order. */
  readonly names: readonly string[];
  readonly settings: Values<Table>;
}

/** Input and output of a tool. */
export interface Surroundings {
  readonly environment: Readonly<Record<string, string | undefined>>;
  readonly fs: ToolFileSystem;
  readonly output: Output;
  /** Takes a line about work that was not done. */
  readonly tell: (line: string) => Promise<void>;
  /** From this call on the first Ctrl-C ends nothing: it aborts the signal. A second one ends the process at once. */
  readonly interrupted: () => AbortSignal;
}

/** All settings of a tool, as its help lists them. */
export function settingsOf<Table extends OptionTable>({ settings }: { readonly settings: Table }) {
  return { ...settings, ...PROGRAM_SETTINGS };
}

/** Runs a tool as this process. */
export async function runAsProcess<Table extends OptionTable, Name extends string>(
  tool: Tool<Table, Name>,
): Promise<void> {
  const outputs = { output: new DescriptorOutput(1), errors: new DescriptorOutput(2) };
  const { argv, env: environment } = process;
  const around = { environment, fs: toolFileSystem, interrupted: interruption(), ...outputs };
  process.exitCode = await runTool(tool, argv.slice(2), around);
}

function interruption(): () => AbortSignal {
  let signal: AbortSignal | null = null;
  return () => {
    if (signal !== null) return signal;
    const interrupt = new AbortController();
    process.once('SIGINT', () => {
      interrupt.abort();
    });
    ({ signal } = interrupt);
    return signal;
  };
}

/** Runs a command line. Writes an error as a line to `errors`. */
export async function runTool<Table extends OptionTable, Name extends string>(
  tool: Tool<Table, Name>,
  argv: readonly string[],
  { errors, ...rest }: Omit<Surroundings, 'tell'> & { readonly errors: Output },
): Promise<ExitCode> {
  const tell = async (line: string): Promise<void> => {
    await errors.write(`forebay-${tool.name}: ${line}\n`).catch(() => undefined); // nobody is left to read it
  };
  try {
    const request = readRequest(tool, argv, rest.environment);
    if (typeof request !== 'string') return await tool.run(request, { ...rest, tell });
    await rest.output.write(request === 'help' ? help(tool) : `${VERSION}\n`);
    return EXIT.sound;
  } catch (error) {
    await tell(asError(error).message);
    return isWrongSetting(error) ? EXIT.wrongSetting : EXIT.unusable;
  }
}

function help<Table extends OptionTable, Name extends string>(tool: Tool<Table, Name>): string {
  const commands = Object.values<Command<string>>(tool.commands).map(({ usage }) => usage);
  const usage = usageLines(calledAs(tool.name), commands);
  return `forebay-${tool.name}: ${tool.about}\n\n${usage}\n\n${tool.notes}\n\n${helpText(settingsOf(tool), false)}`;
}

/** @throws ForebayError `SETTING_INVALID`, which names the mistake */
export function readRequest<Table extends OptionTable, Name extends string>(
  tool: Tool<Table, Name>,
  argv: readonly string[],
  environment: Surroundings['environment'],
): Request<Table, Name> | 'help' | 'version' {
  const first = argv.filter((word, at) => at === 0 || word.startsWith('--'));
  refuseRemoved(tool.removed, first); // before its flags are read, because they may be unknown by now
  const table = settingsOf(tool);
  const variables = tool.variables(argv).map((name) => [name, environment[name]]);
  const { settings, words } = readCommand(table, argv, Object.fromEntries(variables));
  if (settings.help) return 'help';
  if (settings.version) return 'version';
  const [word, ...names] = words;
  refuseRemoved(tool.removed, words.slice(0, 1));
  const command = commandOf(tool.commands, word);
  for (const [other, { only }] of Object.entries<Command<string>>(tool.commands)) {
    const given = only.find(
      (key) => !isDeepStrictEqual(settings[key], table[key]?.check(table[key].initial)),
    );
    if (given !== undefined && other !== command)
      throw invalid(`--${table[given]?.flag} goes with ${other}, not with ${command}`);
  }
  if (!tool.commands[command].takesNames && names.length > 0)
    throw invalid(`Unexpected argument ${names[0]}: ${command} takes none`);
  const request = { command, names, settings };
  tool.check(request);
  return request;
}

/** @throws ForebayError `SETTING_INVALID`, which names the replacement */
function refuseRemoved(removed: Readonly<Record<string, string>>, words: readonly string[]): void {
  for (const word of words) {
    const instead = Object.hasOwn(removed, word) ? removed[word] : undefined;
    if (instead !== undefined) throw invalid(`${word} was removed: ${instead}`);
  }
}

function commandOf<Name extends string>(
  commands: Readonly<Record<Name, unknown>>,
  word: string | undefined,
): Name {
  const isCommand = (each: string): each is Name => Object.hasOwn(commands, each);
  const choices = `one of ${Object.keys(commands).join(', ')} (--help explains them)`;
  if (word === undefined) throw invalid(`Say what to do: ${choices}`);
  if (!isCommand(word)) throw invalid(`Unknown command ${word}: it must be ${choices}`);
  return word;
}
