import { randomBytes } from 'node:crypto';
import dns from 'node:dns';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import t from 'tap';
import type { Test } from 'tap';
import { Batch } from '../../lib/seams/batch.js';
import { createForebay } from '../../lib/index.js';
import type { Forebay, ForebayOptions } from '../../lib/index.js';
import { SinkError } from '../../lib/seams/sink-error.js';
import { postgresConfig } from '../../lib/sinks/postgres/postgres-config.js';
import type { Sink } from '../../lib/seams/sink.js';
import { batchOfLines } from '../helpers/batches.js';
import { openSink } from '../helpers/open-sink.js';
import { PostgresServer } from '../helpers/postgres-server.js';
import { until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const skip = PostgresServer.missing();
const never = new AbortController().signal;
/** One server for all tests, each with a database of its own. */
const server = skip === false ? await PostgresServer.start(t) : (null as unknown as PostgresServer);

const batch = (...lines: string[]): Batch => batchOfLines(lines);

const event = (id: string, data: string = '1'): string =>
  `{"id":${JSON.stringify(id)},"type":"t","data":${data},"timestamp":1}`;

async function sinkAt(t: Test, url: string, ...flags: string[]): Promise<Sink> {
  const sink = await openSink(['--sink', 'postgres', '--sink-postgres-url', url, ...flags]);
  t.teardown(() => sink.close?.());
  return sink;
}

/** A sink into a table that it makes itself, in a database of its own. */
async function freshSink(t: Test, ...flags: string[]): Promise<{ sink: Sink; database: string }> {
  const database = await server.database();
  return { sink: await sinkAt(t, server.url(database), '--sink-create-table', ...flags), database };
}

interface Thrown {
  readonly message: string;
  readonly status: SinkError['status'];
  readonly refused: SinkError['refused'];
}

/** What one attempt throws, as far as the Delivery looks at it; `null` where it is confirmed. */
async function thrownBy(sink: Sink, what: Batch, signal: AbortSignal = never): Promise<Thrown | null> {
  return sink.deliver(what, signal).then(
    () => null,
    (error: Error) => {
      const { status = null, refused = null } = error instanceof SinkError ? error : {};
      return { message: error.message, status, refused };
    },
  );
}

/** The same sink; counts the attempts that fail. Of every so many answers that confirm, one gets lost on its way. */
function counted(sink: Sink, lostOneIn: number = Infinity): Sink & { failures: number } {
  let confirmed = 0;
  const counting = {
    failures: 0,
    async deliver(what: Batch, signal: AbortSignal): Promise<void> {
      try {
        await sink.deliver(what, signal);
        if (++confirmed % lostOneIn === 0) throw new Error('a test lost this answer');
      } catch (error) {
        counting.failures++;
        throw error;
      }
    },
  };
  return counting;
}

async function startForebay(t: Test, sink: Sink, options: Partial<ForebayOptions> = {}): Promise<Forebay> {
  const forebay = createForebay({ logDir: tempDir(t), batchWaitMs: 20, ...options, sink });
  await forebay.start();
  t.teardown(() => forebay.stop(0));
  return forebay;
}

void t.test('each event is a row, with every digit of its numbers', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  const lines = [
    '{"id":"a","type":"signup","data":{"n":12345678901234567890,"one":1.0,"big":1e400,"s":"\\u00fc😀\\n"},"timestamp":1795647805852}',
    '{"type":"t","timestamp":"2026-11-25","data":null,"id":"b\\u0062","source":"web","n":1.00}',
    '{"id":"c","type":"t","data":[-1.50e+3,"\\\\","\u2028"],"timestamp":null}',
  ];
  t.equal(await thrownBy(sink, batch(...lines)), null);
  const columns = 'id, type, data, "timestamp", extra';
  t.same((await server.query(`SELECT ${columns} FROM events ORDER BY id`, database)).split('\n'), [
    `a|signup|{"n": 12345678901234567890, "s": "ü😀\\n", "big": 1${'0'.repeat(400)}, "one": 1.0}|1795647805852|`,
    'bb|t|null|"2026-11-25"|{"n": 1.00, "source": "web"}',
    'c|t|[-1500, "\\\\", "\u2028"]|null|',
  ]);
  t.equal(
    await server.query("SELECT count(*) FROM events WHERE received_at > now() - interval '1 min'", database),
    '3',
  );
});

