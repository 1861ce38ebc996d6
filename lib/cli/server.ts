import { setFlagsFromString } from 'node:v8';
import { calledAs } from '../base/called-as.js';
import { asError, ForebayError } from '../base/errors.js';
import type { ErrorCode } from '../base/errors.js';
import { VERSION } from '../base/version.js';
import { kindNamed } from '../seams/sink-kind.js';
import { helpText, readOptions } from '../settings/option-table.js';
import { isWrongSetting, WRONG_SETTING_EXIT } from '../settings/setting-error.js';
import { SINK_KINDS } from '../sinks/registry.js';
import { SOURCE_KINDS } from '../sources/registry.js';
import { createLogger, neverWait } from './log-output.js';
import type { LogStream } from './log-output.js';
import { serve } from './serve.js';
import { checkRelations, SERVER_SETTINGS } from './server-settings.js';
import type { ServerSettings } from './server-settings.js';
import { supervise } from './workers/supervisor.js';
import { SupervisorLink } from './workers/supervisor-link.js';
import { workerSettings } from './workers/worker-settings.js';

const USAGE = `forebay-server: takes events by HTTP, puts them on disk, answers 202, delivers them to a sink.

  ${calledAs('server')} [--flag VALUE ...]

Exit code: 0 after a stop, 3 after one with --deliver-all that has left something, 78 for a wrong setting, 1 for all else.

`;

// Bodies and batches are buffers outside of the heap, which counts them and is small itself: V8 would mark it all the time,
// which took more time than the events (decision 88). The bounds of the heap stay.
setFlagsFromString('--heap-growing-percent=250');

const goOn = (): void => undefined;
// The reader of the log lines may go away (a pipe that is closed); the door stays open.
neverWait(process.stderr).on('error', goOn);

// Settings that are wrong cannot be asked; neither can their file.
let wantsJson =
  /--log-format[= ]json\b/.test(process.argv.join(' ')) || process.env['FOREBAY_LOG_FORMAT'] === 'json';

// what nobody has caught is a fault of the program: its state cannot be trusted with more events
process.on('uncaughtException', (thrown) => {
  tellEnd(asError(thrown));
  process.exit(1);
});

const supervisor = SupervisorLink.ofThisProcess();

try {
  const settings = readOptions(SERVER_SETTINGS, process.argv.slice(2), process.env);
  wantsJson = settings.logFormat === 'json';
  checkRelations(settings);
  if (settings.help)
    process.stdout.on('error', goOn).write(USAGE + helpText(SERVER_SETTINGS, true) + sourcesHelp());
  else if (settings.version) process.stdout.on('error', goOn).write(`${VERSION}\n`);
  else {
    const stream = logStream(settings);
    if (supervisor !== null) {
      const { task } = supervisor;
      await serve(workerSettings(settings, task), supervisor, createLogger(settings, stream, task.worker));
    } else if (settings.workers > 1) await supervise(settings, createLogger(settings, stream));
    else await serve(settings, null, createLogger(settings, stream));
  }
} catch (thrown) {
  const error = asError(thrown);
  // the supervisor says it, once
  const code = error instanceof ForebayError ? error.code : null;
  if (supervisor === null) tellEnd(error);
  else
    await supervisor.tell({
      kind: 'failed',
      code,
      message: code === null ? String(error.stack) : error.message,
    });
  process.exit(isWrongSetting(error) ? WRONG_SETTING_EXIT : 1);
}

function logStream(settings: ServerSettings): LogStream {
  // the sink has standard output for itself: `process.stdout` is not even touched
  if (kindNamed(SINK_KINDS, settings.sink).ownsStdout === true) return process.stderr;
  return neverWait(process.stdout.on('error', goOn));
}

/** What each kind of source takes, and a command that sends to it. */
function sourcesHelp(): string {
  const kinds = SOURCE_KINDS.map(({ name, help, flag, curl }) => {
    const lines = [`  ${name}: ${help}`, ...[flag ?? [], curl].flat().map((line) => `    ${line}`)];
    return `\n${lines.join('\n')}\n`;
  });
  return `\nSources (docs/sources.md), with a command that sends to each:\n${kinds.join('')}`;
}

/** Why the server does not start, or breaks: on standard error, as standard output may be the sink's. */
function tellEnd(error: Error): void {
  const isKnown = error instanceof ForebayError;
  if (wantsJson) {
    const code: ErrorCode = isKnown ? error.code : 'INTERNAL';
    createLogger({ logLevel: 'error', logFormat: 'json' }, process.stderr).error(
      { code, err: error },
      error.message,
    );
  } else
    process.stderr.write(`forebay-server: ${isKnown ? error.message : (error.stack ?? String(error))}\n`);
}
