import { once } from 'node:events';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';
import t from 'tap';
import { Agent, request } from 'undici';
import { Authority, noOpenssl, PairFiles } from '../helpers/certificates.js';
import { freePort } from '../helpers/free-port.js';
import { IdSink } from '../helpers/id-sink.js';
import { scrape } from '../helpers/scrape.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { until } from '../helpers/wait-for.js';

const APP = 'https://app.example';

void t.test(
  'a server with TLS: a renewal, the numbers of operators, a stop',
  { skip: noOpenssl },
  async (t) => {
    const authority = new Authority(t);
    const files = new PairFiles(t, authority.issue('first'));
    const adminPort = await freePort();
    const sink = await IdSink.open(t);
    sink.hold();
    const held = [...sink.flags, '--batch-size', '1', '--shutdown-timeout', '10min'];
    const server = await ServerProcess.start(
      ...files.flags,
      ...held,
      '--log-dir',
      join(tempDir(t), 'log'),
      '--admin-port',
      String(adminPort),
      '--cors-origin',
      APP,
    );
    t.teardown(async () => server.stop('SIGKILL'));
    t.ok(
      server.lines.some((line) => line.endsWith(`IngestionServer started on port ${server.port}, with TLS`)),
    );
    const dispatcher = new Agent({ connect: { ca: authority.cert }, keepAliveTimeout: 1 });
    t.teardown(async () => dispatcher.destroy());
    const ask = async (
      path: string,
      options: { method?: 'GET' | 'POST' | 'OPTIONS'; body?: string; headers?: Record<string, string> } = {},
    ): Promise<{ status: number; headers: object; text: string }> => {
      const url = `https://localhost:${server.port}${path}`;
      const { statusCode, headers, body } = await request(url, { dispatcher, ...options });
      return { status: statusCode, headers, text: await body.text() };
    };
    const event = (id: string) => ({
      method: 'POST' as const,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, type: 't', data: 1 }),
    });
    t.match(await ask('/events', event('a')), { status: 202 });
    t.match(await ask('/ready'), { status: 200 });

    const name = async (): Promise<unknown> => {
      const socket = connectTls({
        port: server.port,
        host: '127.0.0.1',
        servername: 'localhost',
        ca: authority.cert,
      });
      await once(socket, 'secureConnect');
      const { CN } = socket.getPeerCertificate().subject;
      socket.end();
      return CN;
    };
    t.equal(await name(), 'first');
    files.write(authority.issue('second'));
    server.signal('SIGHUP');
    await server.line(/SIGHUP: files/);
    t.equal(await name(), 'second');

    const plain = await request(`http://localhost:${server.port}/ready`);
    t.equal(plain.statusCode, 400);
    t.match(await plain.body.json(), { code: 'TLS_REQUIRED' });
    const seen = await scrape(adminPort);
    t.same(seen.by('reason', 'forebay_tls_handshakes_failed_total'), { plain_http: 1 });
    const days = (seen.value('forebay_tls_certificate_expiry_seconds') - Date.now() / 1000) / 86_400;
    t.ok(days > 29 && days < 31, `${days}`);

    server.signal('SIGTERM');
    await server.line(/SIGTERM: stopping/);
    await until(async () => (await ask('/ready').catch(() => null)) !== null, 'it answers');
    t.match(await ask('/ready'), { status: 503, headers: { 'retry-after': '1', connection: 'close' } });
    t.match(await ask('/health'), { status: 404 }, 'it is at the address for operators');
    const page = { origin: APP };
    t.match(await ask('/events', { method: 'OPTIONS', headers: page }), {
      status: 204,
      headers: { 'access-control-allow-origin': APP, 'access-control-allow-methods': 'POST' },
    });
    t.match(
      await ask('/events', { ...event('x'), headers: { ...page, 'content-type': 'application/json' } }),
      {
        status: 503,
        headers: { 'access-control-allow-origin': APP, 'access-control-expose-headers': /Retry-After/ },
        text: /NOT_RUNNING/,
      },
    );
    sink.isDown = true;
    sink.release();
    t.equal(await server.exited, 0);
  },
);
