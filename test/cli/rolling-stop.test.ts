import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { RawClient } from '../helpers/raw-client.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { SteadyClients } from '../helpers/steady-clients.js';
import { tempDir } from '../helpers/temp-dir.js';

const QUICK = ['--sink-latency', '0', '--batch-wait', '10'];
/** Of a connection that is not for the fast path. */
const UNUSUAL = 'Connection: keep-alive, x\r\n';
const STOPS = 3;
/** A connection without a request is closed this soon after the signal (`IDLE_MS` of the departures), in milliseconds. */
const IDLE_MS = 250;
/** Clients that are later than that prove nothing, and are tried again at most this many times. */
const LATE_MAX = 8;

const whole = (id: string, headers = ''): string => {
  const body = eventText(id);
  return `POST /events HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${headers}Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`;
};

async function get(server: ServerProcess, path: string): Promise<{ status: number; body: object }> {
  const { statusCode, body } = await request(new URL(path, server.url), { reset: true });
  return { status: statusCode, body: (await body.json()) as object };
}

/** The ids of all events that the sink has or that wait on disk. */
function keptIds(dir: string): Set<string> {
  const files = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    /(batch_|sink)[^/]*$/.test(name),
  );
  const lines = files.flatMap((name) => readFileSync(join(dir, name), 'utf8').split('\n'));
  return new Set(lines.filter(Boolean).map((line) => (JSON.parse(line) as { id: string }).id));
}

for (const [what, headers, flags, areRude] of [
  ['plain requests', '', []],
  ['requests of clients that come back at once', '', [], true],
  ['plain requests, with a wait', '', ['--drain-wait', '300']],
  ['requests of node:http', UNUSUAL, []],
  ['requests to two workers', '', ['--workers', '2']],
  ['requests to two workers, with a wait', '', ['--workers', '2', '--drain-wait', '300']],
] as const) {
  void t.test(`a stop under load resets none of the ${what}`, async (t) => {
    for (let [stop, late] = [0, 0]; stop < STOPS; stop++) {
      const dir = tempDir(t);
      // two workers cannot share a file
      const sink = flags.some((flag) => flag === '--workers')
        ? ['--sink-failure-rate', '1']
        : ['--sink', 'file', '--sink-file', join(dir, 'sink')];
      const server = await ServerProcess.start('--log-dir', dir, ...QUICK, ...sink, ...flags);
      t.teardown(() => server.stop('SIGKILL'));
      const clients = new SteadyClients(server.port, { clients: 64, headers, areRude: areRude === true });
      await until(() => clients.accepted > 500, 'there is load');
      clients.stalledMs = 0;
      t.equal(await server.stop('SIGTERM'), 0);
      await clients.left;
      if (clients.stalledMs > IDLE_MS / 2 && late++ < LATE_MAX) {
        stop--;
        continue;
      }
      t.same(clients.lost, []);
      t.ok(clients.closing >= 64, 'answers say that their connections are closed');
      const kept = keptIds(dir);
      t.same(
        clients.ids.filter((id) => !kept.has(id)),
        [],
        'each event that was accepted is there',
      );
    }
  });
}

