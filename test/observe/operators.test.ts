import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { asText } from '../../lib/cli/log-output.js';
import { IngestionServer } from '../../lib/door/ingestion-server.js';
import type { Logger } from '../../lib/base/reporter.js';
import { event, openRaw, whole } from '../helpers/raw-door.js';
import type { RawAnswer } from '../helpers/raw-client.js';
import { RawClient } from '../helpers/raw-client.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

async function get(port: number, path: string): Promise<{ status: number; text: string }> {
  const { statusCode, body } = await request(`http://127.0.0.1:${port}${path}`);
  return { status: statusCode, text: await body.text() };
}

/** A server process, stopped after the test. */
async function start(t: Test, ...flags: string[]): Promise<ServerProcess> {
  const server = await ServerProcess.start('--log-dir', tempDir(t), ...flags);
  t.teardown(async () => {
    await server.stop('SIGKILL');
  });
  return server;
}

void t.test('with an address of their own operators have their paths there, and nobody else', async (t) => {
  const server = await start(t, '--admin-port', '0');
  const port = Number(/port (\d+)/.exec(await server.line(/^\S+ Operators' address: port/))?.[1]);
  for (const path of ['/', '/page/page.css', '/metrics', '/health', '/page/nothing', '/events']) {
    t.equal((await get(server.port, path)).status, path === '/events' ? 405 : 404, path);
    t.equal((await get(port, path)).status, /nothing|events/.test(path) ? 404 : 200, `operators: ${path}`);
  }
  t.match(await get(server.port, '/ready'), {
    status: 200,
    text: '{"status":"ready","sink":{"breaker":"closed"}}\n',
  });
  t.equal((await get(port, '/ready')).status, 200);
  t.match((await get(port, '/metrics')).text, /^forebay_events_accepted_total 0$/m);
});

void t.test('a start says who may pause delivery at the address of operators without a key', async (t) => {
  const open = await start(t, '--admin-port', '0');
  t.match(
    await open.line(/Operators' address/),
    /port \d+; it asks for no key: a proxy in front of it may let anyone pause delivery \(--keys-file\)$/,
  );
  const keysFile = join(tempDir(t), 'keys.jsonl');
  writeFileSync(keysFile, '');
  const closed = await start(t, '--admin-port', '0', '--keys-file', keysFile);
  t.match(await closed.line(/Operators' address/), /port \d+$/);
});

void t.test('a CONNECT that is reset ends no server, on either address', async (t) => {
  const server = await start(t, '--admin-port', '0');
  const port = Number(/port (\d+)/.exec(await server.line(/Operators' address: port/))?.[1]);
  for (const each of [port, server.port]) {
    for (let n = 0; n < 10; n++) {
      const client = await RawClient.connect(each);
      await client.send('CONNECT x:1 HTTP/1.1\r\nHost: localhost\r\n\r\n');
      t.equal((await client.answer()).status, 405);
      client.abort();
      await client.closed;
    }
    t.equal((await get(each, '/ready')).status, 200);
  }
});

void t.test('a port of the operators that is taken stops the start', async (t) => {
  const first = await start(t);
  const second = new ServerProcess([
    '--port',
    '0',
    '--log-dir',
    tempDir(t),
    '--admin-port',
    String(first.port),
  ]);
  t.equal(await second.exited, 1);
  t.match(second.stderr, /Cannot listen on 127\.0\.0\.1, port \d+: it is in use/);
  const third = new ServerProcess(['--port', '0', '--log-dir', tempDir(t), '--admin-host', '127.0.0.1']);
  t.equal(await third.exited, 78);
  t.match(third.stderr, /--admin-host needs --admin-port/);
});

void t.test('who listens elsewhere than on loopback is told what is open there', async (t) => {
  const open = await start(t, '--host', '0.0.0.0');
  t.match(await open.line(/ADMIN_PUBLIC/), /open to anyone who reaches 0\.0\.0\.0: --admin-port/);
  const shut = await start(t, '--host', '0.0.0.0', '--admin-port', '0');
  await shut.line(/Operators' address/);
  t.notOk(shut.lines.some((line) => line.includes('ADMIN_PUBLIC')));
});

void t.test('a request keeps its id, or gets one, on either way', async (t) => {
  const { connect } = await openRaw(t);
  const ask = async (id: string | null, isFast: boolean, type = 'application/json'): Promise<RawAnswer> => {
    const client = await connect();
    if (!isFast) {
      await client.send('GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n');
      t.match((await client.answer()).headers['x-request-id'], /^[\w-]{8}-\d+$/);
    }
    await client.send(
      whole(event('a'), { 'Content-Type': type, ...(id !== null && { 'X-Request-Id': id }) }),
    );
    return client.answer();
  };
  for (const isFast of [true, false]) {
    for (const type of ['application/json', 'text/plain']) {
      t.equal((await ask('Root=1-67;x', isFast, type)).headers['x-request-id'], 'Root=1-67;x');
    }
    for (const id of [null, 'a b', 'x'.repeat(129)])
      t.match((await ask(id, isFast)).headers['x-request-id'], /^[\w-]{8}-\d+$/, String(id));
  }
});

void t.test('a share of the requests gets a log line', async (t) => {
  const lines: { fields: object; text: string }[] = [];
  const write = (fields: object, text: string): void => void lines.push({ fields, text });
  const logger: Logger = { debug: write, info: write, warn: write, error: write };
  const { forebay } = await openRaw(t);
  const server = new IngestionServer({ forebay, port: 0, accessLog: 1, logger });
  await server.start();
  t.teardown(() => server.stop(0));
  const client = await RawClient.connect(server.port);
  await client.send(whole(event('a'), { 'X-Request-Id': 'one' }));
  await client.answer();
  await client.send('GET /ready?token=secret HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: two\r\n\r\n');
  await client.answer();
  await client.send('GET /ready HTTP/1.1\r\nHost: localhost\r\n\r\n');
  await client.answer();
  client.socket.destroy();
  t.match(lines, [
    {
      fields: {
        requestId: 'one',
        method: 'POST',
        path: '/events',
        status: 202,
        peer: '127.0.0.1',
        ms: Number,
      },
      text: /^POST \/events 202, [\d.]+ ms$/,
    },
    { fields: { requestId: 'two', method: 'GET', path: '/ready', status: 200 }, text: /^GET \/ready 200, / },
    { fields: { path: '/ready' } },
  ]);
});

void t.test('a text from elsewhere stays on its line, and steers no terminal', (t) => {
  const line = asText(
    { level: 'info', time: 0, msg: 'a\u202eb\u2028c\u0007d\u2066é', err: { message: 'x\ny' } },
    false,
  );
  t.equal(line, String.raw`00:00:00.000 a\u202eb\u2028c\u0007d\u2066é (x\u000ay)` + '\n');
  t.end();
});
