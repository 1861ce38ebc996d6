import pg from 'pg';
import type { Batch } from '../../seams/batch.js';
import { asError, ForebayError } from '../../base/errors.js';
import { cancelStatement } from './postgres-cancel.js';
import type { CancelKey, PostgresHost } from './postgres-cancel.js';
import { postgresConfig } from './postgres-config.js';
import { failureOf, UNDEFINED_TABLE, unreplicated } from './postgres-failure.js';
import type { SettingFile } from '../../settings/setting-file.js';
import type { Sink, SinkDescription } from '../../seams/sink.js';
import { untilAborted, withDeadline } from '../deadline.js';

export interface PostgresSinkOptions {
  /** `postgres://…`; what it leaves out comes from libpq's variables: `PGHOST`, `PGUSER`, `PGPASSWORD`, … */
  readonly url: string;
  /** `table`, or `schema.table`; `events` by default. */
  readonly table?: string;
  /** Whether a missing table is created. */
  readonly createTable?: boolean;
  /** A boolean column that says whether an event is a replay; `null`, the default: the table has none. */
  readonly replayColumn?: string | null;
  /** How long an attempt may take, in milliseconds; 30,000 by default. */
  readonly timeoutMs?: number;
  /** Connections, as many as batches may be on their way (`sinkConcurrency`); 1 by default. */
  readonly connections?: number;
  /** Certificates that are trusted instead of the system's, as PEM. */
  readonly ca?: string | SettingFile<string> | null;
}

/** What the server says beside its answer. */
interface Notice {
  readonly file?: string | undefined;
  readonly message?: string | undefined;
}

/** How long connections may take to close, in milliseconds. */
const CLOSING_MS = 250;
/** The source file of the server's warning that a commit did not wait for its standby; its text is in any language. */
const SYNCHRONOUS_REPLICATION = 'syncrep.c';

/**
 * Inserts each batch as rows of a table, in one statement and one round trip. A row whose `id` is there already is left
 * as it is: so what comes again, after a crash or an answer that was lost, is there once.
 *
 * The database gets the lines of the log as they are and takes them apart by itself: numbers keep all their digits. A
 * batch with a row that the table does not take is refused (see `Blame`); any other failure is tried again, on a
 * new connection.
 */
export class PostgresSink implements Sink {
  readonly description: SinkDescription;
  readonly #table: string;
  readonly #createsTable: boolean;
  readonly #timeoutMs: number;
  readonly #pool: pg.Pool;
  /** Connections that are not closed yet, idle, busy or on their way. */
  readonly #clients = new Set<pg.Client>();
  readonly #cancelKeys = new WeakMap<pg.ClientBase, CancelKey>();
  readonly #host: PostgresHost;
  readonly #insert: string;
  /** As a statement takes it; `null`: there is none. */
  readonly #replayColumn: string | null;
  /** Whether the table has been seen to be there. */
  #hasTable = false;

