import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { lockDirectory } from '../../lib/logs/file/directory-lock.js';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import { startLoad } from '../crash/crash-rounds.js';
import { IdSink } from '../helpers/id-sink.js';
import { lowPort } from '../helpers/low-port.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { scrape } from '../helpers/scrape.js';
import { SEED } from '../helpers/seed.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { lives, workersOf } from '../helpers/worker-processes.js';
import { Random } from '../simulation/random.js';

t.jobs = 2;

const QUICK = ['--batch-wait', '10', '--log-format', 'text'];

async function started(t: Test, ...flags: readonly string[]): Promise<ServerProcess> {
  const port = flags.includes('--port') ? [] : ['--port', '0'];
  const server = new ServerProcess([...port, ...QUICK, ...flags]);
  t.teardown(() => server.stop('SIGKILL'));
  return server.listening();
}

async function post(server: ServerProcess, ...ids: readonly string[]): Promise<number> {
  const headers = { 'content-type': 'application/x-ndjson' };
  const body = ids.map((id) => eventText(id)).join('\n');
  // each time another connection, and so another worker
  const answer = await request(server.url, { method: 'POST', headers, body, reset: true });
  await answer.body.dump();
  return answer.statusCode;
}

/** A probe is `503` while a worker that is not scheduled for a while does not answer. */
async function wellAt(server: ServerProcess, path: string): Promise<{ status: number; body: object }> {
  let answer = { status: NaN, body: {} };
  await until(async () => (answer = await get(server, path)).status === 200, `${path} is well`);
  return answer;
}

async function get(server: ServerProcess, path: string): Promise<{ status: number; body: object }> {
  const { statusCode, body } = await request(new URL(path, server.url), { reset: true });
  return { status: statusCode, body: (await body.json()) as object };
}

/** What an open page gets until it matches. */
async function page(server: ServerProcess, pattern: RegExp): Promise<string> {
  const signal = AbortSignal.timeout(60_000);
  const { body } = await request(new URL('/page/live', server.url), { signal });
  let shown = '';
  for await (const piece of body) if (pattern.test((shown += String(piece)))) break;
  return shown;
}

const batches = (dir: string): string[] =>
  existsSync(dir) ? readdirSync(dir).filter((name) => name.startsWith('batch_')) : [];
const texts = (server: ServerProcess): string[] => server.lines.map((line) => line.slice(13));

