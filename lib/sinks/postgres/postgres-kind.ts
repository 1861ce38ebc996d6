import { CheckError, checkOneHost, onOff, optional, text } from '../../settings/checks.js';
import type { OptionTable, Values } from '../../settings/option-table.js';
import { NETWORK_SETTINGS } from '../network-settings.js';
import { SettingFile } from '../../settings/setting-file.js';
import type { SinkKind } from '../../seams/sink-kind.js';

const SETTINGS = {
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
    help: 'postgres: create the table if it is missing',
    check: onOff,
  },
  sinkReplayColumn: {
    flag: 'sink-replay-column',
    initial: null,
    unit: 'NAME',
    help: 'postgres: a boolean column of the table that says whether a row was written by a replay',
    check: optional(columnName),
  },
} as const satisfies OptionTable;

export const postgresKind = {
  name: 'postgres',
  settings: SETTINGS,
  shared: NETWORK_SETTINGS,
  needs: 'sinkPostgresUrl',
  ignorable: ['sinkTimeoutMs'],
  open: async ({ sinkCa, ...values }, { connections, logger }) => {
    const { PostgresSink } = await import('./postgres-sink.js');
    return new PostgresSink({
      url: values.sinkPostgresUrl ?? '',
      table: values.sinkTable,
      createTable: values.sinkCreateTable,
      replayColumn: values.sinkReplayColumn,
      timeoutMs: values.sinkTimeoutMs,
      connections,
      ca: sinkCa === null ? null : new SettingFile('--sink-ca', sinkCa, String, logger),
    });
  },
} as const satisfies SinkKind<Values<typeof SETTINGS & typeof NETWORK_SETTINGS>>;

/** The address of a PostgreSQL database. It is read by `pg`; what is given is never shown: it may hold a password. */
function postgresUrl(given: unknown): string {
  if (typeof given === 'string' && /^postgres(?:ql)?:\/\//.test(given)) {
    const query = /\?([^#]*)/.exec(given)?.[1];
    checkOneHost(given, new URLSearchParams(query).getAll('host'));
    return given;
  }
  throw new CheckError('must be a URL like postgres://user@host/database', true);
}

const OWN_COLUMNS: ReadonlySet<string> = new Set(['id', 'type', 'data', 'timestamp', 'extra']);

/** PostgreSQL cuts a longer name off, in bytes. */
const NAME_BYTES_MAX = 63;

/** The name of a column that is none of the event's own. */
function columnName(given: unknown): string {
  const name = text(given);
  if (!OWN_COLUMNS.has(name) && !/["\0]/.test(name) && Buffer.byteLength(name) <= NAME_BYTES_MAX) return name;
  throw new CheckError(
    `must be a name of at most ${NAME_BYTES_MAX} bytes, without quotes, and none of ${[...OWN_COLUMNS].join(', ')}`,
  );
}

/** The name of a table, with or without its schema, each as it is: in no quotes, upper and lower case as in the database. */
function tableName(given: unknown): string {
  const names = text(given).split('.');
  const isName = (name: string): boolean =>
    name !== '' && !/["\0]/.test(name) && Buffer.byteLength(name) <= NAME_BYTES_MAX;
  if (names.length <= 2 && names.every(isName)) return names.join('.');
  throw new CheckError(
    `must be a name or schema.name, each of at most ${NAME_BYTES_MAX} bytes, without quotes`,
  );
}
