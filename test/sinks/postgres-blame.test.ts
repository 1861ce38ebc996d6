import pg from 'pg';
import t from 'tap';
import { blameOf } from '../../lib/sinks/postgres/sqlstate.js';
import type { Blame } from '../../lib/sinks/postgres/sqlstate.js';
import { PostgresSink } from '../../lib/sinks/postgres/postgres-sink.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { batchOfLines } from '../helpers/batches.js';
import { PostgresServer } from '../helpers/postgres-server.js';

/** Whose fault an answer of the database is: of rows, of something in the batch, of the setup, or of the moment. */

const skip = PostgresServer.missing();
const server = skip === false ? await PostgresServer.start(t) : (null as unknown as PostgresServer);
const never = new AbortController().signal;

const TABLE = `CREATE TABLE events (id text PRIMARY KEY, type text, data jsonb, "timestamp" jsonb, extra jsonb)`;
const INSERT = `INSERT INTO events (id, type, data, "timestamp", extra) VALUES ('a', 't', '1', '1', NULL) ON CONFLICT (id) DO NOTHING`;

/** A trigger of the table, of these statements. */
const trigger = (body: string): string =>
  `${TABLE}; CREATE TABLE audit (id text); CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
     $$ DECLARE found text; BEGIN ${body}; RETURN new; END $$;
   CREATE TRIGGER look BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION look();
   GRANT INSERT, SELECT ON events TO app; GRANT SELECT ON audit TO app`;
const GRANT = 'GRANT INSERT, SELECT ON events TO app';
const policy = (check: string): string =>
  `${TABLE}; ${GRANT}; ALTER TABLE events ENABLE ROW LEVEL SECURITY; CREATE POLICY own ON events WITH CHECK (${check})`;