void t.test('what comes again is there once, in one batch or in two', { skip }, async (t) => {
  const { sink, database } = await freshSink(t, '--sink-concurrency', '2');
  const many = Array.from({ length: 50 }, (_, n) => event(`e${n}`));
  t.equal(await thrownBy(sink, batch(event('a', '1'), event('a', '2'), event('b'))), null);
  t.equal(await thrownBy(sink, batch(event('b', '3'), event('c'))), null);
  const both = await Promise.all([thrownBy(sink, batch(...many)), thrownBy(sink, batch(...many))]);
  t.same(both, [null, null]);
  const rows = await server.query("SELECT id, data FROM events WHERE id < 'e' ORDER BY id", database);
  t.equal(rows, 'a|1\nb|1\nc|1', 'the first one stays');
  t.equal(await server.query('SELECT count(*) FROM events', database), '53');
});

void t.test(
  'a table of any name, in a schema, made on request and again when it was dropped',
  { skip },
  async (t) => {
    const database = await server.database();
    await server.query('CREATE SCHEMA "My schema"', database);
    const table = `My schema.Ev'ents; --`;
    const flags = ['--sink-table', table];
    const careful = await sinkAt(t, server.url(database), ...flags);
    t.match(
      await thrownBy(careful, batch(event('a'))),
      { status: '42P01', refused: null, message: /\(--sink-create-table creates it\)$/ },
      'not without being told',
    );
    const sink = await sinkAt(t, server.url(database), ...flags, '--sink-create-table');
    t.equal(await thrownBy(sink, batch(event('a'))), null);
    t.equal(await thrownBy(careful, batch(event('b'))), null);
    const name = `"My schema"."Ev'ents; --"`;
    t.equal(await server.query(`SELECT count(*) FROM ${name}`, database), '2');
    await server.query(`DROP TABLE ${name}`, database);
    t.match(await thrownBy(sink, batch(event('c'))), { status: '42P01', refused: null });
    t.equal(await thrownBy(sink, batch(event('c'))), null);
    t.equal(await server.query(`SELECT count(*) FROM ${name}`, database), '1');
  },
);

void t.test('a column says which rows a replay has written', { skip }, async (t) => {
  const { sink, database } = await freshSink(t, '--sink-replay-column', 'is odd');
  const { name, key, events, bytes } = batch(event('a'), event('b'), event('c'));
  const contexts = [null, { traceparent: null, isReplay: true }, { traceparent: null, isReplay: false }];
  await sink.deliver(new Batch({ name, key, events, bytes, contexts }), never);
  await sink.deliver(batch(event('a'), event('d')), never);
  t.equal(await server.query('SELECT id, "is odd" FROM events ORDER BY id', database), 'a|f\nb|t\nc|f\nd|f');
  for (const column of ['data', 'a"b', 'x'.repeat(64)])
    await t.rejects(openSink(['--sink', 'postgres', '--sink-replay-column', column]), {
      code: 'SETTING_INVALID',
    });
});

void t.test('a table that is there is used without the right to make one', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  t.equal(await thrownBy(sink, batch(event('a'))), null);
  await server.query(
    "CREATE ROLE writer LOGIN PASSWORD 'w'; GRANT INSERT, SELECT ON events TO writer; REVOKE CREATE ON SCHEMA public FROM PUBLIC",
    database,
  );
  const url = `postgres://writer:w@127.0.0.1:${server.port}/${database}`;
  const writer = await sinkAt(t, url, '--sink-create-table');
  t.equal(await thrownBy(writer, batch(event('b'))), null);
  await server.query('REVOKE INSERT ON events FROM writer', database);
  t.match(
    await thrownBy(writer, batch(event('c'))),
    { status: '42501', refused: null },
    'not the fault of the event',
  );
});

void t.test('what no row can hold is refused, with the reason', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  const deep = 100_000;
  const cases: [string, string, string | RegExp][] = [
    [
      event('a', '"\\u0000"'),
      '22P05',
      'unsupported Unicode escape sequence (\\u0000 cannot be converted to text.)',
    ],
    [event('a', '"\\ud800"'), '22P02', /surrogate/],
    [event('a', '1e1000000'), '22003', 'value overflows numeric format'],
    [event('a', '1e-20000'), '22003', 'value overflows numeric format'],
    [event(randomBytes(3000).toString('hex')), '54000', /index row/],
    [event('a', '['.repeat(deep) + ']'.repeat(deep)), '54001', /stack depth/],
  ];
  for (const [line, status, reason] of cases) {
    const thrown = await thrownBy(sink, batch(line));
    const message = typeof reason === 'string' ? `the database answered ${status}: ${reason}` : reason;
    t.match(thrown, { status, refused: 'all', message }, status);
  }
  t.equal(await thrownBy(sink, batch(event('b'))), null);
  t.equal(await server.query('SELECT id FROM events', database), 'b');
});

