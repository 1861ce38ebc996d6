import { readdirSync } from 'node:fs';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { Pool } from 'undici';
import { boundConnections } from '../../lib/cli/open-files.js';
import { silentLogger } from '../../lib/base/reporter.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const FLOOD = 600;
const KEPT = 8;
const ROUNDS = 10;
/** Each is a batch, and so a file: as many as a group commit opens at once. */
const EVENTS = 64;

void t.test('connections get the open files that the log and the sink leave', (t) => {
  const settings = { connectionsMax: 2000, sinkConcurrency: 1 };
  const bounds = (filesMax: number, others: Partial<Parameters<typeof boundConnections>[1]> = {}): unknown =>
    boundConnections(filesMax, { ...settings, ...others }, silentLogger);
  t.same(bounds(Infinity), { connectionsMax: 2000, refusedMax: 2000 });
  t.same(bounds(4210), { connectionsMax: 2000, refusedMax: 2000 }, 'just enough');
  t.same(bounds(4209), { connectionsMax: 2000, refusedMax: 1999 }, 'those that are refused are fewer first');
  t.same(bounds(1024), { connectionsMax: 610, refusedMax: 204 });
  t.same(bounds(1024, { sinkConcurrency: 100 }), { connectionsMax: 462, refusedMax: 154 });
  t.same(bounds(224), { connectionsMax: 10, refusedMax: 4 });
  t.same(bounds(212, { connectionsMax: 1 }), { connectionsMax: 1, refusedMax: 1 });
  for (const [filesMax, connectionsMax, message] of [
    [223, 2000, /^At most 223 files may be open, and the log, the sink and 10 connections need 224: raise/],
    [211, 1, /the sink and 1 connections need 212/],
    [0, 2000, /^At most 0 files/],
  ] as const)
    t.throws(() => bounds(filesMax, { connectionsMax }), { code: 'OPEN_FILES', message });
  t.end();
});

void t.test('a flood of connections at a low limit of open files takes none from the log', async (t) => {
  const dir = tempDir(t);
  const flags = ['--port', '0', '--log-dir', dir, '--batch-size', '1', '--sink-latency', '0'];
  const server = await new ServerProcess(flags, {}, null, '-n 300').listening();
  t.teardown(() => server.stop('SIGKILL'));
  const pool = new Pool(new URL(server.url).origin, { connections: KEPT, pipelining: 1 });
  t.teardown(() => pool.destroy());
  const post = async (): Promise<number> => {
    const { statusCode, body } = await pool.request({
      method: 'POST',
      path: '/events',
      headers: { 'content-type': 'application/x-ndjson' },
      body: Array.from({ length: EVENTS }, (_each, n) => `${eventText(`e${n}`)}\n`).join(''),
    });
    await body.dump();
    return statusCode;
  };
  const all = async (): Promise<number[]> => Promise.all(Array.from({ length: KEPT }, post));
  // a connection that is idle for 5 s would make room for another one
  const use = async (): Promise<void> => {
    const ready = { method: 'GET', path: '/ready' } as const;
    const answers = Array.from({ length: KEPT }, async () => (await pool.request(ready)).body.dump());
    await Promise.all(answers);
  };
  t.same(new Set(await all()), new Set([202]), 'connections that are kept');

  let answers = '';
  const sockets: Socket[] = [];
  t.teardown(() => {
    for (const socket of sockets) socket.destroy();
  });
  let settled = 0;
  for (let n = 0; n < FLOOD; n++) {
    const socket = connect(server.port, '127.0.0.1', () => settled++);
    socket.on('error', () => undefined).on('data', (piece: Buffer) => (answers += piece.toString()));
    socket.write('POST /events HTTP/1.1\r\nHost: x\r\n');
    sockets.push(socket);
  }
  await until(async () => use().then(() => settled >= FLOOD), 'each is connected, to the system at least');
  await until(async () => use().then(() => answers.includes('429')), 'one too many is answered');
  for (let round = 0; round < ROUNDS; round++) {
    t.same(new Set(await all()), new Set([202]), `round ${round}`);
    await sleep(10);
  }
  await until(() => readdirSync(dir).every((name) => !name.startsWith('batch_')), 'all is delivered');
  t.notMatch(server.lines.join('\n') + server.stderr, /EMFILE|DISK_FAILED|LOG_FAILED/);
  const told = server.lines.filter((line) => line.includes('OPEN_FILES'));
  t.equal(told.length, 1);
  t.match(
    told[0],
    /WARN OPEN_FILES At most 300 files may be open, and a connection is one: at most \d+ are taken, not 2000 \(--connections-max\)\. Raise the limit to \d+ \(ulimit -n, LimitNOFILE= of systemd\)$/,
  );
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a start with too few open files for a handful of connections says so', async (t) => {
  const server = new ServerProcess(['--port', '0', '--log-dir', tempDir(t)], {}, null, '-n 100');
  t.equal(await server.exited, 1);
  t.match(
    server.stderr,
    /^forebay-server: At most 100 files may be open, and the log, the sink and 10 connections need \d+: raise the limit \(ulimit -n, LimitNOFILE= of systemd\)\n$/,
  );
});

void t.test(
  'what counts is the limit that Node.js has raised at start, and enough is not told',
  async (t) => {
    const flags = ['--port', '0', '--log-dir', tempDir(t), '--connections-max', '300'];
    const server = new ServerProcess(flags, {}, null, '-Sn 300');
    await server.listening();
    t.notMatch(server.lines.join('\n'), /OPEN_FILES/);
    t.equal(await server.stop('SIGTERM'), 0);
  },
);
