import { createServer } from 'node:http';
import type { IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import t from 'tap';
import type { Test } from 'tap';
import { clientsOf } from '../helpers/http-door.js';
import { eventText } from '../helpers/running-forebay.js';
import { scrape } from '../helpers/scrape.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { TraceCollector } from '../helpers/trace-collector.js';
import { until } from '../helpers/wait-for.js';

const TRACEPARENT = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

/** An API that keeps the headers of each request. */
async function api(
  t: Test,
): Promise<{ readonly url: string; readonly headers: IncomingHttpHeaders[]; status: number }> {
  const target = { url: '', headers: [] as IncomingHttpHeaders[], status: 200 };
  const server = createServer((req, res) => {
    req.resume().on('end', () => {
      if (target.status === 200) target.headers.push(req.headers);
      res.writeHead(target.status).end();
    });
  });
  await new Promise<void>((listening) => {
    server.listen(0, '127.0.0.1', listening);
  });
  t.teardown(() => {
    server.closeAllConnections();
    server.close();
  });
  target.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
  return target;
}

async function send(url: string, id: string, headers: Readonly<Record<string, string>>): Promise<number> {
  const all = { 'content-type': 'application/json', ...headers };
  const answer = await fetch(url, { method: 'POST', headers: all, body: eventText(id) });
  await answer.text();
  return answer.status;
}

void t.test('a server that is killed delivers with the traceparent at its next start', async (t) => {
  const target = await api(t);
  target.status = 503;
  const flags = ['--log-dir', tempDir(t), '--sink', 'http', '--sink-url', target.url, '--batch-wait', '50'];
  const first = await ServerProcess.start(...flags, '--replay-wait', '0');
  t.equal(await send(first.url, 'a', { traceparent: TRACEPARENT }), 202);
  await first.stop('SIGKILL');
  target.status = 200;
  const next = await ServerProcess.start(...flags);
  await until(() => target.headers.length > 0, 'the event is delivered');
  t.equal(target.headers[0]?.['traceparent'], TRACEPARENT);
  await next.stop('SIGTERM');
});

void t.test('a server sends spans, with the variables of OpenTelemetry', async (t) => {
  const [collector, target] = [await TraceCollector.start(t), await api(t)];
  const environment = {
    OTEL_SERVICE_NAME: 'shop',
    OTEL_EXPORTER_OTLP_HEADERS: 'authorization=Bearer%20me',
    OTEL_EXPORTER_OTLP_ENDPOINT: 'http://127.0.0.1:1',
  };
  const flags = ['--log-dir', tempDir(t), '--sink', 'http', '--sink-url', target.url, '--batch-wait', '50'];
  const server = new ServerProcess(['--port', '0', ...flags, '--trace-url', collector.url], environment);
  await server.listening();
  t.equal(await send(server.url, 'a', { traceparent: TRACEPARENT }), 202);
  const [deliver] = await collector.named('deliver http', 1);
  t.equal(target.headers[0]?.['traceparent'], `00-${deliver?.traceId}-${deliver?.spanId}-01`);
  const [accept] = await collector.named('POST /events', 1);
  t.equal(target.headers[0]?.['forebay-traces'], `0 00-${accept?.traceId}-${accept?.spanId}-01`);
  t.equal(collector.resource['service.name'], 'shop');
  t.equal(collector.headers[0]?.authorization, 'Bearer me');
  const isCounted = async (): Promise<boolean> => {
    const samples = (await scrape(server.port)).samples('forebay_spans_total');
    return samples.some(({ labels, value }) => labels['outcome'] === 'sent' && value >= 1);
  };
  await until(isCounted, 'spans that were sent are counted');
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a stop sends the last spans', async (t) => {
  // it waits 2 s for the collector, and says if that was too short: then there is another one
  for (let left = 20; left > 0; left--) {
    const collector = await TraceCollector.start(t);
    const flags = ['--log-dir', tempDir(t), '--sink-latency', '0', '--sink-failure-rate', '0'];
    const server = await ServerProcess.start(...flags, '--trace-url', collector.url);
    t.equal(await send(server.url, 'last', {}), 202);
    t.equal(await server.stop('SIGTERM'), 0);
    const wasLate = server.lines.some((line) => / lost: the collector .*: the server stops/.test(line));
    if (wasLate && left > 1) continue;
    t.equal(collector.spans.filter(({ name }) => name === 'POST /events').length, 1);
    break;
  }
});

void t.test('a collector that hangs does not hold up a stop', async (t) => {
  const collector = await TraceCollector.start(t);
  collector.mode = 'hang';
  const flags = ['--log-dir', tempDir(t), '--sink-latency', '0', '--sink-failure-rate', '0'];
  const server = await ServerProcess.start(
    ...flags,
    '--trace-url',
    collector.url,
    '--shutdown-timeout',
    '20s',
  );
  const { post } = clientsOf(t, server.port);
  for (let n = 0; n < 20; n++) t.equal((await post(eventText(`e${n}`))).status, 202);
  t.equal(await server.stop('SIGTERM'), 0, 'and it stops in order');
  t.ok(
    server.lines.some((line) =>
      /\d+ spans lost: the collector http:\/\/127\.0\.0\.1:\d+: the server stops/.test(line),
    ),
  );
});

void t.test('a share of spans without a place for them stops the start', async (t) => {
  const server = new ServerProcess(['--port', '0', '--log-dir', tempDir(t), '--trace-sample', '0.5']);
  t.equal(await server.exited, 78);
  t.match(server.stderr + server.lines.join(), /--trace-sample needs --trace-url/);
});
