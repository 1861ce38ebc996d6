import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { freePort, outputOf, StoreProcess } from './store-process.js';

/** What Fluent Bit calls its input and its output where it counts. */
export const FLUENT_BIT_INPUT = 'door';
export const FLUENT_BIT_OUTPUT = 'nowhere';
/** The first version whose HTTP input knows `http_server.workers`. */
const FLUENT_BIT_WORKERS_SINCE = 5;
/** How many connections may wait to be accepted; Node.js takes as many. Fluent Bit's default is 128. */
const BACKLOG = 511;

/** A store of a rival, or in words why there is none on this machine. */
export type FoundStore = StoreProcess | string;

/**
 * Redis with every command flushed before it is answered. Snapshots and rewrites of the file are off: they would
 * only slow it down.
 *
 * @param dir a folder that is not there yet
 */
export async function redis(dir: string): Promise<FoundStore> {
  const version = await outputOf('redis-server', ['--version']);
  if (version === null) return 'redis-server is not on the PATH (apt-get install redis-server)';
  mkdirSync(dir);
  const port = await freePort();
  const settings = {
    port,
    bind: '127.0.0.1',
    dir,
    appendonly: 'yes',
    appendfsync: 'always',
    'auto-aof-rewrite-percentage': 0,
    save: '',
    daemonize: 'no',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  return new StoreProcess('redis-server', args, port);
}

/**
 * A NATS server whose JetStream flushes every message before it acknowledges it.
 *
 * @param dir a folder that is not there yet
 */
export async function nats(dir: string): Promise<FoundStore> {
  if ((await outputOf('nats-server', ['--version'])) === null) {
    return 'nats-server is not on the PATH (apt-get install nats-server)';
  }
  mkdirSync(dir);
  const port = await freePort();
  const config = join(dir, 'nats.conf');
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(dir)}, sync_interval: always }\n`,
  );
  if ((await outputOf('nats-server', ['-t', '-c', config])) === null) {
    return 'this nats-server does not know sync_interval: it takes one of 2.10 or later';
  }
  return new StoreProcess('nats-server', ['-c', config], port);
}

/**
 * Fluent Bit with its HTTP input and file buffer (`storage.type filesystem`), which passes everything on to an output
 * that keeps nothing. An event is in a memory-mapped file when it is answered, with several workers in a queue in
 * memory; `storage.sync full` flushes that file to the device later, when it takes no more events.
 *
 * @param dir a folder that is not there yet
 * @param workers threads of the HTTP input
 */
export async function fluentBit(dir: string, workers: number): Promise<FoundStore> {
  const version = await outputOf('fluent-bit', ['--version']);
  if (version === null) {
    return 'fluent-bit is not on the PATH (docs.fluentbit.io; its packages put it into /opt/fluent-bit/bin)';
  }
  const isRecent = Number(/v(\d+)\./.exec(version)?.[1]) >= FLUENT_BIT_WORKERS_SINCE;
  if (workers > 1 && !isRecent) {
    return `the HTTP input of this fluent-bit has one thread: it takes version ${FLUENT_BIT_WORKERS_SINCE} or later`;
  }
  mkdirSync(dir);
  const [port, adminPort] = [await freePort(), await freePort()];
  const input = {
    name: 'http',
    alias: FLUENT_BIT_INPUT,
    listen: '127.0.0.1',
    port,
    'storage.type': 'filesystem',
    ...(isRecent && { 'net.backlog': BACKLOG }),
    ...(workers > 1 && { 'http_server.workers': workers }),
  };
  const settings = {
    service: {
      flush: 1,
      log_level: 'error',
      http_server: 'on',
      http_listen: '127.0.0.1',
      http_port: adminPort,
      'storage.path': join(dir, 'storage'),
      'storage.sync': 'full',
    },
    pipeline: {
      inputs: [input],
      outputs: [{ name: 'null', alias: FLUENT_BIT_OUTPUT, match: '*' }],
    },
  };
  const config = join(dir, 'fluent-bit.yaml');
  writeFileSync(config, JSON.stringify(settings)); // JSON is YAML, too
  return new StoreProcess('fluent-bit', ['-c', config], port, adminPort);
}
