import { once } from 'node:events';
import { writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { StoreCompression } from '@nats-io/jetstream';
import t from 'tap';
import type { Test } from 'tap';
import { Reporter, silentLogger } from '../../../lib/base/reporter.js';
import { Connection } from '../../../lib/logs/jetstream/connection.js';
import { Puller } from '../../../lib/logs/jetstream/puller.js';
import { StreamLog } from '../../../lib/logs/jetstream/stream-log.js';
import { openStreams } from '../../../lib/logs/jetstream/stream-setup.js';
import { LOG_SETTINGS } from '../../../lib/settings/log-settings.js';
import { fromObject } from '../../../lib/settings/option-table.js';
import { Authority, noOpenssl, PairFiles } from '../../helpers/certificates.js';
import { LogStreams } from '../../helpers/log-streams.js';
import { NatsCluster } from '../../helpers/nats-cluster.js';
import { ServerProcess } from '../../helpers/server-process.js';
import { tempDir } from '../../helpers/temp-dir.js';
import { until } from '../../helpers/wait-for.js';

const skip = NatsCluster.missing();
const starting = skip === false ? NatsCluster.start(t) : null;

async function streamsOf(t: Test): Promise<LogStreams> {
  if (starting === null) throw new Error(String(skip));
  return LogStreams.at(t, await starting);
}

/** A server with the settings of a log that has one copy. */
function server(t: Test, flags: readonly string[]): ServerProcess {
  const bounds = ['--backlog-max', '64MiB', '--dead-letters-max', '1MiB'];
  const replicas = flags.includes('--log-replicas') ? [] : ['--log-replicas', '1'];
  const started = new ServerProcess(['--port', '0', '--sink', 'simulated', ...bounds, ...replicas, ...flags]);
  t.teardown(async () => started.stop('SIGKILL'));
  return started;
}

for (const [what, config, said] of [
  ['that drops the oldest', { discard: 'old' }, 'has discard old, which can lose events: it must be new'],
  ['with a bound of age', { max_age: 3_600_000_000_000 }, 'has a bound of age or number: it drops events'],
  ['with a bound of number', { max_msgs: 1000 }, 'has a bound of age or number: it drops events'],
  ['in memory', { storage: 'memory' }, 'has storage memory, which can lose events: it must be file'],
  ['that keeps what is confirmed', { retention: 'limits' }, 'it must be workqueue'],
] as const) {
  void t.test(`a stream ${what} stops a start, with one line`, { skip }, async (t) => {
    const streams = await streamsOf(t);
    const { names, jsm, flags } = streams;
    const right = { retention: 'workqueue', storage: 'file', discard: 'new' } as const;
    await jsm.streams.add({ name: names.events, subjects: [`${names.events}.>`], ...right, ...config });
    const refused = server(t, flags);
    t.equal(await refused.exited, 1);
    t.match(refused.stderr, /^forebay-server: [^\n]+\n$/);
    t.match(refused.stderr, `The stream ${names.events} `);
    t.match(refused.stderr, said);
  });
}

void t.test('more replicas than servers stop a start, with one line', { skip }, async (t) => {
  const { flags } = await streamsOf(t);
  const alone = server(t, [...flags, '--log-replicas', '3']);
  t.equal(await alone.exited, 1);
  t.match(alone.stderr, /^forebay-server: 3 servers .* are needed \(--log-replicas\)[^\n]*\n$/);
  const { names, jsm } = await LogStreams.at(t, await NatsCluster.start(t, { servers: 3 }));
  const bounds = { replicas: 5, backlogBytesMax: 2 ** 20, deadLettersBytesMax: 2 ** 20, payloadMax: 2 ** 20 };
  const all = { ...bounds, ackTimeoutMs: 10_000, inOrder: false, idsMax: 0 };
  // servers that start find each other
  const said: string[] = [];
  const logger = { ...silentLogger, warn: (_fields: object, text: string) => said.push(text) };
  const opening = openStreams(jsm, names, all, new Reporter(logger), new AbortController().signal, 1000);
  await t.rejects(opening, { code: 'LOG_UNUSABLE', message: /^5 servers .*\(--log-replicas\)[^\n]*$/ });
  t.match(said, [/^The NATS servers are not ready: .*; waiting for them$/], 'once');
  t.equal(said.length, 1);
});

void t.test('a start says once what waits in the stream, and replays nothing', { skip }, async (t) => {
  const { flags } = await streamsOf(t);
  const first = server(t, flags);
  const { url } = await first.listening();
  first.signal('SIGUSR2');
  await first.line(/DELIVERY_PAUSED/);
  const headers = { 'content-type': 'application/json' };
  const body = '{"id":"a","type":"t","data":1}';
  t.equal((await fetch(url, { method: 'POST', headers, body })).status, 202);
  t.equal(await first.stop('SIGTERM'), 0);
  const second = server(t, flags);
  await second.listening();
  const said = second.lines.filter((line) => /pending|[Rr]eplay| waits? in /.test(line));
  t.match(said, [/1 event in 1 message waits in the stream \S+; all instances deliver what waits$/]);
  t.equal(said.length, 1);
});

void t.test('streams are not compressed, and those of earlier builds no longer', { skip }, async (t) => {
  const { names, jsm, flags } = await streamsOf(t);
  const all = [names.events, names.letters, names.quarantine];
  for (const start of ['first', 'second']) {
    const one = server(t, flags);
    await one.listening();
    t.equal(await one.stop('SIGTERM'), 0);
    for (const name of all) {
      t.match(await jsm.streams.info(name), { config: { compression: 'none' } }, `${name} at the ${start}`);
      await jsm.streams.update(name, { compression: StoreCompression.S2 });
    }
  }
});

void t.test('a server waits for NATS servers, says so once, and can be stopped', { skip }, async (t) => {
  let attempts = 0;
  const nobody = createServer((socket) => {
    attempts++;
    socket.destroy();
  }).listen(0, '127.0.0.1');
  t.teardown(() => nobody.close());
  await once(nobody, 'listening');
  const { port } = nobody.address() as AddressInfo;
  const waiting = server(t, ['--log', 'jetstream', '--log-url', `nats://127.0.0.1:${port}`]);
  await waiting.line(/No NATS server takes the connection: .*; trying again/);
  await until(() => attempts >= 3, 'it tries again and again');
  t.equal(await waiting.stop('SIGTERM'), 0);
  t.equal(waiting.lines.filter((line) => /No NATS server/.test(line)).length, 1);
  t.notMatch(waiting.lines.join('\n'), /Not stopped within/);
  t.equal(waiting.stderr, '');
});

void t.test('a certificate without its key is a wrong setting', async (t) => {
  for (const flag of ['--log-tls-cert', '--log-tls-key']) {
    const refused = server(t, ['--log', 'jetstream', flag, 'file.pem']);
    t.equal(await refused.exited, 78);
    t.match(refused.stderr, /^forebay-server: [^\n]*--log-tls-cert and --log-tls-key go together[^\n]*\n$/);
  }
});

/** Whether a server with these URLs and flags takes an event; if not, what it says. */
async function taken(t: Test, logUrl: string, ...flags: readonly string[]): Promise<string> {
  const own = server(t, ['--log', 'jetstream', '--log-url', logUrl, ...flags]);
  const line = await own.line(/IngestionServer started on port|No NATS server/);
  if (!/started/.test(line)) return line;
  const { url } = await own.listening();
  const headers = { 'content-type': 'application/json' };
  const body = '{"id":"a","type":"t","data":1}';
  const { status } = await fetch(url, { method: 'POST', headers, body });
  return String(status);
}

void t.test('user and password, or a token, come with the URL', { skip }, async (t) => {
  const users = 'authorization { user: "o\'hara", password: "p@ss:w/rd" }';
  const withUser = await NatsCluster.start(t, { configuration: users });
  const plain = await withUser.urls();
  const named = plain.replace('//', `//o'hara:${encodeURIComponent('p@ss:w/rd')}@`);
  t.equal(await taken(t, named), '202');
  t.match(await taken(t, plain), /No NATS server takes the connection: .*[Aa]uthorization/);
  const wrong = await taken(t, plain.replace('//', "//o'hara:secret@"));
  t.match(wrong, /[Aa]uthorization/);
  t.notMatch(wrong, 'secret');
  const withToken = await NatsCluster.start(t, { configuration: 'authorization { token: "t0ken" }' });
  const urls = await withToken.urls();
  t.equal(await taken(t, urls.replace('//', '//t0ken@')), '202');
  t.match(await taken(t, urls), /[Aa]uthorization/);
});

void t.test('TLS, with a certificate for each side', { skip: skip || noOpenssl }, async (t) => {
  const authority = new Authority(t);
  const ca = join(tempDir(t), 'ca.pem');
  writeFileSync(ca, authority.cert);
  const own = new PairFiles(t, authority.issue());
  const { tlsCert, tlsKey } = new PairFiles(t, authority.issue('client')).settings;
  const files = `cert_file: "${own.settings.tlsCert}", key_file: "${own.settings.tlsKey}", ca_file: "${ca}"`;
  const cluster = await NatsCluster.start(t, { configuration: `tls { ${files}, verify: true }` });
  const url = (await cluster.urls()).replace('nats:', 'tls:');
  const client = ['--log-tls-cert', tlsCert, '--log-tls-key', tlsKey];
  t.equal(await taken(t, url, '--log-tls-ca', ca, ...client), '202');
  t.match(await taken(t, url, ...client), /No NATS server takes the connection/, 'an unknown authority');
  t.match(await taken(t, url, '--log-tls-ca', ca), /No NATS server takes the connection/, 'no certificate');
});

/** What the newest message of the events starts with, after some were sent. */
async function startOfMessage({ jsm, names }: LogStreams, server: ServerProcess): Promise<string> {
  const { url } = await server.listening();
  const headers = { 'content-type': 'application/x-ndjson' };
  const body = Array.from({ length: 100 }, (_each, n) => `{"id":"${n}","type":"t","data":1}\n`).join('');
  if ((await fetch(url, { method: 'POST', headers, body })).status !== 202) throw new Error('it is refused');
  const { last_seq: seq } = (await jsm.streams.info(names.events)).state;
  const { data } = (await jsm.streams.getMessage(names.events, { seq })) ?? {};
  return Buffer.from(data ?? [])
    .subarray(0, 2)
    .toString('latin1');
}

const PAUSED = ['--sink-failure-rate', '1', '--shutdown-timeout', '1000'];
const GZIP = '\x1f\x8b';

void t.test('messages are compressed, unless an earlier build may share the stream', { skip }, async (t) => {
  const streams = await streamsOf(t);
  const { names, jsm, flags } = streams;
  const consumers = async (): Promise<string[]> =>
    (await jsm.consumers.list(names.events).next()).map(({ name }) => name);
  const first = server(t, [...flags, ...PAUSED]);
  t.equal(await startOfMessage(streams, first), GZIP);
  t.equal(await first.stop('SIGTERM'), 0);
  const [own = ''] = await consumers();
  const { config, stream_name } = await jsm.consumers.info(names.events, own);
  const earlier = own.replace('-gzip', '');
  // an earlier build, which could not read what rests here, does not get its consumer
  const asked = jsm.consumers.add(stream_name, { ...config, name: earlier, durable_name: earlier });
  await t.rejects(asked, /not unique/);
  // the stream as an earlier build has left it
  await jsm.consumers.delete(names.events, own);
  await jsm.consumers.add(stream_name, { ...config, name: earlier, durable_name: earlier });
  const second = server(t, [...flags, ...PAUSED]);
  t.equal(await startOfMessage(streams, second), '{"');
  t.same(await consumers(), [earlier]);
  const said = second.lines.filter((line) => line.includes('Messages are not compressed'));
  t.match(said, [new RegExp(`may share the stream ${names.events}: .* remove the consumer ${earlier}, `)]);
  t.equal(said.length, 1);
  t.equal(await second.stop('SIGTERM'), 0);
  // as it says
  await jsm.consumers.delete(names.events, earlier);
  const third = server(t, flags);
  t.equal(await startOfMessage(streams, third), GZIP);
  await until(
    async () => (await streams.messagesOf(names.events)) === 0,
    'what was stored in either way is delivered',
  );
  t.equal(await third.stop('SIGTERM'), 0);
  t.same(await consumers(), [own]);
});

void t.test('--log-compress off leaves messages as they are', { skip }, async (t) => {
  const streams = await streamsOf(t);
  const one = server(t, [...streams.flags, ...PAUSED, '--log-compress', 'off']);
  t.equal(await startOfMessage(streams, one), '{"');
});

void t.test('a consumer that is removed during a start ends it, with a reason', { skip }, async (t) => {
  if (starting === null) throw new Error(String(skip));
  const { names, jsm, url: logUrl } = await LogStreams.made(t, await starting);
  await jsm.consumers.delete(names.events, names.consumer);
  const reporter = new Reporter();
  const stopping = new AbortController();
  const connection = await Connection.open(fromObject(LOG_SETTINGS, { logUrl }), reporter, stopping.signal);
  const log = new StreamLog({
    connection,
    jsm,
    puller: new Puller(connection, names.events, names.consumer, null),
    names,
    streamId: 'a',
    ids: null,
    bounds: { batchSize: 100, batchBytes: 100_000, batchWaitMs: 10 },
    backlogBytesMax: 2 ** 26,
    deadLettersBytesMax: 2 ** 20,
    ackTimeoutMs: 10_000,
    inOrder: false,
    compresses: true,
    reporter,
  });
  t.teardown(async () => log.close());
  // without it, the start would wait until it is stopped
  const patience = setTimeout(() => {
    stopping.abort();
  }, 30_000);
  await t.rejects(log.open(stopping.signal), {
    code: 'LOG_UNUSABLE',
    message: /consumer is gone .*start again/,
  });
  clearTimeout(patience);
});
