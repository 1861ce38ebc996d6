import { existsSync, mkdirSync, readFileSync, renameSync } from 'node:fs';
import { createServer } from 'node:http';
import type { IncomingHttpHeaders, Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import pg from 'pg';
import t from 'tap';
import type { Test } from 'tap';
import { fileKind } from '../../lib/sinks/file/file-kind.js';
import { SINK_KINDS } from '../../lib/sinks/registry.js';
import type { SinkSettings } from '../../lib/sinks/registry.js';
import { stdoutKind } from '../../lib/sinks/stdout/stdout-kind.js';
import type { Sink } from '../../lib/seams/sink.js';
import { batchOfLines } from '../helpers/batches.js';
import { NamedPipe } from '../helpers/named-pipe.js';
import { contextOf, openSink, settingsOf } from '../helpers/open-sink.js';
import { PostgresServer } from '../helpers/postgres-server.js';
import { sinkContract } from '../helpers/sink-contract.js';
import type { SinkBench } from '../helpers/sink-contract.js';
import { tempDir } from '../helpers/temp-dir.js';
import { WatchedFiles } from '../helpers/watched-files.js';

type Open = (t: Test) => Promise<SinkBench>;

const noPostgres = PostgresServer.missing();
const postgres = noPostgres === false ? await PostgresServer.start(t) : null;

/** The benches of each kind, by title; each opens its sink as the server does. A text: why there can be none here. */
const BENCHES: Readonly<Record<SinkSettings['sink'], Readonly<Record<string, Open>> | string>> = {
  simulated: { simulated: simulatedBench },
  file: { file: fileBench },
  stdout: { stdout: stdoutBench },
  http: { http: httpBench },
  postgres: postgres === null ? String(noPostgres) : { postgres: async (t) => postgresBench(t, postgres) },
};

t.same(
  SINK_KINDS.map(({ name }) => name).toSorted(),
  Object.keys(BENCHES).toSorted(),
  'each kind of the registry has a bench',
);
for (const [kind, benches] of Object.entries(BENCHES)) {
  if (typeof benches === 'string') void t.test(kind, { skip: benches }, () => undefined);
  else for (const [title, open] of Object.entries(benches)) sinkContract(title, open);
}

async function simulatedBench(): Promise<SinkBench> {
  const sinkWith = async (...flags: string[]): Promise<Sink> => openSink(['--sink-latency', '0', ...flags]);
  let sink = await sinkWith();
  const tell =
    (...flags: string[]) =>
    async (): Promise<void> => {
      sink = await sinkWith(...flags);
    };
  return {
    sink: { deliver: (batch, signal) => sink.deliver(batch, signal) },
    kept: { cannot: 'it keeps nothing' },
    keepsText: { cannot: 'it keeps nothing' },
    traces: { cannot: 'it keeps nothing' },
    confirm: tell(),
    fail: tell('--sink-failure-rate', '1'),
    refuseAll: { cannot: 'it does not look at events' },
    refuse: { cannot: 'it does not look at events' },
    hang: async () => {
      sink = await openSink(['--sink-latency', '600000']);
    },
    answerNothing: { cannot: 'it gives no answers that could be missing' },
    vanish: { cannot: 'there is nothing behind it that could be away' },
  };
}

async function fileBench(t: Test): Promise<SinkBench> {
  const [dir, gone] = ['out', 'gone'].map((name) => join(tempDir(t), name)) as [string, string];
  mkdirSync(dir);
  const path = join(dir, 'out.jsonl');
  const settings = settingsOf(['--sink', 'file', '--sink-file', path]);
  const fs = new WatchedFiles();
  const tell = (before: WatchedFiles['before']) => (): void => {
    release();
    fs.before = before;
  };
  let release: () => void = () => undefined;
  const hanging = (call: string): Promise<void> | undefined =>
    call.startsWith('datasync')
      ? new Promise((resolve) => {
          release = resolve;
        })
      : undefined;
  return {
    sink: await fileKind.open(settings, { ...contextOf(settings), fs }),
    kept: async () => readFileSync(path, 'utf8').split('\n').slice(0, -1),
    keepsText: { can: true },
    traces: { cannot: 'a line is the event, byte for byte, and has nothing beside it' },
    confirm: () => {
      tell(() => undefined)();
      if (existsSync(gone)) renameSync(gone, dir);
    },
    fail: tell((call) => {
      if (call.startsWith('datasync')) throw new Error('EIO: a test fails this flush');
    }),
    refuseAll: { cannot: 'a file takes any bytes' },
    refuse: { cannot: 'a file takes any bytes' },
    hang: tell(hanging),
    answerNothing: { cannot: 'a call to the file system ends with a result' },
    vanish: () => {
      renameSync(dir, gone);
    },
  };
}

async function stdoutBench(t: Test): Promise<SinkBench> {
  const settings = settingsOf(['--sink', 'stdout']);
  const pipe = new NamedPipe(t);
  const leave = (): void => {
    pipe.leave();
  };
  return {
    sink: await stdoutKind.open(settings, { ...contextOf(settings), fd: pipe.fd }),
    kept: () => pipe.lines(),
    keepsText: { can: true },
    traces: { cannot: 'a line is the event, byte for byte, and has nothing beside it' },
    confirm: () => {
      pipe.read();
    },
    fail: leave,
    refuseAll: { cannot: 'a pipe takes any bytes' },
    refuse: { cannot: 'a pipe takes any bytes' },
    hang: () => {
      pipe.pause();
    },
    answerNothing: { cannot: 'a pipe gives no answers that could be missing' },
    vanish: leave,
  };
}

async function httpBench(t: Test): Promise<SinkBench> {
  const target = new HttpTarget(t);
  await target.listen();
  return {
    sink: await openSink(['--sink', 'http', '--sink-url', `http://127.0.0.1:${target.port}/`]),
    kept: async () => target.kept,
    keepsText: { can: true },
    traces: async () => target.traces,
    confirm: async () => {
      target.mode = 'confirm';
      await target.listen();
    },
    fail: target.tell('fail'),
    refuseAll: target.tell('refuseAll'),
    refuse: (ids) => {
      target.refused = ids;
      target.mode = 'refuse';
    },
    hang: target.tell('hang'),
    answerNothing: target.tell('answerNothing'),
    vanish: () => target.close(),
  };
}

async function postgresBench(t: Test, server: PostgresServer): Promise<SinkBench> {
  const database = await server.database();
  const url = server.url(database);
  const flags = [
    '--sink',
    'postgres',
    '--sink-postgres-url',
    url,
    '--sink-create-table',
    '--sink-concurrency',
    '4',
  ];
  const run = async (sql: string): Promise<void> => void (await server.query(sql, database));
  let locking: pg.Client | null = null;
  const release = async (): Promise<void> => {
    await locking?.end();
    locking = null;
  };
  t.teardown(release);
  const sink = await openSink(flags);
  await sink.deliver(batchOfLines([]), new AbortController().signal);
  await run(`CREATE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS
    'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NULL; END'`);
  const refuse = async (condition: string): Promise<void> =>
    run(`ALTER TABLE events ADD CONSTRAINT never CHECK (${condition}) NOT VALID`);
  return {
    sink,
    kept: async () => {
      const rows = await server.query(
        'SELECT json_build_array(id, type, data, timestamp) FROM events ORDER BY ctid',
        database,
      );
      return rows
        .split('\n')
        .filter((row) => row !== '')
        .map((row) => JSON.parse(row) as unknown[])
        .map(([id, type, data, timestamp]) => JSON.stringify({ id, type, data, timestamp }));
    },
    keepsText: { cannot: 'jsonb keeps values, not texts' },
    traces: { cannot: 'its columns are the members of the event, in whatever table there is' },
    confirm: async () => {
      await release();
      await server.start();
      await run('ALTER TABLE events RENAME COLUMN hidden TO extra').catch(() => undefined);
      await run('ALTER TABLE events DROP CONSTRAINT IF EXISTS never');
      await run('DROP TRIGGER IF EXISTS leave ON events');
    },
    // a column is missing: no event is to blame
    fail: () => run('ALTER TABLE events RENAME COLUMN extra TO hidden'),
    refuseAll: () => refuse('false'),
    refuse: (ids) => refuse(`id NOT IN (${ids.map((id) => `'${id}'`).join()})`),
    hang: async () => {
      locking = new pg.Client({ connectionString: url });
      await locking.connect();
      await locking.query('BEGIN; LOCK TABLE events');
    },
    answerNothing: () => run('CREATE TRIGGER leave BEFORE INSERT ON events EXECUTE FUNCTION leave()'),
    vanish: () => server.stop(),
  };
}

/** An HTTP API that does what it is told. */
class HttpTarget {
  mode: 'confirm' | 'fail' | 'refuseAll' | 'refuse' | 'hang' | 'answerNothing' = 'confirm';
  refused: readonly string[] = [];
  readonly kept: string[] = [];
  /** The trace of each event that was kept. */
  readonly traces: (string | null)[] = [];
  port = 0;
  #server: Server | null = null;

  constructor(t: Test) {
    t.teardown(() => this.close());
  }

  tell(mode: HttpTarget['mode']): () => void {
    return () => {
      this.mode = mode;
    };
  }

  async listen(): Promise<void> {
    if (this.#server !== null) return;
    const server = createServer((req, res) => {
      const pieces: Buffer[] = [];
      req.on('data', (piece: Buffer) => pieces.push(piece));
      req.on('end', () => {
        const lines = Buffer.concat(pieces).toString().split('\n').slice(0, -1);
        const { status, body } = this.#answer(lines);
        if (status === 200) this.traces.push(...tracesOf(req.headers, lines.length));
        if (this.mode === 'answerNothing') res.destroy();
        else if (this.mode !== 'hang') res.writeHead(status).end(body);
      });
    });
    this.#server = server;
    await new Promise<void>((resolve) => {
      server.listen(this.port, '127.0.0.1', resolve);
    });
    this.port = (server.address() as AddressInfo).port;
  }

  async close(): Promise<void> {
    const server = this.#server;
    this.#server = null;
    if (server === null) return;
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }

  #answer(lines: readonly string[]): { status: number; body: string } {
    if (this.mode === 'fail') return { status: 503, body: 'not now' };
    if (this.mode === 'refuseAll') return { status: 422, body: 'never' };
    if (this.mode === 'hang' || this.mode === 'answerNothing') return { status: 0, body: '' };
    const isRefused = (text: string): boolean =>
      this.mode === 'refuse' && this.refused.includes((JSON.parse(text) as { id: string }).id);
    const refused = lines.flatMap((text, index) =>
      isRefused(text) ? [{ index, reason: 'never', status: 422 }] : [],
    );
    this.kept.push(...lines.filter((text) => !isRefused(text)));
    return { status: 200, body: refused.length === 0 ? '' : JSON.stringify({ refused }) };
  }
}

/** The trace of each event of a request, as docs/sinks.md has it. */
function tracesOf(headers: IncomingHttpHeaders, events: number): (string | null)[] {
  const named = headers['forebay-traces'];
  if (named === undefined)
    return Array.from({ length: events }, () => headers['traceparent']?.toString() ?? null);
  const traces = Array.from({ length: events }, (): string | null => null);
  for (const entry of named.toString().split(', ')) {
    const [range = '', trace = ''] = entry.split(' ');
    const [from = NaN, to = from] = range.split('-').map(Number);
    traces.fill(trace, from, to + 1);
  }
  return traces;
}