  /** @throws ForebayError `SINK_UNUSABLE` */
  constructor(options: PostgresSinkOptions) {
    const { url, table = 'events', createTable = false, timeoutMs = 30_000, ca = null } = options;
    this.#table = quoted(table);
    this.#createsTable = createTable;
    this.#timeoutMs = timeoutMs;
    const { replayColumn = null } = options;
    this.#replayColumn = replayColumn === null ? null : pg.escapeIdentifier(replayColumn);
    this.#insert = insertInto(this.#table, this.#replayColumn);
    const [clients, cancelKeys] = [this.#clients, this.#cancelKeys];
    class Client extends pg.Client {
      constructor(config?: pg.ClientConfig) {
        super(config);
        clients.add(this);
        this.connection.once('backendKeyData', (key: CancelKey) => cancelKeys.set(this, key));
        this.once('end', () => clients.delete(this));
        // an error in between attempts, or of one that is over; without a listener it would end the process
        this.on('error', () => undefined);
      }

      /** The pool forgets a connection that did not come to be, and would leave its socket open. */
      override connect(): Promise<pg.Client>;
      override connect(done: (error: Error) => void): void;
      override connect(done?: (error: Error) => void): Promise<pg.Client> | void {
        if (done === undefined) return super.connect();
        super.connect((error: Error | null) => {
          if (error) this.connection.stream.destroy();
          done(error as Error);
        });
      }
    }
    try {
      const config = postgresConfig({ url, timeoutMs, ca });
      const { host, port, database } = new pg.Client(config); // throws now what would be thrown at each attempt
      this.#host = { host, port };
      this.description = { kind: 'postgres', target: `${database ?? ''} on ${host}, table ${table}` };
      this.#pool = new pg.Pool({
        ...config,
        max: options.connections ?? 1,
        connectionTimeoutMillis: timeoutMs,
        Client,
      });
    } catch (error) {
      // not as its cause: that may hold the URL
      const message = `The database of --sink-postgres-url cannot be used: ${asError(error).message}`;
      throw new ForebayError('SINK_UNUSABLE', { message });
    }
    this.#pool.on('error', () => undefined); // an idle connection broke; the pool has let it go
  }

  async deliver(batch: Batch, stopping: AbortSignal): Promise<void> {
    await withDeadline(stopping, this.#timeoutMs, async (signal) => {
      let client: pg.PoolClient | null = null;
      let hasBatch = false;
      try {
        client = await this.#connect(signal);
        await this.#ensureTable(client, signal);
        hasBatch = true;
        await this.#insertRows(client, batch, signal);
        client.release();
      } catch (error) {
        const failure = failureOf(error, hasBatch);
        if (failure.status === UNDEFINED_TABLE) this.#hasTable = false;
        if (client !== null && signal.aborted) void this.#giveUp(client);
        // whatever went wrong, another connection may lead to a server that is well. A refusal is a sound answer
        else client?.release(failure.refused === null);
        throw stopping.aborted ? error : failure;
      }
    });
  }

  async close(): Promise<void> {
    if (this.#pool.ending) return;
    // also where one ends with an error
    const ends = [...this.#clients].map((client) => new Promise((resolve) => client.once('end', resolve)));
    // those to a server that hangs, or is only being reached for
    const timer = setTimeout(() => {
      for (const client of this.#clients) client.connection.stream.destroy();
    }, CLOSING_MS);
    await Promise.all([this.#pool.end(), ...ends]);
    clearTimeout(timer);
  }

  async #connect(signal: AbortSignal): Promise<pg.PoolClient> {
    const connecting = this.#pool.connect();
    try {
      return await untilAborted(connecting, signal);
    } catch (error) {
      connecting.then(
        (late) => {
          late.release(true);
        },
        () => undefined,
      );
      throw error;
    }
  }

  /** Closes a connection that is in the middle of something, after it was asked to end that: a pooler forgets it then. */
  async #giveUp(client: pg.PoolClient): Promise<void> {
    const key = this.#cancelKeys.get(client);
    if (key !== undefined) await cancelStatement(this.#host, key);
    client.release(true);
  }

  /** Creates the table if it is missing and may be created. */
  async #ensureTable(client: pg.PoolClient, signal: AbortSignal): Promise<void> {
    if (!this.#createsTable || this.#hasTable) return;
    const table = this.#table;
    const looked = client.query<{ isMissing: boolean }>('SELECT to_regclass($1) IS NULL AS "isMissing"', [
      table,
    ]);
    const [found] = (await untilAborted(looked, signal)).rows;
    // not IF NOT EXISTS alone: it needs the right to create even if the table is there
    if (found?.isMissing !== false)
      await untilAborted(client.query(tableNamed(table, this.#replayColumn)), signal);
    this.#hasTable = true;
  }

  async #insertRows(client: pg.PoolClient, batch: Batch, signal: AbortSignal): Promise<void> {
    const { bytes, contexts, events } = batch;
    let warning: string | null = null;
    const heed = ({ file, message }: Notice): void => {
      if (file === SYNCHRONOUS_REPLICATION) warning = message ?? '';
    };
    client.on('notice', heed);
    try {
      // a Buffer goes over the wire as it is; the last line feed would add an empty line
      const lines = bytes.subarray(0, -1);
      const replays = Array.from({ length: events }, (_each, index) => contexts[index]?.isReplay === true);
      const values = this.#replayColumn === null ? [lines] : [lines, replays];
      await untilAborted(client.query(this.#insert, values), signal);
      if (warning !== null) throw unreplicated(warning);
    } finally {
      client.off('notice', heed);
    }
  }
}

/**
 * A session that does not wait for its commits to be flushed (`synchronous_commit = off`) does so for this one: a batch
 * that is confirmed leaves the log. The message is a record in the database's log: a transaction that adds no row, as all
 * are there already, would write none, so its commit would wait neither for the disk nor for the standby that a row of an
 * earlier attempt may still be missing on. `OFFSET 0` keeps each line from being parsed once for every column.
 */
function insertInto(table: string, replayColumn: string | null): string {
  const lines = "string_to_array($1::text, E'\\n')";
  const [column, value, from] =
    replayColumn === null
      ? ['', '', `(SELECT line::jsonb AS event FROM unnest(${lines}) AS line OFFSET 0) AS lines`]
      : [
          `, ${replayColumn}`,
          ', replay',
          `(SELECT line::jsonb AS event, replay FROM unnest(${lines}, $2::boolean[]) AS l (line, replay) OFFSET 0) AS lines`,
        ];
  return `WITH durable AS (
  SELECT CASE current_setting('synchronous_commit') WHEN 'off' THEN set_config('synchronous_commit', 'on', true) END,
    pg_logical_emit_message(true, 'forebay', '')
)
INSERT INTO ${table} (id, type, data, "timestamp", extra${column})
SELECT event ->> 'id', event ->> 'type', event -> 'data', event -> 'timestamp',
  nullif(event - '{id,type,data,timestamp}'::text[], '{}')${value}
FROM durable, ${from}
ON CONFLICT (id) DO NOTHING`;
}

function tableNamed(table: string, replayColumn: string | null): string {
  const replay = replayColumn === null ? '' : `,\n  ${replayColumn} boolean`;
  return `CREATE TABLE IF NOT EXISTS ${table} (
  id text PRIMARY KEY,
  type text NOT NULL,
  data jsonb NOT NULL,
  "timestamp" jsonb NOT NULL,
  extra jsonb,
  received_at timestamptz NOT NULL DEFAULT now()${replay}
)`;
}

/** A table's name as a statement takes it, whatever characters it has. */
function quoted(table: string): string {
  return table.split('.').map(pg.escapeIdentifier).join('.');
}