void t.test("what a table of one's own does not take is refused, too", { skip }, async (t) => {
  const database = await server.database();
  await server.query(
    `CREATE TABLE events (id text PRIMARY KEY, type varchar(8) NOT NULL, data jsonb NOT NULL CHECK (data <> '1'),
       "timestamp" jsonb, extra jsonb, who text GENERATED ALWAYS AS (data ->> 'who') STORED NOT NULL,
       UNIQUE (who));
     CREATE FUNCTION picky() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN IF new.type = 'never' THEN RAISE EXCEPTION 'not this one'; END IF; RETURN new; END $$;
     CREATE TRIGGER picky BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION picky()`,
    database,
  );
  const sink = await sinkAt(t, server.url(database));
  const row = (id: string, type: string, data: string): Batch =>
    batch(`{"id":"${id}","type":"${type}","data":${data},"timestamp":1}`);
  t.equal(await thrownBy(sink, row('a', 't', '{"who":"x"}')), null);
  for (const [what, status] of [
    [row('b', 't', '{"who":"x"}'), '23505'],
    [row('b', 't', '{}'), '23502'],
    [row('b', 't', '1'), '23502'],
    [row('b', 'too long a type', '{"who":"y"}'), '22001'],
    [row('b', 'never', '{"who":"y"}'), 'P0001'],
  ] as const)
    t.match(await thrownBy(sink, what), { status, refused: 'all' }, status);
  t.notMatch(
    (await thrownBy(sink, row('b', 't', '{"who":"x"}')))?.message,
    /\(x\)/,
    'reasons without values',
  );
});

void t.test('a misfit between the table and the sink is no fault of the events', { skip }, async (t) => {
  const database = await server.database();
  const sink = await sinkAt(t, server.url(database));
  const columns = ['id text', 'type text', 'data jsonb', '"timestamp" jsonb', 'extra jsonb'];
  const tables: [string, string][] = [
    [columns.slice(0, 4).join(), '42703'],
    [columns.join(), '42P10'],
    [columns.join().replace('data jsonb', 'data integer'), '42804'],
  ];
  for (const [definition, status] of tables) {
    await server.query(`DROP TABLE IF EXISTS events; CREATE TABLE events (${definition})`, database);
    t.match(await thrownBy(sink, batch(event('a'))), { status, refused: null }, status);
  }
});

void t.test('one bad event of 100 is the one dead letter, the table has the others', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  const dir = tempDir(t);
  const forebay = await startForebay(t, sink, { logDir: dir, batchSize: 100, batchWaitMs: 60_000 });
  const ids = Array.from({ length: 100 }, (_, n) => `e${n}`);
  await Promise.all(ids.map(async (id) => forebay.write({ id, type: 't', data: id === 'e37' ? '\0' : id })));
  await until(() => forebay.counts().pending === 0, 'all is settled');
  t.match(forebay.counts(), { accepted: 100, delivered: 99, deadLettered: 1 });
  const rows = await server.query('SELECT id FROM events', database);
  t.same(new Set(rows.split('\n')), new Set(ids.filter((id) => id !== 'e37')));
  const folder = join(dir, 'dead-letters');
  const letters = readdirSync(folder).map((name) => readFileSync(join(folder, name), 'utf8'));
  t.equal(letters.length, 1);
  t.match(JSON.parse(letters[0] ?? ''), { status: '22P05', event: { id: 'e37' }, index: 37 });
});

