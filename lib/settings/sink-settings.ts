import { ForebayError } from '../errors.js';
import {
  bytes,
  headerLines,
  httpUrl,
  milliseconds,
  oneOf,
  onOff,
  optional,
  postgresUrl,
  ratio,
  statuses,
  tableName,
  text,
} from './checks.js';
import type { OptionTable, Values } from './option-table.js';

/** Which sink, and what each of them takes. */
export const SINK_SETTINGS = {
  sink: {
    flag: 'sink',
    initial: 'simulated',
    unit: 'simulated|file|stdout|http|postgres',
    help: 'where batches go; the simulated sink keeps nothing',
    check: oneOf('simulated', 'file', 'stdout', 'http', 'postgres'),
  },
  sinkLatencyMs: {
    flag: 'sink-latency',
    initial: 5,
    unit: 'MS',
    help: 'simulated: how long a batch takes, give or take a half',
    check: milliseconds(0),
  },
  sinkFailureRate: {
    flag: 'sink-failure-rate',
    initial: 0,
    unit: '0..1',
    help: 'simulated: the share of attempts that fail',
    check: ratio,
  },
  sinkFile: {
    flag: 'sink-file',
    initial: null,
    unit: 'PATH',
    help: 'file: where each delivered event is appended, one a line',
    check: optional(text),
  },
  sinkFileRotateBytes: {
    flag: 'sink-file-rotate-bytes',
    initial: null,
    unit: 'BYTES',
    help: 'file: begin a new file before one would be larger',
    check: optional(bytes(1)),
  },
  sinkFileRotateAfterMs: {
    flag: 'sink-file-rotate-after',
    initial: null,
    unit: 'MS',
    help: "file: begin a new file so long after one's first batch, like 1h",
    check: optional(milliseconds(1)),
  },
  sinkFileGzip: {
    flag: 'sink-file-gzip',
    initial: false,
    unit: '',
    help: 'file: compress what was rotated',
    check: onOff,
  },
  sinkUrl: {
    flag: 'sink-url',
    initial: null,
    unit: 'URL',
    help: 'http: where each batch is posted',
    check: optional(httpUrl),
  },
  sinkFormat: {
    flag: 'sink-format',
    initial: 'ndjson',
    unit: 'ndjson|array',
    help: 'http: one event a line, or a JSON array',
    check: oneOf('ndjson', 'array'),
  },
  sinkHeader: {
    flag: 'sink-header',
    initial: null,
    unit: 'NAME:VALUE',
    help: 'http: a header of each request; may be given more than once',
    isRepeatable: true,
    check: optional(headerLines),
  },
  sinkHeadersFile: {
    flag: 'sink-headers-file',
    initial: null,
    unit: 'FILE',
    help: 'http: headers, one a line, so that no secret is on the command line',
    check: optional(text),
  },
  sinkRefuses: {
    flag: 'sink-refuses',
    initial: null,
    unit: 'STATUS,…',
    help: 'http: further statuses that refuse the events of a batch, like 404,409',
    check: optional(statuses),
  },
  sinkGzip: {
    flag: 'sink-gzip',
    initial: false,
    unit: '',
    help: 'http: compress each body',
    check: onOff,
  },
  sinkPostgresUrl: {
    flag: 'sink-postgres-url',
    initial: null,
    unit: 'URL',
    help: 'postgres: the database; what the URL leaves out comes from PGPASSWORD, PGHOST, …',
    check: optional(postgresUrl),
  },
  sinkTable: {
    flag: 'sink-table',
    initial: 'events',
    unit: '[SCHEMA.]NAME',
    help: 'postgres: the table that gets a row for each event',
    check: tableName,
  },
  sinkCreateTable: {
    flag: 'sink-create-table',
    initial: false,
    unit: '',
    help: 'postgres: make the table where it is missing',
    check: onOff,
  },
  sinkTimeoutMs: {
    flag: 'sink-timeout',
    initial: 30_000,
    unit: 'MS',
    help: 'http, postgres: how long an attempt may take',
    check: milliseconds(1),
  },
  sinkCa: {
    flag: 'sink-ca',
    initial: null,
    unit: 'FILE',
    help: "http, postgres: certificates to trust instead of the system's, as PEM",
    check: optional(text),
  },
} as const satisfies OptionTable;

export type SinkSettings = Values<typeof SINK_SETTINGS>;

/** @throws ForebayError `SETTING_INVALID` where a sink misses a setting, or has one of another */
export function checkSinkRelations(settings: SinkSettings): void {
  const { sink, sinkFile } = settings;
  const wrong = (message: string): never => {
    throw new ForebayError('SETTING_INVALID', { message });
  };
  if (sink === 'file' && sinkFile === null) wrong('--sink file needs --sink-file PATH');
  const rotates = settings.sinkFileRotateBytes !== null || settings.sinkFileRotateAfterMs !== null;
  if (settings.sinkFileGzip && !rotates)
    wrong('--sink-file-gzip needs --sink-file-rotate-bytes or --sink-file-rotate-after');
  for (const [flag, isGiven] of [
    ['sink-file', sinkFile !== null],
    ['sink-file-rotate-bytes', settings.sinkFileRotateBytes !== null],
    ['sink-file-rotate-after', settings.sinkFileRotateAfterMs !== null],
  ] as const) {
    if (sink !== 'file' && isGiven) wrong(`--${flag} goes with --sink file`);
  }
  if (sink === 'http' && settings.sinkUrl === null) wrong('--sink http needs --sink-url URL');
  if (sink === 'postgres' && settings.sinkPostgresUrl === null)
    wrong('--sink postgres needs --sink-postgres-url URL');
  for (const [flag, isGiven, sinks] of [
    ['sink-url', settings.sinkUrl !== null, ['http']],
    ['sink-header', settings.sinkHeader !== null, ['http']],
    ['sink-headers-file', settings.sinkHeadersFile !== null, ['http']],
    ['sink-refuses', settings.sinkRefuses !== null, ['http']],
    ['sink-gzip', settings.sinkGzip, ['http']],
    ['sink-ca', settings.sinkCa !== null, ['http', 'postgres']],
    ['sink-postgres-url', settings.sinkPostgresUrl !== null, ['postgres']],
    ['sink-table', settings.sinkTable !== SINK_SETTINGS.sinkTable.initial, ['postgres']],
    ['sink-create-table', settings.sinkCreateTable, ['postgres']],
  ] as const) {
    if (isGiven && !sinks.some((each) => each === sink))
      wrong(`--${flag} goes with --sink ${sinks.join(' or ')}`);
  }
}
