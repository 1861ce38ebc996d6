import { mkdirSync, writeFileSync } from 'node:fs';
import { setTimeout as delay } from 'node:timers/promises';
import { join } from 'node:path';
import { BULK_QUEUE_SIZE, bulkBody, bulkLoad } from './bulk-load.js';
import { asItIs, contest, contestRows, rateRatios, withCosts } from './contest.js';
import type { Contestant } from './contest.js';
import { spread } from './numbers.js';
import { ROOT } from './paths.js';
import { KNOWS_TIME } from './process-time.js';
import { requirement } from './requirement.js';
import { bareServer, forebay } from './server-under-test.js';
import type { Flags, ServerCommand, Target } from './server-under-test.js';
import { freePort, outputOf, StoreProcess } from './store-process.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, singleEvents } from './wrk.js';
import type { Load } from './wrk.js';

const CONNECTIONS: readonly number[] = [1, 64, 256];
const BULK_EVENTS = 1000;
const BULK_CONNECTIONS = 4;
const EVENT_BYTES = 200;
const SERVERS = 3;
/** With three copies flushed, and 64 connections. */
const LEAST = 3;
/** An election among servers that start takes less, in milliseconds. */
const LEADER_MS = 10_000;

/**
 * The door on files, on a stream with one copy and with three, and `node:http` with a publish of its own for each request
 * on a stream with three. The servers flush before they answer. Forebay delivers all the while and takes what is delivered
 * off the stream; the rival delivers nothing.
 */
export async function fleet(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const cluster = await natsServers(bench, join(bench.dir, 'fleet-nats'));
  if (typeof cluster === 'string') {
    console.log(`\nfleet is left out: ${cluster}`);
    return;
  }
  const queue = { 'queue-size': BULK_QUEUE_SIZE };
  const onStream = (replicas: number): ServerCommand => ({
    ...forebayOnStream(bench, cluster, `r${replicas}`, { ...queue, 'log-replicas': replicas }),
    name: `Forebay, ${replicas} copies`,
  });
  const onFiles = { ...forebay(join(bench.dir, 'fleet-files'), queue), name: 'Forebay, files' };
  const rivalArgs = [join(ROOT, 'dist/bench/rivals/jetstream.js'), String(cluster[0]?.port), String(SERVERS)];
  const rival: ServerCommand = { name: 'http + publish, 3 copies', books: 'stored', args: rivalArgs };
  const started = await bench.start([bareServer(), onFiles, onStream(1), onStream(SERVERS), rival]);
  const targets = started.map((target, index) => (index < 2 ? target : withServers(target, cluster)));
  for (const connections of CONNECTIONS) {
    const load = `one event of ${EVENT_BYTES} bytes a request, ${connections} connections`;
    const newLoad = (): Load => singleEvents(connections, EVENT_BYTES);
    const contestants = await turns(bench, targets, newLoad, rounds, seconds, load);
    const [, , , own, other] = contestants;
    if (own === undefined || other === undefined) throw new Error('a contestant is missing');
    const what = `${own.name} / (${other.name})`;
    const values = rateRatios(own, other);
    console.log(
      connections === 64 ? requirement(what, values, { least: LEAST }) : `${what}: ${spread(values, 2)}`,
    );
  }
  const path = join(bench.dir, 'fleet.ndjson');
  writeFileSync(path, bulkBody(BULK_EVENTS));
  const newLoad = (): Load => bulkLoad(BULK_CONNECTIONS, path, BULK_EVENTS);
  await turns(bench, targets.slice(1, 4), newLoad, rounds, seconds, `${BULK_EVENTS} events a request`);
}

/** Forebay on a stream of its own, with three copies if `flags` say nothing else. */
export function forebayOnStream(
  bench: Workbench,
  cluster: readonly StoreProcess[],
  name: string,
  flags: Flags,
): ServerCommand {
  const urls = cluster.map(({ port }) => `nats://127.0.0.1:${port}`).join(',');
  const ofLog = { log: 'jetstream', 'log-url': urls, 'log-name': name, 'log-replicas': SERVERS };
  return { ...forebay(join(bench.dir, `${name}-unused`), { ...ofLog, ...flags }), books: 'shared' };
}

async function turns(
  bench: Workbench,
  targets: readonly Target[],
  newLoad: () => Load,
  rounds: number,
  seconds: number,
  what: string,
): Promise<readonly Contestant[]> {
  const { sides, costs } = KNOWS_TIME
    ? withCosts(targets.map(asItIs))
    : { sides: targets.map(asItIs), costs: [] };
  const contestants = await contest(sides, newLoad, rounds, seconds, bench.signal);
  const [first] = contestants;
  if (first === undefined) throw new Error('nobody takes part');
  console.log(`\nfleet: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  const [heading = [], ...rows] = contestRows(contestants, first);
  const withCpu = rows.map((row, index) => [...row, costs.length > 0 ? spread(costs[index] ?? [], 1) : '-']);
  console.log(`${table([[...heading, 'CPU µs'], ...withCpu])}\n`);
  return contestants;
}

/** A server whose processor time is also that of the NATS servers. */
function withServers(target: Target, cluster: readonly StoreProcess[]): Target {
  const { name, books, port, adminPort } = target;
  const cpuMs = (): number => cluster.reduce((sum, each) => sum + each.cpuMs(), target.cpuMs());
  return { name, books, port, adminPort, cpuMs };
}

/** Three servers that know each other; in words why there are none. */
export async function natsServers(bench: Workbench, dir: string): Promise<readonly StoreProcess[] | string> {
  if ((await outputOf('nats-server', ['--version'])) === null) return 'nats-server is not on the PATH';
  mkdirSync(dir);
  const routes = await Promise.all(Array.from({ length: SERVERS }, freePort));
  const all: StoreProcess[] = [];
  for (const [index, route] of routes.entries()) {
    const port = await freePort();
    const path = join(dir, `${index}.conf`);
    const urls = routes.map((each) => `"nats://127.0.0.1:${each}"`).join(', ');
    writeFileSync(
      path,
      `server_name: n${index}\nlisten: "127.0.0.1:${port}"\n` +
        `jetstream { store_dir: ${JSON.stringify(join(dir, String(index)))}, sync_interval: always, max_file_store: 16GB }\n` +
        `cluster { name: bench, listen: "127.0.0.1:${route}", routes: [${urls}] }\n`,
    );
    if ((await outputOf('nats-server', ['-t', '-c', path])) === null)
      return 'this nats-server does not know sync_interval: it takes one of 2.10.23 or later';
    all.push(new StoreProcess('nats-server', ['-c', path], port));
  }
  for (const each of all) {
    bench.endsWithCase(each);
    await each.started();
  }
  await delay(LEADER_MS); // they elect a leader
  return all;
}
