import { basename } from 'node:path';
import { calledAs } from '../../lib/base/called-as.js';
import { batchOf } from '../../lib/logs/file/aside/letter-files.js';
import { isBatchName } from '../../lib/logs/file/batch-name.js';
import { ID_WINDOW, isSegmentName } from '../../lib/logs/file/ids/segment-name.js';
import { QUARANTINE } from '../../lib/logs/file/aside/quarantine.js';
import { onOff } from '../../lib/settings/checks.js';
import { invalid } from '../../lib/settings/setting-error.js';
import type { ExitCode } from './exit-code.js';
import { isSegmentPath, segmentPath } from './id-window.js';
import { list } from './list.js';
import { workerDirectories } from './log-directory.js';
import { print } from './print.js';
import { LOG_DIR_SETTINGS } from './program.js';
import type { Tool } from './program.js';
import { verify } from './verify.js';

const SETTINGS = {
  ...LOG_DIR_SETTINGS,
  json: { flag: 'json', initial: false, unit: '', help: 'ls: one JSON object a line', check: onOff },
  raw: {
    flag: 'raw',
    initial: false,
    unit: '',
    help: 'cat: the bytes of the files as they are, with marks and damage',
    check: onOff,
  },
} as const;

const NO_REPAIR =
  'a start of the server sets damage aside in quarantine/ and delivers the rest; verify says before what is damaged';

/** Inspects a log directory. Changes nothing. */
export const LOG_TOOL: Tool<typeof SETTINGS, 'ls' | 'verify' | 'cat'> = {
  name: 'log',
  settings: SETTINGS,
  variable: 'FOREBAY_LOG_DIR',
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
  },
  removed: { repair: NO_REPAIR, '--dry-run': NO_REPAIR },
  about: 'looks into a log directory.',
  notes: `All change nothing, and may run beside a server. Without names, the directories of workers (worker-1, …) follow.
Exit code: 0 if all is sound, 1 if something is damaged or cannot be read, 2 if nothing can be said,
78 for a wrong flag or command.`,
  check({ names }) {
    for (const name of names) checkName(name);
  },
  async run({ command, names, settings: { logDir, json, raw } }, { fs, output, tell }) {
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
  },
};

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