void t.test('with the table missing events wait, and arrive once it is there', { skip }, async (t) => {
  const database = await server.database();
  const dir = tempDir(t);
  const sink = counted(await sinkAt(t, server.url(database)));
  const forebay = await startForebay(t, sink, { logDir: dir });
  await forebay.write({ id: 'a', type: 't', data: 1 });
  await until(() => sink.failures > 0, 'an attempt failed');
  t.equal(forebay.counts().pending, 1);
  await server.query(
    'CREATE TABLE events (id text PRIMARY KEY, type text, data jsonb, "timestamp" jsonb, extra jsonb)',
    database,
  );
  await until(() => forebay.counts().delivered === 1, 'it is delivered');
  t.match(forebay.counts(), { accepted: 1, delivered: 1, deadLettered: 0 });
  t.notOk(existsSync(join(dir, 'dead-letters')) && readdirSync(join(dir, 'dead-letters')).length > 0);
});

void t.test(
  'a wrong password, a database that is not there, nobody at the port: tried again, and no secret is shown',
  { skip },
  async (t) => {
    const database = await server.database();
    // a name with two addresses: what Node.js throws for both has no message of its own
    const addresses = ['127.0.0.1', '127.0.0.2'].map((address) => ({ address, family: 4 }));
    const lookup = dns.lookup;
    dns.lookup = ((
      name: string,
      options: dns.LookupAllOptions,
      found: (...args: unknown[]) => void,
    ): void => {
      if (name === 'two.example') found(null, addresses);
      else lookup(name, options, found);
    }) as typeof dns.lookup;
    t.teardown(() => {
      dns.lookup = lookup;
    });
    const closed = createServer().listen(0, '127.0.0.1');
    await once(closed, 'listening');
    const { port } = closed.address() as AddressInfo;
    closed.close();
    for (const [url, status, message] of [
      [server.url(database, 'wr0ng'), '28P01', /password authentication failed/],
      [server.url('nowhere'), '3D000', /does not exist/],
      [`postgres://u:wr0ng@127.0.0.1:${port}/x`, null, /ECONNREFUSED/],
      [
        `postgres://u:wr0ng@two.example:${port}/x`,
        null,
        /ECONNREFUSED 127.0.0.1.*, .*ECONNREFUSED 127.0.0.2/,
      ],
      [`${server.url(database)}?options=-c%20work_mem=wr0ng`, '22023', /work_mem/],
    ] as const) {
      const thrown = await thrownBy(await sinkAt(t, url, '--sink-create-table'), batch(event('a')));
      t.match(thrown, { status, refused: null, message });
      // that of the last one is no secret
      if (status !== '22023') t.notMatch(thrown?.message, /wr0ng/, 'no secret');
      t.notMatch(thrown?.message, /s3cret/, 'no secret');
    }
  },
);

void t.test('the password may come from PGPASSWORD or the password file', { skip }, async (t) => {
  const database = await server.database();
  const url = `postgres://forebay@127.0.0.1:${server.port}/${database}`;
  const file = join(tempDir(t), 'pgpass');
  writeFileSync(file, `127.0.0.1:${server.port}:*:forebay:${PostgresServer.password}\n`, { mode: 0o600 });
  const before = { ...process.env };
  t.teardown(() => {
    process.env = before;
  });
  process.env['PGPASSFILE'] = '/no/such';
  const without = await sinkAt(t, url, '--sink-create-table');
  t.match(await thrownBy(without, batch(event('a'))), {
    refused: null,
    message: /PGPASSWORD, PGPASSFILE or the URL/,
  });
  process.env['PGPASSFILE'] = file;
  const warnings: string[] = [];
  const warn = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', warn);
  t.teardown(() => process.off('warning', warn));
  t.equal(await thrownBy(await sinkAt(t, url, '--sink-create-table'), batch(event('a'))), null);
  delete process.env['PGPASSFILE'];
  process.env['PGPASSWORD'] = PostgresServer.password;
  t.equal(await thrownBy(await sinkAt(t, url), batch(event('b'))), null);
  t.same(warnings, []);
});

