import t from 'tap';
import { createForebay } from '../../lib/index.js';
import { PostgresSink } from '../../lib/sinks/postgres/postgres-sink.js';
import { PostgresServer } from '../helpers/postgres-server.js';
import { addsUp, eventText, until } from '../helpers/running-forebay.js';
import { tempDir } from '../helpers/temp-dir.js';

const skip = PostgresServer.missing();
const server = skip === false ? await PostgresServer.start(t) : (null as unknown as PostgresServer);

t.jobs = 5; // each test has a database, a sink and a directory of its own, and mostly waits

const TABLE = `CREATE TABLE events (id text PRIMARY KEY, type text NOT NULL, data jsonb NOT NULL,
  "timestamp" jsonb NOT NULL, extra jsonb)`;

/** A trigger that does this for the event with the id `bad`. */
const trigger = (does: string): string[] => [
  `CREATE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    IF NEW.id = 'bad' THEN ${does} END IF; RETURN NEW; END $$`,
  'CREATE TRIGGER judge BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION judge()',
];

const CASES: Readonly<Record<string, readonly string[]>> = {
  'a policy of row-level security that it does not meet': [
    "CREATE POLICY good ON events WITH CHECK (id <> 'bad')",
    'CREATE POLICY seen ON events FOR SELECT USING (true)',
    'ALTER TABLE events ENABLE ROW LEVEL SECURITY',
  ],
  'a trigger with an SQLSTATE of its own': trigger("RAISE 'no' USING ERRCODE = 'XY123';"),
  'a trigger that finds no data (P0002)': trigger("RAISE no_data_found USING MESSAGE = 'no';"),
  'an assertion that fails (P0004)': trigger("ASSERT false, 'no';"),
  'a trigger that takes longer than --sink-timeout': trigger('PERFORM pg_sleep(60);'),
};

for (const [what, statements] of Object.entries(CASES)) {
  void t.test(`an event with ${what} waits apart, and the others are delivered`, { skip }, async (t) => {
    const database = await server.database();
    for (const sql of [TABLE, ...statements]) await server.query(sql, database);
    const role = `plain_${database}`;
    await server.query(`CREATE ROLE ${role} LOGIN PASSWORD '${PostgresServer.password}'`);
    await server.query(`GRANT INSERT, SELECT ON events TO ${role}`, database);
    const url = new URL(server.url(database));
    url.username = role;
    const sink = new PostgresSink({ url: url.href, timeoutMs: 3000 });
    const forebay = createForebay({
      sink,
      logDir: tempDir(t),
      batchSize: 10,
      fileEvents: 1,
      batchWaitMs: 10_000,
    });
    t.teardown(async () => forebay.stop(0));
    await forebay.start();
    const ids = Array.from({ length: 30 }, (_each, n) => (n === 13 ? 'bad' : `e${n}`));
    await Promise.all(ids.map(async (id) => forebay.write(eventText(id))));
    const rows = async (): Promise<number> =>
      Number(await server.query('SELECT count(*) FROM events', database));
    await until(() => forebay.counts().delivered === 20, 'the other batches are delivered');
    await until(() => forebay.sinkState()?.isolatedEvents === 1, 'it waits apart');
    t.equal(await rows(), 29);
    t.match(forebay.counts(), { accepted: 30, deadLettered: 0, pending: 10 });
    addsUp(t, forebay);
    await server.query('DROP TRIGGER IF EXISTS judge ON events', database);
    await server.query('ALTER TABLE events DISABLE ROW LEVEL SECURITY', database);
    await until(() => forebay.counts().pending === 0, 'it is delivered once that is mended');
    t.equal(await rows(), 30);
  });
}
