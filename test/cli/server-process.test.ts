import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import { connect, createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import t from 'tap';
import { request } from 'undici';
import { IdSink } from '../helpers/id-sink.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';
import { NO_TERMINAL } from '../helpers/terminal.js';

const post = async (server: ServerProcess, id: string): Promise<number> => {
  const { statusCode, body } = await request(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ id, type: 't', data: null }),
  });
  await body.dump();
  return statusCode;
};
const { version } = JSON.parse(readFileSync('package.json', 'utf8')) as { version: string };
const batchFiles = (dir: string): string[] => readdirSync(dir).filter((name) => name.startsWith('batch_'));
/** Without the clock in front. */
const texts = (server: ServerProcess): string[] => server.lines.map((line) => line.slice(13));

/** What the slowness of a machine can make a matter of chance is tried again, at most this many times. */
const ROUNDS_MAX = 20;

t.jobs = 3; // each test has a server of its own, and some only wait

void t.test('a run tells what it does, in the words its users know', async (t) => {
  const dir = tempDir(t);
  const server = await ServerProcess.start('--log-dir', dir, '--batch-wait', '10', '--sink-latency', '0');
  t.same(texts(server), [
    `Forebay ${version}, Node.js ${process.versions.node}, sink simulated, fsync always`,
    'WARN SINK_SIMULATED The simulated sink keeps nothing: events are gone once it has them (--sink file keeps them)',
    `AppendLog initialized: ${dir}`,
    'Replaying pending batches...',
    'No pending batches to replay',
    `IngestionServer started on port ${server.port}`,
  ]);
  t.equal(await post(server, 'a'), 202);
  await server.line(/Deleted batch file/);
  const name = /batch_\d{8}_\d{6}_1.jsonl/.exec(server.lines.join())?.[0] ?? '';
  t.same(texts(server).slice(6), [
    `Wrote batch to: ${name} (1 events)`,
    'SinkAPI: Successfully sent batch (1 events)',
    `Deleted batch file: ${name}`,
  ]);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('after kill -9 a restart replays what was left before it listens', async (t) => {
  const dir = tempDir(t);
  const log = join(dir, 'log');
  const sinkFile = join(dir, 'sink.jsonl');
  const slow = ['--log-dir', log, '--sink-latency', '600000', '--batch-size', '2', '--batch-wait', '600000'];
  const first = await ServerProcess.start(...slow);
  for (const id of ['a', 'b', 'c', 'd', 'e']) t.equal(await post(first, id), 202);
  t.equal(await first.stop('SIGKILL'), null);
  t.equal(batchFiles(log).length, 3);
  const second = await ServerProcess.start('--log-dir', log, '--sink', 'file', '--sink-file', sinkFile);
  const said = texts(second);
  t.ok(said.includes('Found 3 pending batches'));
  t.same(said.slice(-2), ['Replay complete', `IngestionServer started on port ${second.port}`]);
  const ids = readFileSync(sinkFile, 'utf8')
    .trim()
    .split('\n')
    .map((line) => (JSON.parse(line) as { id: string }).id);
  t.same(ids, ['a', 'b', 'c', 'd', 'e']);
  t.equal(await second.stop('SIGTERM'), 0);
});

void t.test('SIGTERM and SIGINT leave what is undelivered on disk and exit with 0', async (t) => {
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const dir = tempDir(t);
    const server = await ServerProcess.start(
      '--log-dir',
      dir,
      '--sink-failure-rate',
      '1',
      '--sink-latency',
      '0',
    );
    t.equal(await post(server, 'a'), 202);
    t.equal(await server.stop(signal), 0, signal);
    t.equal(batchFiles(dir).length, 1);
    t.match(server.lines.at(-1), /Stopped; 1 event waits on disk/);
  }
});

void t.test('a stop does not wait for a sink longer than the shutdown timeout', async (t) => {
  const held = ['--sink-latency', '600000', '--batch-size', '1', '--shutdown-timeout', '3000'];
  for (let left = ROUNDS_MAX; left > 0; left--) {
    const server = await ServerProcess.start('--log-dir', tempDir(t), ...held);
    t.equal(await post(server, 'a'), 202);
    const code = await server.stop('SIGTERM');
    if (server.wasLate && left > 1) continue;
    t.equal(code, 0);
    break;
  }
});

void t.test('while it stops, the server says so to probes and to clients', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  sink.hold();
  const flags = ['--log-dir', dir, '--batch-size', '1', '--shutdown-timeout', '10min', ...sink.flags];
  const server = await ServerProcess.start(...flags);
  t.equal(await post(server, 'a'), 202);
  const get = async (path: string): Promise<Record<string, unknown>> => {
    const { statusCode, headers, body } = await request(new URL(path, server.url));
    return { statusCode, headers, ...((await body.json()) as object) };
  };
  t.match(await get('/ready'), { statusCode: 200, status: 'ready' });
  server.signal('SIGTERM');
  await server.line(/SIGTERM: stopping/);
  const stops = async (): Promise<boolean> => (await get('/ready'))['code'] === 'NOT_RUNNING';
  await until(stops, 'what was sent before is answered');
  const closing = { 'retry-after': '1', connection: 'close' };
  t.match(await get('/ready'), {
    statusCode: 503,
    headers: closing,
    status: 'not ready',
    code: 'NOT_RUNNING',
    reason: 'The server stops',
  });
  t.match(await get('/health'), { statusCode: 200, status: 'draining', events: { accepted: 1, pending: 1 } });
  const { statusCode: ofMetrics, body: metrics } = await request(new URL('/metrics', server.url));
  t.equal(ofMetrics, 200);
  t.match(await metrics.text(), 'forebay_refusing{code="NOT_RUNNING"} 1');
  const { statusCode, headers, body } = await request(server.url, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: 'x'.repeat(100_000),
  });
  t.match({ statusCode, headers }, { statusCode: 503, headers: closing });
  t.match(await body.json(), { error: 'The server stops', code: 'NOT_RUNNING' });
  sink.isDown = true;
  sink.release();
  t.equal(await server.exited, 0);
  t.equal(batchFiles(dir).length, 1);
  t.match(server.lines.at(-1), /Stopped; 1 event waits on disk/);
});

