import { randomBytes } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { audited } from './accounting.js';
import { BULK_QUEUE_SIZE } from './bulk-load.js';
import { contest, contestRows, rateRatios } from './contest.js';
import type { Side } from './contest.js';
import { KNOWS_MEMORY } from './process-memory.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { Flags } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { runWrk, singleEvents } from './wrk.js';
import type { Load } from './wrk.js';

const CONNECTIONS = 64;
const BULK_CONNECTIONS = 4;
const BULK_EVENTS = 5000;
const EVENT_BYTES = 200;
/** What the project requires: with the window, this share of the rate without it. */
const SINGLE_LEAST = 0.93;
const BULK_LEAST = 0.85;
/** What a million ids may cost: memory in megabytes, and time at a start in milliseconds. */
const IDS = 1_000_000;
const MEMORY_MOST = 64;
const START_MS_MOST = 1000;
const FILL_SECONDS = 2;

const WINDOW: Flags = { 'id-window': '1h', 'id-window-max': IDS };

/** What an id window costs: single events and bulk with it and without, and memory and start with a million ids. */
export async function ids(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const single = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  await compared(bench, 'ids', single, {}, () => singleEvents(CONNECTIONS, EVENT_BYTES), SINGLE_LEAST, [
    rounds,
    seconds,
  ]);
  await bench.stopServers();
  const bodyPath = join(bench.dir, 'ids.ndjson');
  writeFileSync(bodyPath, freshBody());
  const load = (): Load => freshBodies(bodyPath);
  const queue = { 'queue-size': BULK_QUEUE_SIZE };
  const bulk = `${BULK_EVENTS} events a request, ${BULK_CONNECTIONS} connections`;
  await compared(bench, 'ids-bulk', bulk, queue, load, BULK_LEAST, [rounds, seconds]);
  await bench.stopServers();
  await million(bench, rounds, load);
}

async function compared(
  bench: Workbench,
  name: string,
  what: string,
  flags: Flags,
  load: () => Load,
  least: number,
  [rounds, seconds]: readonly [number, number],
): Promise<void> {
  const servers = await bench.start([
    forebay(join(bench.dir, `${name}-without`), flags),
    forebay(join(bench.dir, `${name}-with`), { ...flags, ...WINDOW }),
  ]);
  const sides = servers.map((server, index): Side => ({
    name: index === 0 ? 'without' : '--id-window 1h',
    server,
  }));
  const [without, withIds] = await contest(sides, load, rounds, seconds, bench.signal);
  if (without === undefined || withIds === undefined) throw new Error('a side is missing');
  console.log(`\n${name}: ${what}, each with a new id, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows([without, withIds], without))}\n`);
  console.log(requirement('with the window, rate', rateRatios(withIds, without), { least }));
}

/** A server with a million ids, started again, beside one with none. */
async function million(bench: Workbench, rounds: number, load: () => Load): Promise<void> {
  const dir = join(bench.dir, 'ids-million');
  const [server] = await bench.start([forebay(dir, { ...WINDOW, 'queue-size': BULK_QUEUE_SIZE })]);
  if (server === undefined) throw new Error('the server is missing');
  for (let sent = 0; sent < 1.1 * IDS;)
    sent += (await audited(server, async () => runWrk(server, load(), FILL_SECONDS, bench.signal))).answered;
  await bench.stopServers();
  const startMs: number[] = [];
  const megabytes: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const none = await started(bench, join(bench.dir, `ids-none-${round}`));
    const all = await started(bench, dir);
    startMs.push(all.ms - none.ms);
    if (KNOWS_MEMORY) megabytes.push(all.rssMb - none.rssMb);
  }
  console.log(
    `\nids-million: a start with ${IDS} ids, beside one with none, ${rounds} rounds; median (min–max)\n`,
  );
  console.log(requirement('longer until it listens, ms', startMs, { most: START_MS_MOST }, 0));
  if (KNOWS_MEMORY) console.log(requirement('more resident memory, MB', megabytes, { most: MEMORY_MOST }, 0));
}

async function started(bench: Workbench, dir: string): Promise<{ ms: number; rssMb: number }> {
  const fromMs = performance.now();
  const [server] = await bench.start([forebay(dir, WINDOW)]);
  const ms = performance.now() - fromMs;
  const rssMb = server !== undefined && KNOWS_MEMORY ? server.memory().rssMb : 0;
  await bench.stopServers();
  return { ms, rssMb };
}

/** NDJSON events of about 200 bytes with `@` in the place of what changes in their ids. */
export function freshBody(events: number = BULK_EVENTS): string {
  const data = { order: 'A-20417', amount: '129.90', currency: 'EUR', customer: { name: 'Ada Example' } };
  return Array.from({ length: events }, (_, index) => {
    const id = `${String(index).padStart(4, '0')}-@`;
    return `${JSON.stringify({ id, type: 'order.paid', data, timestamp: Date.now() })}\n`;
  }).join('');
}

export function freshBodies(bodyPath: string, events: number = BULK_EVENTS): Load {
  const args = [bodyPath, randomBytes(6).toString('hex')];
  return {
    connections: BULK_CONNECTIONS,
    script: 'post-fresh-body.lua',
    args,
    eventsPerRequest: events,
  };
}
