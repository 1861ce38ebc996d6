import { execFile } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { freePort, StoreProcess } from './store-process.js';

const execute = promisify(execFile);

/** A store of a rival, or in words why there is none on this machine. */
export type FoundStore = StoreProcess | string;

/**
 * Redis with every command flushed before it is answered. Snapshots and rewrites of the file are off: they would
 * only slow it down.
 *
 * @param dir a folder that is not there yet
 */
export async function redis(dir: string): Promise<FoundStore> {
  const version = await output('redis-server', ['--version']);
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
  if ((await output('nats-server', ['--version'])) === null) {
    return 'nats-server is not on the PATH (apt-get install nats-server)';
  }
  mkdirSync(dir);
  const port = await freePort();
  const config = join(dir, 'nats.conf');
  writeFileSync(
    config,
    `listen: "127.0.0.1:${port}"\njetstream { store_dir: ${JSON.stringify(dir)}, sync_interval: always }\n`,
  );
  if ((await output('nats-server', ['-t', '-c', config])) === null) {
    return 'this nats-server does not know sync_interval: it takes one of 2.10 or later';
  }
  return new StoreProcess('nats-server', ['-c', config], port);
}

/** `null` where the program is missing or fails. */
async function output(program: string, args: readonly string[]): Promise<string | null> {
  try {
    return (await execute(program, args)).stdout;
  } catch {
    return null;
  }
}