void t.test('a stop during replay exits with 0, without having taken an event', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), '{"id":"a","type":"t","data":1,"timestamp":1}\n');
  sink.hold();
  const flags = ['--port', '0', '--log-dir', dir, '--discard-backlog', '--shutdown-timeout', '10min'];
  const server = new ServerProcess([...flags, ...sink.flags]);
  await server.line(/Replaying batch/);
  server.signal('SIGTERM');
  await server.line(/SIGTERM: stopping/);
  sink.isDown = true;
  sink.release();
  t.equal(await server.exited, 0);
  t.equal(batchFiles(dir).length, 1);
  t.notOk(server.lines.some((line) => line.includes('IngestionServer started')));
});

void t.test('SIGHUP opens the file of the sink again, and ends nothing', async (t) => {
  const dir = tempDir(t);
  const path = join(dir, 'delivered.jsonl');
  const [log, sink] = [
    ['--log-dir', join(dir, 'log'), '--batch-wait', '10'],
    ['--sink', 'file', '--sink-file', path],
  ];
  const server = await ServerProcess.start(...log, ...sink);
  const delivered = async (id: string, times: number): Promise<void> => {
    t.equal(await post(server, id), 202);
    await until(
      () => server.lines.filter((line) => line.includes('Deleted batch file')).length === times,
      `${id} is delivered`,
    );
  };
  const hangUps = (): number => server.lines.filter((line) => line.includes('SIGHUP')).length;
  await delivered('a', 1);
  server.signal('SIGHUP');
  await until(() => hangUps() === 1, 'it is told');
  await delivered('b', 2);
  renameSync(path, `${path}.1`);
  server.signal('SIGHUP');
  await until(() => hangUps() === 2, 'and again');
  await delivered('c', 3);
  const idsIn = (file: string): string[] =>
    [...readFileSync(file, 'utf8').matchAll(/"id":"(\w)"/g)].map(([, id = '']) => id);
  t.same([idsIn(`${path}.1`), idsIn(path)], [['a', 'b'], ['c']]);
  t.match(
    texts(server).filter((line) => line.includes('SIGHUP')),
    [
      'SIGHUP: files of the sink are opened and read again',
      'SIGHUP: files of the sink are opened and read again',
    ],
  );
  rmSync(path);
  mkdirSync(path);
  server.signal('SIGHUP');
  t.match(await server.line(/WARN SINK_FILE_FAILED/), /SIGHUP: .*delivered\.jsonl.*directory/);
  rmSync(path, { recursive: true });
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('SIGHUP has a sink asked at once that was left alone', async (t) => {
  let [asked, status] = [0, 401];
  const sink = createHttpServer((req, res) => {
    req.resume().on('end', () => {
      asked++;
      res.writeHead(status).end();
    });
  });
  await new Promise<void>((listening) => {
    sink.listen(0, '127.0.0.1', listening);
  });
  t.teardown(() => sink.close());
  const url = `http://127.0.0.1:${(sink.address() as AddressInfo).port}/`;
  const server = await ServerProcess.start('--log-dir', tempDir(t), '--sink', 'http', '--sink-url', url);
  t.teardown(() => server.stop('SIGKILL'));
  t.equal(await post(server, 'a'), 202);
  await until(() => asked === 1, 'it was asked');
  // by itself it would be asked after half a second at first, and after 30 s at least after the seventh attempt
  for (let times = 1; times < 9; times++) {
    await server.line(new RegExp(`attempt ${times}: .*next attempt in`));
    if (times === 8) status = 200;
    server.signal('SIGHUP');
    await until(() => asked > times, 'it is asked', times < 7 ? 60_000 : 25_000);
  }
  await server.line(/Successfully sent/);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('SIGHUP ends no server whose sink has nothing to open', async (t) => {
  const server = await ServerProcess.start('--log-dir', tempDir(t));
  server.signal('SIGHUP');
  await server.line(/SIGHUP/);
  t.equal(await post(server, 'a'), 202);
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a second signal exits at once, with nothing lost', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'batch_20250101_000000_1.jsonl'), '{"id":"a","type":"t","data":1,"timestamp":1}\n');
  const held = ['--sink-latency', '600000', '--discard-backlog', '--shutdown-timeout', '10min'];
  const server = new ServerProcess(['--port', '0', '--log-dir', dir, ...held]);
  await server.line(/Replaying batch/); // an attempt runs, and the first signal waits for it
  server.signal('SIGTERM');
  await server.line(/SIGTERM: stopping/);
  await sleep(600); // one that comes at once is the same
  t.equal(await server.stop('SIGTERM'), null, 'by SIGKILL: a disk that hangs cannot hold it');
  t.match(server.lines.at(-1), /SIGTERM again: exiting at once/);
  t.equal(batchFiles(dir).length, 1);
});

void t.test('a signal that comes on two ways is one, as with Ctrl-C under npm', async (t) => {
  const server = await ServerProcess.start('--log-dir', tempDir(t));
  // while it does not run both wait, so it gets them in one turn, however slow the machine is
  server.signal('SIGSTOP');
  server.signal('SIGINT');
  server.signal('SIGTERM');
  server.signal('SIGCONT');
  t.equal(await server.exited, 0);
  t.equal(server.lines.filter((line) => line.includes(': stopping')).length, 1);
  t.notOk(server.lines.some((line) => line.includes('again')));
});

void t.test('a start that cannot be says why in one line and exits with 1', async (t) => {
  const dir = tempDir(t);
  writeFileSync(join(dir, 'file'), '');
  mkdirSync(join(dir, 'folder'));
  const busy = createServer().listen(0, '127.0.0.1');
  await once(busy, 'listening');
  t.teardown(() => busy.close());
  const { port } = busy.address() as AddressInfo;
  const owner = await ServerProcess.start('--log-dir', join(dir, 'taken'));
  t.teardown(() => owner.stop('SIGKILL'));
  const cases: [string[], RegExp][] = [
    [
      ['--port', '0', '--log-dir', join(dir, 'file')],
      /^forebay-server: The log directory .*file cannot be used: .*\n$/,
    ],
    [
      ['--port', '0', '--log-dir', join(dir, 'taken')],
      /^forebay-server: Another server uses the log directory .*: process \d+, .*\n$/,
    ],
    [
      ['--log-dir', join(dir, 'log'), '--port', String(port)],
      /^forebay-server: Cannot listen on 127.0.0.1, port \d+: it is in use\n$/,
    ],
    [
      ['--log-dir', join(dir, 'log'), '--host', '203.0.113.1'],
      /^forebay-server: Cannot listen on 203.0.113.1, port 8081: .*\n$/,
    ],
    [
      ['--sink', 'file', '--sink-file', join(dir, 'folder')],
      /^forebay-server: The sink file .*folder cannot be used: .*\n$/,
    ],
  ];
  for (const [flags, message] of cases) {
    const server = new ServerProcess(flags);
    t.equal(await server.exited, 1, flags.join(' '));
    t.match(server.stderr, message);
  }
});

void t.test('a wrong setting is named in one line, and exits with 78: no unit starts it again', async (t) => {
  const cases: [string[], Record<string, string>, RegExp][] = [
    [['--batchsize', '1'], {}, /^forebay-server: Unknown flag --batchsize: did you mean --batch-size\?\n$/],
    [['--sink', 'file'], {}, /^forebay-server: --sink file needs --sink-file PATH\n$/],
    [
      [],
      { FOREBAY_SINK_GZIP: 'yes' },
      /^forebay-server: FOREBAY_SINK_GZIP must be true or false, not "yes"\n$/,
    ],
  ];
  for (const [flags, environment, message] of cases) {
    const server = new ServerProcess(flags, environment);
    t.equal(await server.exited, 78, flags.join(' '));
    t.match(server.stderr, message);
  }
  t.match(readFileSync('docs/forebay.service', 'utf8'), /^RestartPreventExitStatus=78$/m);
});

void t.test('--help and --version print and exit with 0', async (t) => {
  const help = new ServerProcess(['--help']);
  t.equal(await help.exited, 0);
  t.match(help.lines.join('\n'), /--queue-size EVENTS .*\(10000\)/);
  const told = new ServerProcess(['--version']);
  t.equal(await told.exited, 0);
  t.same(told.lines, [version]);
});

void t.test('settings come from environment variables, log lines as JSON for machines', async (t) => {
  const server = new ServerProcess(['--log-format', 'json'], {
    FOREBAY_PORT: '0',
    FOREBAY_LOG_DIR: tempDir(t),
    FOREBAY_LOG_LEVEL: 'info',
  });
  const line = await server.line(/IngestionServer started/);
  t.match(JSON.parse(line), {
    level: 'info',
    time: Number,
    msg: /^IngestionServer started on port \d+$/,
    port: Number,
  });
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a terminal that is stopped stops no event', { skip: NO_TERMINAL }, async (t) => {
  // two lines a batch with this path fill what lies between a terminal and its reader, some 100 kB, in a second
  const dir = join(tempDir(t), ...Array.from({ length: 12 }, () => 'x'.repeat(200)));
  const flags = ['--port', '0', '--log-dir', dir, '--batch-size', '1', '--sink-latency', '0'];
  const pidFile = join(tempDir(t), 'pid');
  const server = [process.execPath, join(process.cwd(), 'bin/server.js'), ...flags].join(' ');
  const command = `echo $$ > ${pidFile}; exec ${server}`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] });
  t.teardown(() => {
    child.kill('SIGKILL');
    process.kill(Number(readFileSync(pidFile, 'utf8')), 'SIGKILL'); // the end of its terminal does not end it
  });
  let said = '';
  const onData = (text: Buffer): void => void (said += text.toString());
  child.stdout.on('data', onData);
  await until(() => said.includes('started on port'), 'it listens');
  const port = Number(/started on port (\d+)/.exec(said)?.[1]);
  child.stdout.off('data', onData).pause();
  const url = `http://127.0.0.1:${port}/events`;
  const postTo = async (id: string): Promise<number> => {
    const { statusCode, body } = await request(url, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: eventText(id),
      headersTimeout: 60_000,
    });
    await body.dump();
    return statusCode;
  };
  for (const endMs = performance.now() + 3000; performance.now() < endMs; await sleep(100)) {
    // a few lines of a kind are written in a second, however many batches there are
    const answers = await Promise.all(Array.from({ length: 30 }, async () => postTo('a')));
    if (answers.some((status) => status !== 202)) t.fail('an event is not taken');
  }
  child.stdout.on('data', onData).resume();
  await until(() => /more batches in a second/.test(said), 'its reader is back');
  t.equal(await postTo('b'), 202);
});

