import { availableParallelism } from 'node:os';
import {
  CheckError,
  directories,
  milliseconds,
  oneOf,
  onOff,
  optional,
  text,
  wholeNumber,
} from '../settings/checks.js';
import { HTTP_SETTINGS } from '../settings/http-settings.js';
import type { Check } from '../settings/checks.js';
import { checkLogSettings, LOG_SETTINGS } from '../settings/log-settings.js';
import type { OptionTable, Values } from '../settings/option-table.js';
import { PIPELINE_SETTINGS } from '../settings/pipeline-settings.js';
import { PROGRAM_SETTINGS } from '../settings/program-settings.js';
import { SOURCE_FLAGS } from '../settings/source-settings.js';
import { TRACE_SETTINGS } from '../settings/trace-settings.js';
import { invalid } from '../settings/setting-error.js';
import { SINK_KINDS, SINK_SETTINGS } from '../sinks/registry.js';
import { checkSinkSettings, kindNamed } from '../seams/sink-kind.js';

const WORKERS_MAX = 128;

/** `auto` is one for each core. */
const workers: Check<number> = (given) => {
  if (given === 'auto') return Math.min(availableParallelism(), WORKERS_MAX);
  try {
    return wholeNumber(1, WORKERS_MAX)(given);
  } catch {
    throw new CheckError(`must be "auto" or a whole number from 1 to ${WORKERS_MAX}`);
  }
};

/** All settings of the server: flag, variable and key of the JSON file come from this table alone. */
export const SERVER_SETTINGS = {
  ...HTTP_SETTINGS,
  ...SOURCE_FLAGS,
  keysFile: {
    flag: 'keys-file',
    initial: null,
    unit: 'FILE',
    help: 'keys of those who may send, one a line (forebay-keys makes it); without: anyone may',
    check: optional(text),
  },
  requireKeys: {
    flag: 'require-keys',
    initial: false,
    unit: '',
    help: 'do not start if anyone may send to a source, with neither a key nor a signature',
    check: onOff,
  },
  ...PIPELINE_SETTINGS,
  ...LOG_SETTINGS,
  ...SINK_SETTINGS,
  ...TRACE_SETTINGS,
  workers: {
    flag: 'workers',
    initial: 1,
    unit: 'NUMBER|auto',
    help: 'processes that take and deliver events, each in a directory of its own; auto: one a core',
    check: workers,
  },
  drainWaitMs: {
    flag: 'drain-wait',
    initial: 0,
    unit: 'MS',
    help: 'how long a stop still takes events after /ready has failed, so that a load balancer sends them elsewhere',
    check: milliseconds(0),
  },
  deliverAllMs: {
    flag: 'deliver-all',
    initial: 0,
    unit: 'MS',
    help: 'how long a stop goes on delivering so that nothing is left; exit code 3 if something is; 0: it does not',
    check: milliseconds(0),
  },
  adopt: {
    flag: 'adopt',
    initial: null,
    unit: 'DIR',
    help: 'a log directory whose server is gone for good: its events are delivered as well; may be given more than once',
    isRepeatable: true,
    check: directories,
  },
  adminHost: {
    flag: 'admin-host',
    initial: null,
    unit: 'ADDRESS',
    help: 'the address for operators (--admin-port); without: 127.0.0.1',
    check: optional(text),
  },
  adminPort: {
    flag: 'admin-port',
    initial: null,
    unit: 'NUMBER',
    help: 'its port; without: page, metrics and /health are on --port, for anyone who reaches it',
    check: optional(wholeNumber(0, 65_535)),
  },
  page: {
    flag: 'page',
    initial: 'on',
    unit: 'on|data|off',
    help: 'the live page at /; it shows events that the sink refused; data: also what new events hold',
    check: oneOf('on', 'data', 'off'),
  },
  logLevel: {
    flag: 'log-level',
    initial: 'info',
    unit: 'LEVEL',
    help: 'debug, info, warn, error or silent',
    check: oneOf('debug', 'info', 'warn', 'error', 'silent'),
  },
  logFormat: {
    flag: 'log-format',
    initial: 'text',
    unit: 'text|json',
    help: 'log lines for people or for machines',
    check: oneOf('text', 'json'),
  },
  config: {
    flag: 'config',
    initial: null,
    unit: 'FILE',
    help: 'a JSON file with settings',
    check: optional(text),
  },
  ...PROGRAM_SETTINGS,
} as const satisfies OptionTable;

export type ServerSettings = Values<typeof SERVER_SETTINGS>;

/** @throws ForebayError `SETTING_INVALID` where settings do not go together */
export function checkRelations(settings: ServerSettings): void {
  const { bodyBytesMax, queueBytes, backlogBytesMax, workers: number } = settings;
  const { headersTimeoutMs, requestTimeoutMs } = settings;
  const { host, port, tlsCert, adminHost, adminPort } = settings;
  checkSinkSettings(SINK_KINDS, settings, [
    { host, port, isTls: tlsCert !== null },
    { host: adminHost ?? 'localhost', port: adminPort ?? 0, isTls: false },
  ]);
  const { name, oneProcess } = kindNamed(SINK_KINDS, settings.sink);
  if (number > 1 && oneProcess !== undefined)
    throw invalid(`--sink ${name} needs --workers 1: ${oneProcess}`);
  checkLogSettings(settings);
  if (settings.traceUrl === null && settings.traceSample !== 1)
    throw invalid('--trace-sample needs --trace-url');
  if (adminHost !== null && adminPort === null) throw invalid('--admin-host needs --admin-port');
  for (const [flag, bound, besideBytes, shares] of [
    ['queue-bytes', queueBytes, 0, 1],
    ['backlog-max', backlogBytesMax, FILES_BYTES, number],
  ] as const) {
    const each = shares === 1 ? '' : ` divided by --workers ${shares}`;
    if (bodyBytesMax + LOG_LINE_BYTES + besideBytes > bound / shares)
      throw invalid(`--body-max must be smaller than --${flag}${each}: the largest body would never fit`);
  }
  if (headersTimeoutMs > requestTimeoutMs)
    throw invalid('--headers-timeout must not be above --request-timeout');
}

/** What an event can grow by between the body and the log: a timestamp, a mark and a line break. */
const LOG_LINE_BYTES = 80;
/** What the files of an event take of the disk beside its line: a block of 4,096 bytes and the mark of a run, in three at most. */
const FILES_BYTES = 3 * (4096 + 64);