void t.test('TLS with a certificate of one’s own', { skip }, async (t) => {
  if (server.ca === null) {
    t.comment('openssl is not on the PATH');
    return;
  }
  const database = await server.database();
  const ca = join(tempDir(t), 'ca.pem');
  writeFileSync(ca, server.ca);
  const warnings: string[] = [];
  const warn = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', warn);
  t.teardown(() => process.off('warning', warn));
  const sink = await sinkAt(t, server.url(database), '--sink-create-table', '--sink-ca', ca);
  t.equal(await thrownBy(sink, batch(event('a'))), null);
  const encrypted =
    "SELECT count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE ssl AND application_name = 'forebay'";
  t.equal(await server.query(encrypted), '1');
  for (const mode of ['require', 'verify-full']) {
    const strict = await sinkAt(t, `${server.url(database)}?sslmode=${mode}`);
    t.match(await thrownBy(strict, batch(event('a'))), { refused: null, message: /self-signed/ }, mode);
  }
  const trusting = await sinkAt(t, `${server.url(database)}?sslmode=no-verify`);
  t.equal(await thrownBy(trusting, batch(event('a'))), null);
  const careful = await sinkAt(t, `${server.url(database)}?sslmode=no-verify`, '--sink-ca', ca);
  t.equal(await thrownBy(careful, batch(event('a'))), null);
  t.same(warnings, []);
});

void t.test(
  'a commit is flushed before it is confirmed, also where the database would not wait',
  { skip },
  async (t) => {
    const { sink, database } = await freshSink(t);
    await thrownBy(sink, batch(event('a')));
    // what holds for the transaction at its first row holds for its commit
    await server.query(
      `ALTER TABLE events ADD durable text;
     CREATE FUNCTION look() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN new.durable := current_setting('synchronous_commit'); RETURN new; END $$;
     CREATE TRIGGER look BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION look()`,
      database,
    );
    for (const [id, mode] of [
      ['b', 'off'],
      ['c', 'remote_apply'],
      ['d', 'local'],
    ] as const) {
      await server.query(`ALTER DATABASE ${database} SET synchronous_commit = ${mode}`);
      await thrownBy(await sinkAt(t, server.url(database)), batch(event(id)));
    }
    const rows = await server.query("SELECT id, durable FROM events WHERE id > 'a' ORDER BY id", database);
    t.equal(rows, 'b|on\nc|remote_apply\nd|local');
  },
);

void t.test('a server that does not answer is waited for until --sink-timeout', { skip }, async (t) => {
  await t.test('at the greeting', async (t) => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    t.teardown(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const sink = await sinkAt(t, `postgres://u:p@127.0.0.1:${port}/x`, '--sink-timeout', '300');
    const started = performance.now();
    t.match(await thrownBy(sink, batch(event('a'))), { refused: null, message: /--sink-timeout/ });
    const tookMs = performance.now() - started;
    t.ok(tookMs >= 290 && tookMs < 25_000, `${tookMs} ms`);
  });
  await t.test('in the middle', async (t) => {
    const { sink, database } = await freshSink(t, '--sink-timeout', '6000');
    t.equal(await thrownBy(sink, batch(event('a'))), null);
    const pid = Number(
      await server.query("SELECT pid FROM pg_stat_activity WHERE application_name = 'forebay'", database),
    );
    process.kill(pid, 'SIGSTOP');
    try {
      t.match(await thrownBy(sink, batch(event('b'))), { refused: null, message: /--sink-timeout/ });
      t.equal(await thrownBy(sink, batch(event('c'))), null, 'the next attempt goes by another connection');
    } finally {
      process.kill(pid, 'SIGCONT');
    }
  });
  await t.test('for a lock, and leaves nothing behind that waits on', async (t) => {
    const { sink, database } = await freshSink(t, '--sink-timeout', '6000');
    t.equal(await thrownBy(sink, batch(event('a'))), null);
    const holder = new pg.Client(server.url(database));
    await holder.connect();
    t.teardown(() => holder.end());
    await holder.query('BEGIN; LOCK TABLE events');
    for (let attempts = 0; attempts < 2; attempts++)
      t.match(await thrownBy(sink, batch(event('b'))), {
        refused: null,
        message: /--sink-timeout|statement timeout/,
      });
    const busy = `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'forebay' AND datname = '${database}'`;
    await until(async () => (await server.query(busy)) === '0', 'no statement waits any longer');
    await holder.query('COMMIT');
    t.equal(await thrownBy(sink, batch(event('b'))), null);
  });
});

void t.test(
  'an attempt ends when the server stops, and closing does not wait for one that hangs',
  { skip },
  async (t) => {
    const silent = createServer().listen(0, '127.0.0.1');
    const reached = once(silent, 'connection');
    await once(silent, 'listening');
    t.teardown(() => silent.close());
    const { port } = silent.address() as AddressInfo;
    const sink = await sinkAt(t, `postgres://u:p@127.0.0.1:${port}/x`);
    const stopping = new AbortController();
    const thrown = thrownBy(sink, batch(event('a')), stopping.signal);
    await reached;
    stopping.abort(new Error('the server stops'));
    t.match(await thrown, { message: 'the server stops' });
    t.match(await thrownBy(sink, batch(event('a')), stopping.signal), { message: 'the server stops' });
    const started = performance.now();
    await sink.close?.();
    t.ok(performance.now() - started < 20_000);
  },
);