void t.test('/ready fails at once while events are taken for --drain-wait', async (t) => {
  for (const flags of [[], ['--workers', '2'], ['--admin-port', '0']]) {
    const dir = tempDir(t);
    const server = await ServerProcess.start('--log-dir', dir, '--drain-wait', '60s', ...QUICK, ...flags);
    t.teardown(() => server.stop('SIGKILL'));
    const admin = flags[0] === '--admin-port';
    const client = await RawClient.connect(server.port);
    await client.send(whole('before'));
    t.match(await client.answer(), { status: 202, headers: { connection: 'keep-alive' } });
    server.signal('SIGTERM');
    await server.line(/SIGTERM: stopping; events are taken for 60000 ms more \(--drain-wait\)/);
    const drains = async (): Promise<boolean> => (await get(server, '/ready')).status === 503;
    await until(drains, 'each worker knows');
    t.match((await get(server, '/ready')).body, { status: 'draining', code: 'DRAINING' });
    if (!admin) t.match(await get(server, '/health'), { status: 200, body: { status: 'draining' } });
    await client.send(whole('known'));
    t.match(await client.answer(), { status: 202, headers: { connection: 'close' } });
    await client.closed;
    t.equal(client.error, null);
    const fresh = await RawClient.connect(server.port);
    await fresh.send(whole('fresh'));
    t.match(await fresh.answer(), { status: 202, headers: { connection: 'close' } });
    await new Promise((resolve) => setTimeout(resolve, 600)); // sooner it would be the same signal
    t.equal(await server.stop('SIGTERM'), null, 'a second signal ends it at once');
  }
});

void t.test('what is sent on an idle connection while the server stops is answered', async (t) => {
  for (const headers of ['', UNUSUAL]) {
    let isInTime = false;
    for (let late = 0; !isInTime && late < LATE_MAX; late++) isInTime = await sendsLate(t, headers);
    t.ok(isInTime, 'the requests are sent before the connections are closed');
  }
});

/** @returns whether the requests were sent in time; if not, nothing is known */
async function sendsLate(t: Test, headers: string): Promise<boolean> {
  const server = await ServerProcess.start('--log-dir', tempDir(t), ...QUICK);
  t.teardown(() => server.stop('SIGKILL'));
  const clients = await Promise.all(Array.from({ length: 8 }, async () => RawClient.connect(server.port)));
  for (const client of clients) {
    await client.send(whole('before', headers));
    t.equal((await client.answer()).status, 202);
  }
  const [silent, ...others] = clients;
  const startMs = performance.now();
  server.signal('SIGTERM');
  await server.line(/SIGTERM: stopping/);
  for (const [index, client] of others.entries()) await client.send(whole(`late-${index}`, headers));
  if (performance.now() - startMs >= IDLE_MS) return false;
  for (const client of others)
    t.match(await client.answer(), { status: 202, headers: { connection: 'close' } });
  await silent?.closed;
  t.equal(silent?.error, null, 'a connection without a request is closed, not reset');
  t.equal(await server.exited, 0);
  return true;
}

void t.test('connections that wait to be accepted at the signal are answered', async (t) => {
  const server = await ServerProcess.start('--log-dir', tempDir(t), ...QUICK);
  t.teardown(() => server.stop('SIGKILL'));
  server.signal('SIGSTOP');
  const clients = await Promise.all(Array.from({ length: 100 }, async () => RawClient.connect(server.port)));
  await Promise.all(clients.map(async (client, index) => client.send(whole(`e-${index}`))));
  server.signal('SIGTERM');
  server.signal('SIGCONT');
  const answers = await Promise.all(clients.map(async (client) => client.answer()));
  t.equal(answers.filter(({ status }) => status === 202).length, 100);
  t.equal(await server.exited, 0);
});

void t.test('clients that stay for ever do not stop the stop', async (t) => {
  const dir = tempDir(t);
  const server = await ServerProcess.start('--log-dir', dir, '--shutdown-timeout', '20s', ...QUICK);
  t.teardown(() => server.stop('SIGKILL'));
  const stay = { allowHalfOpen: true };
  const [idle, half, body] = await Promise.all(
    [1, 2, 3].map(async () => RawClient.connect(server.port, stay)),
  );
  await idle?.send(whole('a'));
  t.equal((await idle?.answer())?.status, 202);
  await half?.send('POST /events HTTP/1.1\r\nHost: loc');
  await body?.send(whole('b').slice(0, -5));
  t.equal(await server.stop('SIGTERM'), 0);
  t.notOk(server.lines.some((line) => line.includes('STOP_TIMEOUT')));
  t.ok(existsSync(dir));
});