const CASES: readonly [what: string, setup: string, sqlstate: string, blame: Blame][] = [
  ['a policy that does not let the row in', policy(`data <> '1'`), '42501', 'batch'],
  ['no right on the table', TABLE, '42501', 'setup'],
  ['no right on the schema', `CREATE SCHEMA s; ${TABLE.replace('events', 's.events')}`, '42501', 'setup'],
  ['no table', 'SELECT 1', '42P01', 'setup'],
  ['a column less', `${TABLE}; ${GRANT}; ALTER TABLE events DROP extra`, '42703', 'setup'],
  ['no unique index', `${TABLE}; ${GRANT}; ALTER TABLE events DROP CONSTRAINT events_pkey`, '42P10', 'setup'],
  ['a column of another type', `${TABLE}; ${GRANT}; ALTER TABLE events DROP data, ADD data point`, '22P02', 'rows'],
  ['a view that takes no rows', `CREATE VIEW events AS SELECT 'a' id, 't' type, '1'::jsonb "data", '1'::jsonb "timestamp", '1'::jsonb extra LIMIT 1; ${GRANT}`, '55000', 'setup'],
  ['RAISE', trigger("RAISE EXCEPTION 'no'"), 'P0001', 'rows'],
  ['RAISE with the code of a constraint', trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'check_violation'"), '23514', 'rows'],
  ['RAISE with a code of its own', trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'EV001'"), 'EV001', 'batch'],
  ['RAISE with the code of a right', trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'insufficient_privilege'"), '42501', 'batch'],
  ['RAISE with the code of a table', trigger("RAISE EXCEPTION 'no' USING ERRCODE = '42P01'"), '42P01', 'batch'],
  ['RAISE with the code of a password', trigger("RAISE EXCEPTION 'no' USING ERRCODE = '28P01'"), '28P01', 'batch'],
  ['RAISE with the code of a moment', trigger("RAISE EXCEPTION 'no' USING ERRCODE = '40001'"), '40001', 'batch'],
  ['RAISE with the code of a server that stops', trigger("RAISE EXCEPTION 'no' USING ERRCODE = '57P03'"), '57P03', 'batch'],
  ['a row that a trigger does not find', trigger('SELECT id INTO STRICT found FROM audit'), 'P0002', 'batch'],
  ['too many rows in a trigger', trigger("SELECT n INTO STRICT found FROM (VALUES ('a'), ('b')) AS v (n)"), 'P0003', 'batch'],
  ['an assertion of a trigger', trigger('ASSERT false'), 'P0004', 'batch'],
  ['a CASE without a branch in a trigger', trigger("CASE new.id WHEN 'b' THEN NULL; END CASE"), '20000', 'batch'],
  ['a right that only a trigger needs', trigger('INSERT INTO audit VALUES (new.id)'), '42501', 'batch'],
  ['a statement that a trigger makes of the row', trigger("EXECUTE 'SELECT ' || new.id || '('"), '42601', 'batch'],
  ['a table that a trigger names after the row', trigger("EXECUTE 'SELECT 1 FROM ' || new.id"), '42P01', 'batch'],
  ['a slow trigger', trigger('PERFORM pg_sleep(60)'), '57014', 'batch'],
  ['a division in a trigger', trigger('found := 1 / (length(new.id) - 1)'), '22012', 'rows'],
  ['a database that can only be read', `${TABLE}; ${GRANT}; ALTER ROLE app IN DATABASE current SET default_transaction_read_only = on`, '25006', 'moment'],
  ['a sequence at its end', `CREATE SEQUENCE s MAXVALUE 2; SELECT nextval('s'), nextval('s'); ${TABLE}; ALTER TABLE events ADD n int; ALTER TABLE events ALTER n SET DEFAULT nextval('s'); ${GRANT}; GRANT USAGE ON SEQUENCE s TO app`, '2200H', 'setup'],
]; // prettier-ignore

void t.test('what the server answers to an INSERT', { skip }, async (t) => {
  await server.query("CREATE ROLE app LOGIN PASSWORD 'p'");
  for (const [what, setup, sqlstate, blame] of CASES) {
    const database = await server.database();
    await server.query(setup.replace('DATABASE current', `DATABASE ${database}`), database);
    const url = server.url(database).replace(/\/\/.*@/, '//app:p@');
    const client = new pg.Client({ connectionString: url, statement_timeout: 3000 });
    await client.connect();
    const insert = what.includes('schema') ? INSERT.replace('events', 's.events') : INSERT;
    const error: unknown = await client.query(insert).catch((thrown: unknown) => thrown);
    await client.end();
    if (!(error instanceof pg.DatabaseError)) {
      t.fail(`${what}: no answer`);
      continue;
    }
    t.same([error.code, blameOf(error, true)], [sqlstate, blame], `${what}: ${error.message}`);
  }
});

void t.test('what it answers before it has the batch is of the setup or of the moment', (t) => {
  const answer = (code: string): Parameters<typeof blameOf>[0] => ({
    code,
    message: '',
    where: undefined,
    routine: undefined,
  });
  for (const code of ['28P01', '28000', '3D000', '42501', '42P01', '22023', '08P01', '0A000'])
    t.equal(blameOf(answer(code), false), 'setup', code);
  for (const code of [
    '08006',
    '53300',
    '57P03',
    '57P01',
    '58030',
    'XX000',
    '40001',
    '57014',
    '25006',
    'EV001',
  ])
    t.equal(blameOf(answer(code), false), 'moment', code);
  t.end();
});

void t.test('what it answers to the INSERT, by class', (t) => {
  const answer = (code: string, message: string = 'no'): Parameters<typeof blameOf>[0] => ({
    code,
    message,
    where: undefined,
    routine: undefined,
  });
  const expected: Record<Blame, string[]> = {
    rows: ['22P05', '22003', '23505', '23514', '23P01', '44000', '54000', '54001', 'P0001'],
    setup: [
      '28P01',
      '28000',
      '3D000',
      '3F000',
      '42501',
      '42703',
      '42804',
      '42P01',
      '42P10',
      '08P01',
      '2200H',
    ],
    moment: [
      '08006',
      '25006',
      '40001',
      '40P01',
      '53100',
      '53300',
      '55P03',
      '57P01',
      '57P02',
      '57P03',
      '58030',
    ],
    batch: [
      '0A000',
      '21000',
      '38000',
      '53200',
      '57014',
      'XX000',
      'XX002',
      'P0002',
      'P0004',
      'HV000',
      'EV001',
      '2200',
    ],
  };
  for (const [blame, codes] of Object.entries(expected))
    for (const code of codes) t.equal(blameOf(answer(code), true), blame, code);
  const wraparound = 'database is not accepting commands to avoid wraparound data loss';
  t.equal(blameOf(answer('54000', wraparound), true), 'moment');
  t.end();
});

void t.test('one of several is refused only if the database says that a row is', { skip }, async (t) => {
  for (const [setup, status, refused] of [
    [trigger("RAISE EXCEPTION 'no' USING ERRCODE = 'EV001'"), 'EV001', null],
    [policy(`data <> '1'`), '42501', null],
    [trigger("RAISE EXCEPTION 'no'"), 'P0001', 'all'],
    [TABLE, '42501', null],
  ] as const) {
    const database = await server.database();
    await server.query(setup, database);
    const sink = new PostgresSink({ url: server.url(database).replace(/\/\/.*@/, '//app:p@') });
    const line = '{"id":"a","type":"t","data":1,"timestamp":1}';
    const thrown: unknown = await sink.deliver(batchOfLines([line]), never).catch((error: unknown) => error);
    t.ok(thrown instanceof SinkError);
    t.match(thrown, { status, refused });
    await sink.close();
  }
});