void t.test('an idle connection that the server closes is no loss', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  t.equal(await thrownBy(sink, batch(event('a'))), null);
  const killed = await server.query(
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE application_name = 'forebay'",
    database,
  );
  t.equal(killed, 't');
  await sleep(50);
  for (let turns = 0; turns < 10; turns++) await new Promise(setImmediate); // its end is read, however late the timer is
  t.equal(await thrownBy(sink, batch(event('b'))), null);
  t.equal(await server.query('SELECT count(*) FROM events', database), '2');
});

void t.test('a server that can only be read is left for another connection', { skip }, async (t) => {
  const { sink, database } = await freshSink(t);
  t.equal(await thrownBy(sink, batch(event('a'))), null);
  await server.query(`ALTER DATABASE ${database} SET default_transaction_read_only = on`);
  const moved = await sinkAt(t, server.url(database));
  t.match(await thrownBy(moved, batch(event('b'))), { status: '25006', refused: null });
  // holds for connections that begin now
  await server.query(`ALTER DATABASE ${database} RESET default_transaction_read_only`);
  t.equal(await thrownBy(moved, batch(event('b'))), null);
});

void t.test('settings that cannot be say what is wrong, and show no secret', async (t) => {
  const good = 'postgres://u:s3cret@127.0.0.1/x';
  const cases: [string[], RegExp][] = [
    [['--sink', 'postgres'], /needs --sink-postgres-url/],
    [
      ['--sink', 'postgres', '--sink-postgres-url', 'mysql://u:s3cret@h'],
      /--sink-postgres-url must be a URL/,
    ],
    [
      ['--sink', 'postgres', '--sink-postgres-url', 'postgres://u:s3cret@h:x/'],
      /--sink-postgres-url cannot be used/,
    ],
    [['--sink', 'postgres', '--sink-postgres-url', `${good}?sslcert=/no/such`], /no such file/],
    [
      ['--sink', 'postgres', '--sink-postgres-url', `${good}?sslmode=disable`, '--sink-ca', 'package.json'],
      /--sink-ca needs TLS/,
    ],
    [['--sink-postgres-url', good], /--sink-postgres-url goes with --sink postgres/],
    [['--sink-table', 'x'], /--sink-table goes with/],
    [['--sink-create-table'], /--sink-create-table goes with/],
    [['--sink-ca', 'x'], /--sink-ca goes with --sink http or postgres/],
    [
      ['--sink', 'postgres', '--sink-postgres-url', good, '--sink-ca', '/no/such'],
      /--sink-ca\) cannot be read/,
    ],
    ...['a.b.c', 'a.', '"a"', 'x'.repeat(64)].map((name): [string[], RegExp] => [
      ['--sink', 'postgres', '--sink-postgres-url', good, '--sink-table', name],
      /--sink-table must be/,
    ]),
  ];
  for (const [flags, message] of cases) {
    const error: unknown = await openSink(flags).catch((thrown: unknown) => thrown);
    t.match(error, { message }, flags.join(' '));
    t.notMatch(String((error as Error).stack), /s3cret/);
  }
});

void t.test(
  'a server process delivers into the table, with the address in a variable',
  { skip },
  async (t) => {
    const database = await server.database();
    const flags = ['--port', '0', '--log-dir', tempDir(t), '--batch-wait', '20', '--sink', 'postgres'];
    const forebay = new ServerProcess([...flags, '--sink-create-table'], {
      FOREBAY_SINK_POSTGRES_URL: server.url(database),
    });
    t.teardown(() => forebay.stop('SIGKILL'));
    const line = await forebay.line(/started on port (\d+)/);
    forebay.port = Number(/port (\d+)/.exec(line)?.[1]);
    const answer = await fetch(forebay.url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: '{"id":"a","type":"t","data":1.0}',
    });
    t.equal(answer.status, 202);
    await forebay.line(/Deleted batch file/);
    t.equal(await server.query('SELECT id, data FROM events', database), 'a|1.0');
    t.equal(await forebay.stop('SIGTERM'), 0);
    t.notMatch(forebay.lines.join('\n') + forebay.stderr, /s3cret/);
  },
);

