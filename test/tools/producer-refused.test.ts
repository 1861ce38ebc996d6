import t from 'tap';
import { readOptions } from '../../lib/settings/option-table.js';
import { PRODUCER_SETTINGS } from '../../tools/producer/producer-settings.js';
import { answer, listen, run, runJson, serve } from '../helpers/producer-run.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

t.jobs = 3; // each test has a server of its own, and mostly waits

void t.test('a URL without a path means /events', async (t) => {
  const paths = new Set<string | undefined>();
  const url = await listen(t, ({ req, res }) => {
    paths.add(req.url);
    answer(res, 202);
  });
  for (const given of [new URL('/', url).href, new URL(url).origin, url])
    t.equal(readOptions(PRODUCER_SETTINGS, ['--url', given]).url, url);
  await runJson(['--url', new URL(url).origin, '--rate', '1000', '--burst', '3']);
  t.same([...paths], ['/events']);
});

void t.test('a server that can accept no request at all is not asked a thousand times', async (t) => {
  for (const [status, workers, headers, said] of [
    [405, '2', {}, /every request with 405: no POST here\n/],
    [404, '1', {}, /every request with 404: no POST here\n/],
    [401, '1', {}, /401: no POST here\n/],
    [
      308,
      '1',
      { location: 'https://x.example/events' },
      /308: no POST here \(Location: https:\/\/x.example\/events\)\n/,
    ],
  ] as const) {
    let requests = 0;
    const url = await listen(t, ({ res }) => {
      requests++;
      res.writeHead(status, headers).end('{"error":"no POST here"}');
    });
    const flags = ['--rate', '2000', '--burst', '20000', '--workers', workers];
    const { code, stdout, stderr } = await run(['--url', url, ...flags]);
    t.equal(code, 1);
    t.match(stderr, said);
    const shown = (what: string): number => Number(new RegExp(`${what}: (\\d+)\n`).exec(stdout)?.[1] ?? 0);
    const answered = shown(`Error status ${status}`);
    t.ok(answered >= 3 && answered <= requests, `${answered} answers to ${requests} requests`);
    // on a busy machine some answers come after the stop
    t.equal(answered + shown('Error no answer before the stop'), shown('Total sent'));
    t.ok(requests >= 3 && requests < 1000, `${requests} requests`);
  }
});

void t.test('one that refuses now and then goes on to be asked', async (t) => {
  let requests = 0;
  const url = await listen(t, ({ res }) => answer(res, ++requests % 3 === 0 ? 202 : 404));
  const { code, stdout } = await run([
    '--url',
    url,
    '--rate',
    '1000',
    '--burst',
    '30',
    '--max-in-flight',
    '1',
  ]);
  t.equal(code, 1);
  t.match(stdout, 'Total sent: 30\nAccepted (202): 10\n');
});

void t.test('a bound of connections is named, and no more workers are advised', async (t) => {
  const { url, server } = await serve(t, ({ res }) => {
    res.shouldKeepAlive = false;
    answer(res, 429, { 'Retry-After': '1' });
  });
  const { code, stdout } = await run(['--url', url, '--rate', '1000', '--burst', '50', '--workers', '2']);
  t.equal(code, 0);
  t.match(stdout, 'Backpressure (429): 50\nErrors: 0\n');
  t.match(
    stdout,
    'Refused at the connection: 50 events. The server allows no more connections (--connections-per-peer, --connections-max)',
  );
  t.notMatch(stdout, 'bottleneck');
  server.removeAllListeners('request').on('request', (_req, res) => answer(res, 429));
  const queue = await run(['--url', url, '--rate', '1000', '--burst', '5']);
  t.notMatch(queue.stdout, 'Refused at the connection', 'a full queue is another bound');
});

void t.test('more connections than a server allows are refused, not broken', async (t) => {
  const server = await ServerProcess.start('--log-dir', tempDir(t), '--connections-max', '10');
  const flags = ['--rate', '20000', '--burst', '500', '--workers', '2', '--max-in-flight', '50'];
  const statistics = await runJson(['--url', server.url, ...flags]);
  t.equal(statistics.errors, 0);
  t.equal(statistics.accepted + statistics.backpressure, 500);
  t.ok(statistics.accepted > 0);
  t.ok(statistics.connectionsMax > 0 && statistics.connectionsMax === statistics.backpressure);
  t.equal(await server.stop('SIGTERM'), 0);
});