void t.test('two workers are one server: one port, one page, one sum', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  const server = await started(t, '--log-dir', dir, '--workers', '2', ...sink.flags);
  t.match(texts(server)[0], /^Forebay .*, 2 workers$/);
  t.equal(texts(server).filter((line) => line.includes('IngestionServer started')).length, 1, 'once');
  for (const worker of [1, 2])
    await server.line(
      new RegExp(`worker ${worker}: AppendLog initialized: ${join(dir, `worker-${worker}`)}$`),
    );
  const ids = Array.from({ length: 20 }, (_, n) => `a${n}`);
  for (const id of ids) t.equal(await post(server, id), 202);
  await until(() => sink.ids.size === ids.length, 'all are delivered');
  await until(
    async () => (await scrape(server.port)).value('forebay_events_delivered_total') === ids.length,
    'and counted',
  );
  const seen = await scrape(server.port);
  t.equal(seen.value('forebay_events_accepted_total'), ids.length);
  t.equal(seen.value('forebay_source_events_accepted_total', { source: 'events' }), ids.length);
  t.equal(seen.value('forebay_ack_seconds_count'), ids.length);
  t.equal(seen.value('forebay_http_requests_total', { path: '/events', status: '202' }), ids.length);
  t.equal(seen.value('forebay_unaccounted_events'), 0);
  t.equal(seen.value('forebay_queue_events_max'), 2 * 10_000, 'each has a queue');
  t.equal(seen.value('forebay_pending_bytes_max'), 2 ** 30, 'the backlog is divided');
  t.equal(seen.value('forebay_sink_concurrency'), 2);
  t.equal(seen.value('forebay_workers'), 2);
  t.equal(seen.value('forebay_workers_max'), 2);
  t.equal(seen.value('forebay_worker_restarts_total'), 0);
  t.same(Object.keys(seen.by('worker', 'process_resident_memory_bytes')), ['1', '2', 'supervisor']);
  for (const worker of [1, 2]) await server.line(new RegExp(`worker ${worker}: Wrote batch to: `));
  t.match(await wellAt(server, '/health'), {
    status: 200,
    body: {
      status: 'ok',
      events: { accepted: ids.length, delivered: ids.length },
      workers: { number: 2, missing: [] },
    },
  });
  t.match(await wellAt(server, '/ready'), {
    status: 200,
    body: { status: 'ready', sink: { breaker: 'closed' } },
  });
  const shown = await page(server, /(?:event: snapshot\n.*\n\n[^]*?){3}/);
  const snapshots = [...shown.matchAll(/^event: snapshot\n(.*)$/gm)].map(([, data = '']) => data);
  t.ok(snapshots.length >= 3);
  for (const snapshot of snapshots) {
    t.match(snapshot, /"batches":\[\{"name":"worker-[12]\/batch_/);
    t.match(snapshot, /"newest":\[\{"id":"a/);
    t.match(snapshot, '"workers":{"number":2,"missing":[]}');
  }
  t.match(snapshots.at(-1), '"accepted":20');
  t.equal(await server.stop('SIGTERM'), 0);
  t.match(texts(server).at(-1), /^Stopped; 0 events wait on disk$/);
});

void t.test('kill -9 of a worker under load loses nothing, and it is started again', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  const server = await started(t, '--log-dir', dir, '--workers', '2', ...sink.flags);
  const [sent, acknowledged] = [new Set<string>(), new Set<string>()];
  const load = (): ReturnType<typeof startLoad> =>
    startLoad({ server, connections: 16, sent, acknowledged, random: new Random(SEED) });
  await load().firstAnswer;
  await until(() => acknowledged.size > 200, 'events are acknowledged');
  const before = await scrape(server.port);
  const [victim = 0, other = 0] = workersOf(server);
  process.kill(victim, 'SIGKILL');
  t.match(
    await server.line(/WORKER_ENDED/),
    /ERROR WORKER_ENDED Worker [12] ended \(SIGKILL\): it is started again in 100 ms, the others go on/,
  );
  const known = acknowledged.size;
  const again = load(); // connections of the dead one are gone, and with them their clients
  await until(() => acknowledged.size > known + 200, 'the others go on');
  t.ok(lives(other));
  await until(async () => (await get(server, '/ready')).status === 200, 'it is there again');
  const now = workersOf(server);
  t.ok(now.length === 2 && now.includes(other) && !now.includes(victim));
  let after = before;
  await until(async () => {
    after = await scrape(server.port);
    return after.value('forebay_worker_restarts_total') === 1;
  }, 'the restart is counted');
  for (const name of ['forebay_events_accepted_total', 'forebay_ack_seconds_count'])
    t.ok(after.value(name) >= before.value(name), `${name} does not fall`);
  t.equal(after.value('forebay_unaccounted_events'), 0);
  server.signal('SIGTERM');
  t.equal(await server.exited, 0);
  await again.ended;
  const last = await started(t, '--log-dir', dir, '--workers', '2', '--replay-wait', '600000', ...sink.flags);
  t.same(
    [...acknowledged].filter((id) => !sink.ids.has(id)),
    [],
    'each 202 is delivered',
  );
  t.equal(await last.stop('SIGTERM'), 0);
});

void t.test(
  'kill -9 of the supervisor leaves no process, and one process delivers what all had',
  async (t) => {
    const [dir, sink] = [tempDir(t), await IdSink.open(t)];
    sink.isDown = true;
    const port = String(await lowPort());
    const server = await started(t, '--log-dir', dir, '--port', port, '--workers', '3', ...sink.flags);
    const ids = Array.from({ length: 12 }, (_, n) => `a${n}`);
    for (const id of ids) t.equal(await post(server, id), 202);
    const workers = workersOf(server);
    t.equal(workers.length, 3);
    t.equal(await server.stop('SIGKILL'), null);
    await until(() => !workers.some(lives), 'the workers end by themselves');
    for (const worker of [1, 2, 3]) t.ok(batches(join(dir, `worker-${worker}`)).length > 0, `${worker}`);
    sink.isDown = false;
    const alone = await started(t, '--log-dir', dir, '--port', port, ...sink.flags);
    t.same(sink.ids, new Set(ids), 'before it listens');
    const seen = await scrape(alone.port);
    t.equal(seen.value('forebay_events_delivered_total'), ids.length);
    t.equal(seen.value('forebay_unaccounted_events'), 0);
    t.equal(seen.value('forebay_queue_events_max'), 10_000);
    t.match(await get(alone, '/health'), { body: { events: { accepted: 12, delivered: 12 } } });
    t.match(await page(alone, /"delivered":12.*\n\n/), '"workers":null');
    for (const worker of [1, 2, 3]) t.same(batches(join(dir, `worker-${worker}`)), []);
    t.notOk(alone.lines.some((line) => line.includes('FOREIGN_FILE')));
    t.equal(await alone.stop('SIGTERM'), 0);
  },
);

void t.test('workers deliver what one process left, and what more workers left', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  sink.isDown = true;
  const ids: string[] = [];
  const leave = async (workers: string): Promise<void> => {
    const server = await started(t, '--log-dir', dir, '--workers', workers, ...sink.flags);
    for (let n = 0; n < 6; n++) {
      const id = `${workers} ${n}`;
      ids.push(id);
      t.equal(await post(server, id), 202);
    }
    t.equal(await server.stop('SIGTERM'), 0);
    t.match(texts(server).at(-1), /^Stopped; \d+ events(?: and .*)? waits? on disk$/);
  };
  await leave('1');
  await leave('3');
  t.ok(batches(dir).length > 0);
  t.ok(batches(join(dir, 'worker-3')).length > 0);
  sink.isDown = false;
  const server = await started(t, '--log-dir', dir, '--workers', '2', ...sink.flags);
  t.same(sink.ids, new Set(ids), 'before they take events');
  t.equal((await scrape(server.port)).value('forebay_events_delivered_total'), ids.length);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a worker that does not answer is named, and no sum is a part', async (t) => {
  const server = await started(t, '--log-dir', tempDir(t), '--workers', '2');
  const [stopped = 0] = workersOf(server);
  const shown = page(server, /does not answer/).catch(() => '');
  const twice = page(server, /does not answer/).catch(() => '');
  // two connections: one of them goes to the worker that answers
  const answered = async (path: string): Promise<{ status: number; body: object }> =>
    Promise.race([get(server, path), get(server, path)]);
  await wellAt(server, '/health');
  process.kill(stopped, 'SIGSTOP');
  t.teardown(() => {
    if (lives(stopped)) process.kill(stopped, 'SIGKILL'); // it would not notice that its supervisor has gone
  });
  t.match(await answered('/metrics'), {
    status: 503,
    body: { code: 'WORKER_SILENT', error: /^Worker [12] does not answer$/ },
  });
  for (const path of ['/health', '/ready'])
    t.match(await answered(path), { status: 503, body: { reason: /^Worker [12] does not answer$/ } });
  t.match(await Promise.race([shown, twice]), /"missing":\[\{"worker":[12],"why":"does not answer"\}\]/);
  process.kill(stopped, 'SIGCONT');
  await until(async () => (await get(server, '/ready')).status === 200, 'it answers again');
  t.equal((await scrape(server.port)).value('forebay_workers'), 2);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a start waits for workers whose supervisor was killed just now', async (t) => {
  const dir = tempDir(t);
  mkdirSync(join(dir, 'worker-1'));
  const orphan = await lockDirectory(nodeFileSystem, join(dir, 'worker-1'));
  const server = new ServerProcess(['--port', '0', '--log-dir', dir, '--workers', '2', ...QUICK]);
  t.teardown(() => server.stop('SIGKILL'));
  await server.line(/worker 1: Another server uses the log directory .* ends$/);
  await orphan.release();
  await server.listening();
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('one server owns the log directory, with workers or without', async (t) => {
  const [dir, other] = [tempDir(t), tempDir(t)];
  await started(t, '--log-dir', dir, '--workers', '2');
  await started(t, '--log-dir', other);
  for (const [logDir, workers] of [
    [dir, '1'],
    [dir, '2'],
    [other, '2'],
  ] as const) {
    const second = new ServerProcess(['--port', '0', '--log-dir', logDir, '--workers', workers]);
    t.equal(await second.exited, 1);
    t.match(second.stderr, `Another server uses the log directory ${logDir}: process `);
  }
});

void t.test('what is wrong at the start ends it, with the reason', async (t) => {
  const dir = tempDir(t);
  const file = join(dir, 'file');
  writeFileSync(file, '');
  mkdirSync(join(dir, 'log'));
  writeFileSync(join(dir, 'log/worker-2'), 'no directory');
  const taken = createServer().listen(0, '127.0.0.1');
  await once(taken, 'listening');
  t.teardown(() => taken.close());
  const { port } = taken.address() as AddressInfo;
  const keys = join(dir, 'no-keys');
  for (const [flags, code, reason] of [
    [['--workers', '0'], 78, /--workers must be "auto" or a whole number from 1 to 128, not "0"/],
    [['--sink', 'file', '--sink-file', file], 78, /--sink file needs --workers 1: its file has one writer/],
    [['--sink', 'stdout'], 78, /--sink stdout needs --workers 1: standard output has one writer/],
    [['--backlog-max', '30MiB'], 78, /--body-max must be smaller than --backlog-max divided by --workers 2/],
    [['--source', 'x=/health,format=events'], 78, /Worker [12] does not start: .*\/health/],
    [['--port', String(port)], 1, new RegExp(`Cannot listen on 127.0.0.1, port ${port}: it is in use`)],
    [['--keys-file', keys], 1, /Worker [12] does not start: .*no-keys/],
    [['--log-dir', file], 1, /The log directory .*file cannot be used/],
    [
      ['--log-dir', join(dir, 'log')],
      1,
      /Worker 2 does not start: The log directory .*worker-2 cannot be used/,
    ],
  ] as const) {
    const given: readonly string[] = flags;
    const others = [
      ['--port', '0'],
      ['--log-dir', join(dir, 'other')],
      ['--workers', '2'],
    ].filter(([flag = '']) => !given.includes(flag));
    const server = new ServerProcess([...others.flat(), ...flags]);
    t.equal(await server.exited, code, flags.join(' '));
    t.match(server.stderr, reason);
    t.equal(server.stderr.match(/^forebay-server: /gm)?.length, 1, 'it is said once');
  }
});

void t.test('signals go on to the workers', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  const server = await started(t, '--log-dir', dir, '--workers', '2', ...sink.flags);
  server.signal('SIGHUP');
  for (const worker of [1, 2]) await server.line(new RegExp(`worker ${worker}: SIGHUP: files of the sink`));
  const workers = workersOf(server);
  for (const pid of workers) process.kill(pid, 'SIGTERM'); // of a terminal or of systemd: it comes to all
  t.equal(await post(server, 'a'), 202);
  server.signal('SIGINT');
  t.equal(await server.exited, 0);
  t.notOk(workers.some(lives));
});

void t.test('a second signal ends all at once', async (t) => {
  const held = ['--sink-latency', '600000', '--batch-size', '1', '--shutdown-timeout', '10min'];
  const server = await started(t, '--log-dir', tempDir(t), '--workers', '2', ...held);
  for (const id of ['a', 'b']) t.equal(await post(server, id), 202);
  await until(
    async () => (await scrape(server.port)).value('forebay_sink_attempts_running') === 2,
    'attempts run',
  );
  const workers = workersOf(server);
  server.signal('SIGTERM');
  for (const worker of [1, 2])
    await server.line(new RegExp(`worker ${worker}: The supervisor stops: stopping`));
  await sleep(600); // one that comes at once is the same
  server.signal('SIGTERM');
  t.equal(await server.exited, null);
  await until(() => !workers.some(lives), 'the workers are gone');
  t.ok(server.lines.some((line) => line.includes('SIGTERM again: exiting at once')));
});

void t.test('when all workers end at once they come back on the same port', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  const server = await started(t, '--log-dir', dir, '--workers', '2', ...sink.flags);
  for (const id of ['x', 'y', 'z']) t.equal(await post(server, id), 202);
  const delivered = async (): Promise<number> =>
    (await scrape(server.port)).value('forebay_events_delivered_total');
  await until(async () => (await delivered()) === 3, 'they are counted');
  for (const pid of workersOf(server)) process.kill(pid, 'SIGKILL');
  for (const worker of [1, 2]) await server.line(new RegExp(`WORKER_ENDED Worker ${worker} ended`));
  const isReady = async (): Promise<boolean> =>
    get(server, '/ready').then(
      ({ status }) => status === 200,
      () => false,
    );
  await until(isReady, 'they are back');
  for (const id of ['a', 'b', 'c', 'd']) t.equal(await post(server, id), 202);
  await until(() => sink.ids.size === 7, 'all are delivered');
  await until(async () => (await delivered()) === 7, 'what the dead ones have counted stays in the sum');
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('operators have an address of their own, for all workers', async (t) => {
  const dir = tempDir(t);
  const server = await started(t, '--log-dir', dir, '--workers', '2', '--admin-port', '0');
  const port = Number(/port (\d+)/.exec(await server.line(/Operators' address/))?.[1]);
  for (let n = 0; n < 4; n++) t.equal(await post(server, `a${n}`), 202);
  t.equal((await scrape(port)).value('forebay_source_events_accepted_total', { source: 'events' }), 4);
  t.equal((await get(server, '/health')).status, 404);
  t.equal(await server.stop('SIGTERM'), 0);
});