void t.test(
  'a database that is stopped and started under load holds each accepted event exactly once',
  { skip, timeout: 600_000 },
  async (t) => {
    const moody = await PostgresServer.start(t); // with few files, which a start after a crash flushes one by one
    const flags = ['--sink-create-table', '--sink-concurrency', '4'];
    const sink = counted(await sinkAt(t, moody.url('postgres'), ...flags), 10);
    const forebay = await startForebay(t, sink, { sinkConcurrency: 4, batchSize: 50 });
    const accepted: string[] = [];
    const load = new AbortController();
    const client = async (name: number): Promise<void> => {
      for (let n = 0; !load.signal.aborted; n++) {
        const id = `${name}-${n}`;
        await forebay.write({ id, type: 'load', data: { n } });
        accepted.push(id);
        await sleep(5); // some thousand a second: a database on a slow disk keeps up
      }
    };
    const clients = Array.from({ length: 16 }, (_, name) => client(name));
    for (const how of ['fast', 'immediate'] as const) {
      const { delivered } = forebay.counts();
      await until(() => forebay.counts().delivered > delivered + 500, 'it delivers');
      await moody.stop(how);
      const [failures, before] = [sink.failures, accepted.length];
      await until(() => sink.failures > failures && accepted.length > before, 'attempts fail');
      await moody.start();
    }
    load.abort();
    await Promise.all(clients);
    await until(() => forebay.counts().pending === 0, 'all is delivered');
    t.match(forebay.counts(), { accepted: accepted.length, delivered: accepted.length, deadLettered: 0 });
    t.equal(await moody.query('SELECT count(*) FROM events'), String(accepted.length));
    const rows = (await moody.query('SELECT id FROM events')).split('\n');
    t.same(rows.toSorted(), accepted.toSorted());
    t.comment(`${accepted.length} events, ${sink.failures} attempts failed`);
  },
);

void t.test('connections that do not come to be leave no socket open', async (t) => {
  let open = 0;
  // asks for a password that nobody has
  const fake = createServer((socket) => {
    open++;
    socket.on('close', () => open--);
    socket.on('error', () => undefined);
    socket.once('data', () => socket.write(Buffer.from([0x52, 0, 0, 0, 8, 0, 0, 0, 3])));
  }).listen(0, '127.0.0.1');
  await once(fake, 'listening');
  t.teardown(() => fake.close());
  const { port } = fake.address() as AddressInfo;
  const passwordFile = process.env['PGPASSFILE'];
  process.env['PGPASSFILE'] = join(tempDir(t), 'none');
  t.teardown(() => {
    if (passwordFile === undefined) delete process.env['PGPASSFILE'];
    else process.env['PGPASSFILE'] = passwordFile;
  });
  const sink = await sinkAt(t, `postgres://u@127.0.0.1:${port}/x`);
  for (let n = 0; n < 5; n++) {
    t.match(await thrownBy(sink, batch(event('a'))), { refused: null, message: /asks for a password/ });
  }
  await until(() => open === 0, 'they are closed');
  t.pass('closed');
});

void t.test('a statement_timeout that is no number of milliseconds stops the start', async (t) => {
  for (const given of ['5s', '', '-1', '1.5']) {
    await t.rejects(sinkAt(t, `postgres://u@127.0.0.1/x?statement_timeout=${given}`), {
      code: 'SINK_UNUSABLE',
      message: /statement_timeout must be a whole number/,
    });
  }
});

void t.test('without a name the user is the one of the process, also where no variable says so', (t) => {
  const { USER: user, PGUSER: pgUser } = process.env;
  t.teardown(() => {
    for (const [name, value] of Object.entries({ USER: user, PGUSER: pgUser }))
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
  });
  delete process.env['USER'];
  delete process.env['PGUSER'];
  const userOf = (url: string): unknown => postgresConfig({ url, ca: null, timeoutMs: 1000 }).user;
  t.equal(userOf('postgres:///shop?host=/run'), userInfo().username);
  t.equal(userOf('postgres://joe@db/shop'), 'joe');
  process.env['PGUSER'] = 'joe';
  t.notOk(userOf('postgres:///shop'), 'pg knows it');
  t.end();
});
