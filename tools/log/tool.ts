import { basename } from 'node:path';
import { calledAs } from '../../lib/base/called-as.js';
import { batchOf } from '../../lib/logs/file/aside/letter-files.js';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { ID_WINDOW, isSegmentName } from '../../lib/logs/file/ids/segment-name.js';
import { QUARANTINE } from '../../lib/logs/file/aside/quarantine.js';
import { onOff } from '../../lib/settings/checks.js';
import { variableName } from '../../lib/settings/option-table.js';
import type { OptionTable } from '../../lib/settings/option-table.js';
import { SINK_SETTINGS } from '../../lib/sinks/registry.js';
import { checkLogPlace } from '../../lib/settings/log-settings.js';
import { invalid } from '../../lib/settings/setting-error.js';
import type { ExitCode } from './exit-code.js';
import { isSegmentPath, segmentPath } from './id-window.js';
import { list } from './list.js';
import { workerDirectories } from './log-directory.js';
import { print } from './print.js';
import { LOG_SETTINGS_OF_TOOLS, logVariables, withStreams } from './log-place.js';
import type { Request, Surroundings, Tool } from './program.js';
import { checkReplay, replay } from './replay/run.js';
import { REPLAY_SETTINGS, REPLAY_SINK_SETTINGS } from './replay/replay-settings.js';
import { listStreams } from './stream/list-streams.js';
import { isMessagesName, printStream } from './stream/print-stream.js';
import { verifyStream } from './stream/verify-stream.js';
import { verify } from './verify.js';

const SETTINGS = {
  ...LOG_SETTINGS_OF_TOOLS,
  json: { flag: 'json', initial: false, unit: '', help: 'ls: one JSON object a line', check: onOff },
  raw: {
    flag: 'raw',
    initial: false,
    unit: '',
    help: 'cat: the bytes of the files as they are, with marks and damage',
    check: onOff,
  },
  ...REPLAY_SETTINGS,
  ...REPLAY_SINK_SETTINGS,
} as const satisfies OptionTable;

type Setting = keyof typeof SETTINGS;
const OF_REPLAY = Object.keys({ ...REPLAY_SETTINGS, ...REPLAY_SINK_SETTINGS }) as Setting[];
/** A sink may get its secrets from variables, as those of a server; which sink it is has to be said here. */
const SINK_VARIABLES = Object.values(SINK_SETTINGS)
  .map(({ flag }) => variableName(flag))
  .filter((name) => name !== variableName(SINK_SETTINGS.sink.flag));

const NO_REPAIR =
  'a start of the server sets damage aside in quarantine/ and delivers the rest; verify says before what is damaged';

type Command = 'ls' | 'verify' | 'cat' | 'replay';

/** Inspects a log, and sends again what it has kept. */
export const LOG_TOOL: Tool<typeof SETTINGS, Command> = {
  name: 'log',
  settings: SETTINGS,
  variables: (argv) => [
    ...logVariables(argv),
    ...(argv.some((word) => /^--sink(?:=|$)/.test(word)) ? SINK_VARIABLES : []),
  ],
  commands: {
    ls: {
      usage: ['ls [--json]', 'what is there, oldest first, and whether a server runs on it'],
      only: ['json'],
      takesNames: false,
    },
    verify: {
      usage: ['verify', 'reads everything, says what is wrong and where'],
      only: [],
      takesNames: false,
    },
    cat: {
      usage: [
        'cat [NAME ...]',
        'prints the events as NDJSON: of all batch files, or of those named',
        '(one batch of several in a file: NAME#101-200; a file in the quarantine: quarantine/NAME;',
        'ids of the id window: ids_….jsonl, a line for each batch file)',
      ],
      only: ['raw'],
      takesNames: true,
    },
    replay: {
      usage: [
        'replay --from TIME [--to TIME] --yes',
        'sends the events that --retain has kept again: to a running server (--url),',
        'or to the sink of one that does not run (--sink, with its settings)',
      ],
      only: OF_REPLAY,
      takesNames: false,
    },
  },
  removed: { repair: NO_REPAIR },
  about: 'looks into a log directory, or into the streams of --log jetstream, and sends again what was kept.',
  notes: `All but replay change nothing, and may run beside a server. Without names, the directories of workers (worker-1, …) follow.
With --log jetstream a NAME is events_120-163 (messages of the stream), quarantine/120 or quarantine (all of it).
Exit code: 0 if all is sound, 1 if something is damaged or cannot be read, 2 if nothing can be said,
78 for a wrong flag or command; 130 for a replay that Ctrl-C ended.`,
  check({ command, names, settings }) {
    checkLogPlace(settings);
    if (command === 'replay') checkReplay(settings);
    for (const name of names) {
      if (settings.log === 'jetstream') checkMessagesName(name);
      else checkName(name);
    }
  },
  run: async (request, surroundings) => {
    if (request.command === 'replay') return replay(request.settings, surroundings);
    return request.settings.log === 'jetstream'
      ? lookIntoStreams(request, surroundings)
      : lookInto(request, surroundings);
  },
};

type LogRequest = Request<typeof SETTINGS, Command>;

async function lookIntoStreams(
  { command, names, settings }: LogRequest,
  { output, tell }: Surroundings,
): Promise<ExitCode> {
  const { json, raw } = settings;
  return withStreams(settings, async (streams) => {
    if (command === 'ls') return listStreams(streams, json, output, calledAs('dead-letters'));
    if (command === 'verify') return verifyStream(streams, output);
    return printStream(streams, { names, raw, output, tell });
  });
}

async function lookInto(
  { command, names, settings: { logDir, json, raw } }: LogRequest,
  { fs, output, tell }: Surroundings,
): Promise<ExitCode> {
  const look = async (dir: string): Promise<ExitCode> => {
    if (command === 'ls') return list(fs, dir, json, output, calledAs('dead-letters'));
    if (command === 'verify') return verify(fs, dir, output);
    const paths = names.map((name) => (isSegmentName(name) ? segmentPath(name) : name));
    return print({ fs, dir, names: paths, raw, output, tell });
  };
  let code = await look(logDir);
  if (names.length > 0) return code;
  for (const dir of await workerDirectories(fs, logDir)) {
    if (output.closed) break;
    if (json) await output.write(`${JSON.stringify({ kind: 'directory', name: basename(dir) })}\n`);
    else if (command !== 'cat') await output.write(`\n${dir}:\n`);
    const found = await look(dir);
    if (found > code) code = found;
  }
  return code;
}

function checkMessagesName(name: string): void {
  if (!isMessagesName(name))
    throw invalid(
      `${name} names no messages of a stream: they are like events_120, events_120-163, quarantine/120 or quarantine`,
    );
}

/** Only files of the log directory can be named. */
function checkName(name: string): void {
  const aside = name.startsWith(`${QUARANTINE}/`) ? name.slice(QUARANTINE.length + 1) : null;
  const isInside = aside !== null && !aside.includes('/') && !['', '.', '..'].includes(aside);
  const isSegment = isSegmentName(name) || isSegmentPath(name);
  if (!isInside && !isSegment && !isBatchName(batchOf(name)))
    throw invalid(
      `${name} is not the name of a batch file, nor ${QUARANTINE}/NAME, nor that of a file in ${ID_WINDOW}/ (of a worker: --log-dir DIR/worker-1)`,
    );
}
