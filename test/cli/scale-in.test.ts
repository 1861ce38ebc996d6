import { cpSync, existsSync, mkdirSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { Test } from 'tap';
import { request } from 'undici';
import { IdSink } from '../helpers/id-sink.js';
import { batchFiles } from '../helpers/left-files.js';
import { LogStreams } from '../helpers/log-streams.js';
import { NatsCluster } from '../helpers/nats-cluster.js';
import { eventText, until } from '../helpers/running-forebay.js';
import { ServerProcess } from '../helpers/server-process.js';
import { tempDir } from '../helpers/temp-dir.js';

const QUICK = ['--batch-wait', '20'];

async function started(t: Test, ...flags: readonly string[]): Promise<ServerProcess> {
  const server = await ServerProcess.start(...QUICK, ...flags);
  t.teardown(() => server.stop('SIGKILL'));
  return server;
}

async function post(server: ServerProcess, ids: readonly string[]): Promise<void> {
  for (const id of ids) {
    const headers = { 'content-type': 'application/json' };
    const answer = await request(server.url, { method: 'POST', headers, body: eventText(id), reset: true });
    await answer.body.dump();
    if (answer.statusCode !== 202) throw new Error(`${id}: ${answer.statusCode}`);
  }
}

const names = (prefix: string): string[] => Array.from({ length: 8 }, (_, n) => `${prefix}-${n}`);

/** A directory that a killed server has left, with events that were not delivered. */
async function leftBy(t: Test, sink: IdSink, ids: readonly string[], ...flags: string[]): Promise<string> {
  const dir = tempDir(t);
  sink.isDown = true;
  const server = await started(t, '--log-dir', dir, ...sink.flags, ...flags);
  await post(server, ids);
  await server.stop('SIGKILL');
  sink.isDown = false;
  return dir;
}

for (const flags of [[], ['--workers', '2']]) {
  const how = flags.length === 0 ? 'one process' : 'workers';

  void t.test(`--deliver-all delivers what waits and exits with 0 (${how})`, async (t) => {
    const [dir, sink] = [tempDir(t), await IdSink.open(t)];
    sink.isDown = true;
    const server = await started(t, '--log-dir', dir, '--deliver-all', '60s', ...sink.flags, ...flags);
    await post(server, names('a'));
    server.signal('SIGTERM');
    await server.line(/SIGTERM: stopping/);
    await until(async () => {
      const { statusCode, body } = await request(new URL('/health', server.url), { reset: true });
      await body.dump();
      return statusCode === 200;
    }, 'operators are answered meanwhile');
    sink.isDown = false;
    t.equal(await server.exited, 0);
    t.same(sink.ids, new Set(names('a')));
    t.match(server.lines.at(-1), /All is delivered: nothing is left in /);
  });

  void t.test(`--deliver-all ends in time and exits with 3 if events are left (${how})`, async (t) => {
    const [dir, sink] = [tempDir(t), await IdSink.open(t)];
    sink.isDown = true;
    const server = await started(t, '--log-dir', dir, '--deliver-all', '300', ...sink.flags, ...flags);
    await post(server, names('a'));
    t.equal(await server.stop('SIGTERM'), 3);
    const line = server.lines.at(-1) ?? '';
    t.match(line, /EVENTS_LEFT Not delivered: 8 events; left on disk: \d+ batch files? in /);
    t.ok(line.includes(dir), 'it says where');
    const again = await started(t, '--log-dir', dir, ...sink.flags, ...flags);
    sink.isDown = false;
    await until(() => sink.ids.size === 8, 'a later start delivers them');
    t.equal(await again.stop('SIGTERM'), 0, 'without the flag a stop exits with 0');
  });

  void t.test(`--adopt delivers what another server has left (${how})`, async (t) => {
    const sink = await IdSink.open(t);
    const ids = [...names('one'), ...names('workers')];
    const left = await leftBy(t, sink, names('one'));
    const ofWorkers = await leftBy(t, sink, names('workers'), '--workers', '2');
    const dir = tempDir(t);
    const adopt = ['--adopt', left, '--adopt', ofWorkers];
    const server = await started(
      t,
      '--log-dir',
      dir,
      '--deliver-all',
      '60s',
      ...adopt,
      ...sink.flags,
      ...flags,
    );
    t.same(sink.ids, new Set(ids), 'before it takes events');
    const other = new ServerProcess(['--port', '0', '--log-dir', tempDir(t), '--adopt', left, ...sink.flags]);
    t.equal(await other.exited, 1, 'it is held');
    t.match(other.stderr, `Another server uses the log directory ${left}: process ${server.pid}, started`);
    await post(server, ['new']);
    t.equal(await server.stop('SIGTERM'), 0);
    t.ok(sink.ids.has('new'));
    for (const each of [left, join(ofWorkers, 'worker-1'), join(ofWorkers, 'worker-2')])
      t.same(batchFiles(each), []);
  });
}

void t.test('an adopted directory loses nothing to kill -9', async (t) => {
  const sink = await IdSink.open(t);
  const ids = names('a');
  const left = await leftBy(t, sink, ids, '--batch-size', '1');
  const dir = tempDir(t);
  const files = batchFiles(left);
  t.ok(files.length > 0);
  sink.isDown = true;
  for (let round = 0; round < 2; round++) {
    const server = await started(t, '--log-dir', dir, '--adopt', left, '--replay-wait', '0', ...sink.flags);
    await server.stop('SIGKILL');
    t.same(batchFiles(left), files);
  }
  sink.isDown = false;
  const server = await started(t, '--log-dir', dir, '--adopt', left, ...sink.flags);
  t.same(sink.ids, new Set(ids));
  t.equal(await server.stop('SIGTERM'), 0);
});

void t.test('ids of an adopted directory outlive its batches', async (t) => {
  const sink = await IdSink.open(t);
  const window = ['--id-window', '1h'];
  const left = await leftBy(t, sink, names('a'), ...window);
  const server = await started(t, '--log-dir', tempDir(t), '--adopt', left, ...window, ...sink.flags);
  t.equal(await server.stop('SIGTERM'), 0);
  t.same(batchFiles(left), []);
  t.ok(
    readdirSync(join(left, 'id-window')).some((name) => name.startsWith('ids_')),
    'they are kept where they were',
  );
  const again = await started(t, '--log-dir', left, ...window, ...sink.flags);
  const headers = { 'content-type': 'application/json' };
  const { body } = await request(again.url, { method: 'POST', headers, body: eventText('a-0') });
  t.match(await body.json(), { duplicate: true });
});

void t.test('dead letters that are left count as left', async (t) => {
  const [dir, sink] = [tempDir(t), await IdSink.open(t)];
  sink.isDown = true;
  const flags = ['--sink-refuses', '503', '--deliver-all', '60s', ...sink.flags];
  const server = await started(t, '--log-dir', dir, ...flags);
  await post(server, names('a'));
  t.equal(await server.stop('SIGTERM'), 3);
  t.match(
    server.lines.at(-1),
    /EVENTS_LEFT Not delivered: 0 events; left on disk: \d files? of dead letters in /,
  );
});

void t.test('a directory that cannot be adopted stops the start, and is not touched', async (t) => {
  const dir = tempDir(t);
  const log = join(dir, 'log');
  mkdirSync(log);
  const empty = tempDir(t);
  const sink = await IdSink.open(t);
  const left = await leftBy(t, sink, names('a'));
  for (const [adopt, words] of [
    [[join(dir, 'none')], /--adopt: .*none cannot be read: ENOENT/],
    [[empty], /--adopt: .* is no log directory: it holds neither forebay.lock nor a batch/],
    [[log], /--adopt: .* is .* itself, or one is in the other/],
    [[dir], /--adopt: .* is/],
    [[left, left], /--adopt: .* is named twice/],
  ] as const) {
    const flags = adopt.flatMap((each) => ['--adopt', each]);
    if (adopt[0] === dir) cpSync(left, dir, { recursive: true });
    const server = new ServerProcess(['--port', '0', '--log-dir', log, ...flags, ...sink.flags]);
    t.equal(await server.exited, 78);
    t.match(server.stderr, words);
  }
  t.same(readdirSync(empty), []);
  t.notOk(existsSync(join(dir, 'none')));
});

void t.test(
  '--deliver-all with a stream: what waits is left to others, but for what was adopted',
  { skip: NatsCluster.missing() },
  async (t) => {
    const streams = await LogStreams.at(t, await NatsCluster.start(t));
    const sink = await IdSink.open(t);
    const ofStream = [...streams.flags, '--log-replicas', '1', ...sink.flags];
    const left = await leftBy(t, sink, names('left'));
    sink.isDown = true;
    const one = await started(t, '--deliver-all', '10min', '--shutdown-timeout', '10min', ...ofStream);
    await post(one, names('a'));
    t.equal(await one.stop('SIGTERM'), 0);
    t.match(one.lines.at(-2), /Stopped; 8 events wait in the stream$/);
    t.match(one.lines.at(-1), /Nothing is left on this instance: others deliver what waits in the stream$/);
    const adopt = ['--adopt', left, '--replay-wait', '0', '--deliver-all'];
    const two = await started(t, ...adopt, '300', ...ofStream);
    t.equal(await two.stop('SIGTERM'), 3);
    t.match(two.lines.at(-1), /EVENTS_LEFT Not delivered: 8 events; left on disk: \d+ batch files? in /);
    t.same(sink.ids, new Set());
    sink.isDown = false;
    const three = await started(t, ...adopt, '60s', ...ofStream);
    await until(() => sink.ids.size === 16, 'all is delivered');
    t.equal(await three.stop('SIGTERM'), 0);
    t.match(three.lines.at(-1), /All is delivered: nothing is left in /);
  },
);