void t.test('connections that are refused for their number are told', async (t) => {
  const server = await ServerProcess.start('--log-dir', tempDir(t), '--connections-max', '1');
  const sockets = [1, 2, 3].map(() => connect(server.port, '127.0.0.1').on('error', () => undefined));
  for (const socket of sockets) socket.write('POST /events HTTP/1.1\r\n');
  const told = (): number =>
    server.lines.reduce(
      (sum, line) =>
        sum +
        Number(
          /WARN CONNECTIONS_MAX 1 connections are open \(--connections-max 1, --connections-per-peer 1500\): (\d+) more were answered 429$/.exec(
            line,
          )?.[1] ?? 0,
        ),
      0,
    );
  await until(() => told() === 2, 'both are told, in one line or two');
  for (const socket of sockets) socket.destroy();
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('a flood of batches does not flood the log', async (t) => {
  const server = await ServerProcess.start(
    '--log-dir',
    tempDir(t),
    '--batch-size',
    '1',
    '--sink-latency',
    '0',
    '--sink-concurrency',
    '8',
    '--file-events',
    '1',
    '--fsync',
    'never', // that would take long on a slow disk, and each second has its lines
  );
  await Promise.all(Array.from({ length: 200 }, (_each, n) => post(server, `e${n}`)));
  await server.line(/Wrote batch to: \d+ more batches in a second \(\d+ events\)/);
  t.equal(await server.stop('SIGTERM'), 0);
  const wrote = server.lines.filter((line) => line.includes('Wrote batch to'));
  t.ok(wrote.length < 150, `${wrote.length} lines for 200 batches`);
  let events = 0;
  for (const line of wrote) events += Number(/\((\d+) events\)/.exec(line)?.[1]);
  t.equal(events, 200, 'and every batch is counted');
});
