import t from 'tap';
import type { Test } from 'tap';
import { PostgresSink } from '../../lib/sinks/postgres/postgres-sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { batchOfLines } from '../helpers/batches.js';
import { PostgresServer } from '../helpers/postgres-server.js';
import { until } from '../helpers/wait-for.js';

/** A database whose commits wait for a synchronous standby: a row that can be seen is not yet one that is kept. */

const skip = PostgresServer.missing();
const never = new AbortController().signal;
const server = skip === false ? await PostgresServer.start(t) : (null as unknown as PostgresServer);
const EVENT = '{"id":"a","type":"t","data":1,"timestamp":1}';
const BATCH = batchOfLines([EVENT]);

/** From now on commits wait for a standby that is away; `false`: for none. */
async function awaitStandby(waits: boolean): Promise<void> {
  await server.query(`ALTER SYSTEM SET synchronous_standby_names = '${waits ? 'away' : ''}'`);
  await server.query('SELECT pg_reload_conf()');
  await until(
    async () => (await server.query('SHOW synchronous_standby_names')) === (waits ? 'away' : ''),
    'the setting is read',
  );
}

const WAITING = "wait_event = 'SyncRep' AND datname =";
const waiting = async (database: string): Promise<number> =>
  Number(await server.query(`SELECT count(*) FROM pg_stat_activity WHERE ${WAITING} '${database}'`));

/** A sink into a table, after which commits wait; they no longer do at the end of the test. */
async function awaitingSink(
  t: Test,
  timeoutMs: number = 60_000,
): Promise<{ sink: PostgresSink; database: string }> {
  const database = await server.database();
  const sink = new PostgresSink({ url: server.url(database), createTable: true, timeoutMs });
  await sink.deliver(batchOfLines([EVENT.replace('"a"', '"first"')]), never);
  await awaitStandby(true);
  t.teardown(async () => {
    await awaitStandby(false);
    await sink.close();
  });
  return { sink, database };
}

/** What becomes of an attempt; `pending` as long as nothing does. */
function watched(delivery: Promise<void>): {
  outcome: () => 'pending' | 'confirmed' | Error;
  end: Promise<void>;
} {
  let outcome: 'pending' | 'confirmed' | Error = 'pending';
  const end = delivery.then(
    () => {
      outcome = 'confirmed';
    },
    (error: Error) => {
      outcome = error;
    },
  );
  return { outcome: () => outcome, end };
}

for (const [how, call] of [
  ['ended', 'pg_terminate_backend(pid)'],
  ['cancelled', 'pg_cancel_backend(pid)'],
] as const) {
  void t.test(
    `a commit whose wait for the standby is ${how} confirms nothing, nor does a retry`,
    { skip },
    async (t) => {
      const { sink, database } = await awaitingSink(t);
      for (let attempts = 0; attempts < 2; attempts++) {
        const attempt = watched(sink.deliver(BATCH, never));
        await until(
          async () => (await waiting(database)) === 1 || attempt.outcome() !== 'pending',
          'the commit waits for the standby',
        );
        t.equal(attempt.outcome(), 'pending', 'not confirmed by a row that is there');
        await server.query(`SELECT ${call} FROM pg_stat_activity WHERE ${WAITING} '${database}'`);
        await attempt.end;
        const thrown = attempt.outcome();
        t.ok(thrown instanceof Error, String(thrown));
        if (how === 'cancelled') {
          t.ok(thrown instanceof SinkError);
          t.match(thrown, {
            status: '01000',
            refused: null,
            message: /answered 01000: .*synchronous replication/,
          });
        }
        t.equal(
          await server.query("SELECT count(*) FROM events WHERE id = 'a'", database),
          '1',
          'it can be seen',
        );
      }
      const last = watched(sink.deliver(BATCH, never));
      await until(
        async () => (await waiting(database)) === 1 || last.outcome() !== 'pending',
        'the last attempt waits',
      );
      t.equal(last.outcome(), 'pending');
      await awaitStandby(false);
      await last.end;
      t.equal(last.outcome(), 'confirmed');
      t.equal(await server.query("SELECT count(*) FROM events WHERE id = 'a'", database), '1');
    },
  );
}

void t.test('attempts that are over leave no commit behind that waits', { skip }, async (t) => {
  const { sink, database } = await awaitingSink(t, 500);
  for (let attempts = 0; attempts < 3; attempts++)
    await t.rejects(sink.deliver(BATCH, never), { message: /--sink-timeout/ });
  const stopping = new AbortController();
  const last = watched(sink.deliver(BATCH, stopping.signal));
  await until(async () => (await waiting(database)) > 0, 'a commit waits');
  stopping.abort(new Error('the server stops'));
  await last.end;
  t.match(last.outcome(), { message: 'the server stops' });
  await until(async () => (await waiting(database)) === 0, 'none waits any longer');
  t.pass('they would take up all connections of the database, one after another');
});

void t.test(
  'a warning of the table is no failure, and no right is needed but those on the table',
  { skip },
  async (t) => {
    const database = await server.database();
    await server.query(
      `CREATE TABLE events (id text PRIMARY KEY, type text, data jsonb, "timestamp" jsonb, extra jsonb);
     CREATE FUNCTION loud() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
       RAISE WARNING 'canceling wait for synchronous replication due to user request'; RETURN new; END $$;
     CREATE TRIGGER loud BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION loud();
     CREATE ROLE plain LOGIN PASSWORD 'p'; GRANT INSERT, SELECT (id) ON events TO plain`,
      database,
    );
    const url = server.url(database).replace(/\/\/.*@/, '//plain:p@');
    const sink = new PostgresSink({ url });
    for (let attempts = 0; attempts < 2; attempts++) await sink.deliver(BATCH, never);
    await sink.close();
    t.equal(await server.query('SELECT count(*) FROM events', database), '1');
  },
);
