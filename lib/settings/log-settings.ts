import { CheckError, httpUrl, oneOf, onOff, optional, text, wholeNumber } from './checks.js';
import type { Check } from './checks.js';
import { ofTable } from './option-table.js';
import type { OptionTable, Values } from './option-table.js';
import { invalid } from './setting-error.js';

/** `nats://[USER:PASSWORD@]HOST[:PORT]`, or `tls://…`; several with commas between. */
const natsUrls: Check<readonly string[]> = (given) => {
  const urls = String(given)
    .split(',')
    .map((each) => each.trim());
  const isOne = (url: string): boolean => /^(?:nats|tls):\/\/[^/,\s]+\/?$/.test(url) && URL.canParse(url);
  if (urls.every(isOne)) return urls;
  throw new CheckError('must be a URL like nats://host:4222, or several with commas between', true);
};

const monitorUrls: Check<readonly string[]> = (given) =>
  String(given)
    .split(',')
    .map((each) => httpUrl(each.trim()).href);

/** What the servers take as the name of a stream, without the tokens that have a meaning in a subject. */
const name: Check<string> = (given) => {
  if (typeof given === 'string' && /^[A-Za-z0-9_-]{1,64}$/.test(given)) return given;
  throw new CheckError('must be 1 to 64 letters, digits, hyphens or underscores');
};

/** Where events rest: files on this machine, or a stream on several. The tools have these as well. */
export const LOG_PLACE_SETTINGS = {
  log: {
    flag: 'log',
    initial: 'file',
    unit: 'file|jetstream',
    help: 'where events rest: in files of this machine, or in a stream of NATS servers that has copies on several',
    check: oneOf('file', 'jetstream'),
  },
  logUrl: {
    flag: 'log-url',
    initial: 'nats://127.0.0.1:4222',
    unit: 'URL,…',
    help: 'the NATS servers of --log jetstream, with user and password if they ask for them; tls:// for TLS',
    check: natsUrls,
  },
  logName: {
    flag: 'log-name',
    initial: 'forebay',
    unit: 'NAME',
    help: 'the start of the names of its streams: instances with the same name share the work',
    check: name,
  },
  logCreds: {
    flag: 'log-creds',
    initial: null,
    unit: 'FILE',
    help: 'a credentials file for the servers',
    check: optional(text),
  },
  logTlsCa: {
    flag: 'log-tls-ca',
    initial: null,
    unit: 'FILE',
    help: 'who has signed the certificates of the servers, as PEM; without: the authorities that Node.js knows',
    check: optional(text),
  },
  logTlsCert: {
    flag: 'log-tls-cert',
    initial: null,
    unit: 'FILE',
    help: 'the certificate that this client shows them, as PEM',
    check: optional(text),
  },
  logTlsKey: {
    flag: 'log-tls-key',
    initial: null,
    unit: 'FILE',
    help: 'its private key, as PEM',
    check: optional(text),
  },
} as const satisfies OptionTable;

/** The settings of the log, besides those of the log directory. */
export const LOG_SETTINGS = {
  ...LOG_PLACE_SETTINGS,
  logReplicas: {
    flag: 'log-replicas',
    initial: 3,
    unit: 'NUMBER',
    help: 'servers that have a copy; 202 if more than half have the event',
    check: wholeNumber(1, 5),
  },
  logMonitorUrl: {
    flag: 'log-monitor-url',
    initial: null,
    unit: 'URL,…',
    help: 'the monitoring addresses of the servers, to find out at the start whether they flush before they answer',
    check: optional(monitorUrls),
  },
  logOrder: {
    flag: 'log-order',
    initial: false,
    unit: '',
    help: 'deliver in the order of the stream: one instance at a time delivers, and the others wait to take its place',
    check: onOff,
  },
} as const satisfies OptionTable;

export type LogPlaceSettings = Values<typeof LOG_PLACE_SETTINGS>;
export type LogSettings = Values<typeof LOG_SETTINGS>;

/** The flags by which a tool finds a stream, as far as they differ from the defaults. What is secret is left out. */
export function streamFlags(settings: LogPlaceSettings): string[] {
  const urls = settings.logUrl.map((url) => url.replace(/\/\/.*@/, '//')).join(',');
  const given = { ...ofTable(LOG_PLACE_SETTINGS, settings), logUrl: urls };
  const values: Readonly<Record<string, string | null>> = given;
  return Object.entries(LOG_PLACE_SETTINGS).flatMap(([key, { flag, initial }]) => {
    const value = values[key] ?? null;
    return value === null || value === initial ? [] : [`--${flag}`, value];
  });
}

/** @throws ForebayError `SETTING_INVALID` if settings do not go together */
export function checkLogPlace({ logTlsCert, logTlsKey }: LogPlaceSettings): void {
  if ((logTlsCert === null) !== (logTlsKey === null))
    throw invalid('--log-tls-cert and --log-tls-key go together');
}

/** @throws ForebayError `SETTING_INVALID` if settings do not go together */
export function checkLogSettings(
  settings: LogSettings & {
    readonly sinkConcurrency: number;
    readonly workers: number;
    readonly retainMs: number | null;
    readonly retainBytesMax: number | null;
  },
): void {
  checkLogPlace(settings);
  const { log, logOrder, sinkConcurrency, workers } = settings;
  const { retainMs, retainBytesMax } = settings;
  if (log !== 'jetstream') {
    if (logOrder) throw invalid('--log-order needs --log jetstream: files are delivered in their order');
    return;
  }
  if (workers > 1) throw invalid('--log jetstream needs --workers 1: start more instances instead');
  if (logOrder && sinkConcurrency > 1) throw invalid('--log-order needs --sink-concurrency 1');
  if (retainMs !== null || retainBytesMax !== null)
    throw invalid(
      `--${retainMs === null ? 'retain-max' : 'retain'} needs --log file: what is delivered leaves a stream`,
    );
}
