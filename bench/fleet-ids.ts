import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { BULK_QUEUE_SIZE } from './bulk-load.js';
import { contest, contestRows, rateRatios } from './contest.js';
import type { Side } from './contest.js';
import { forebayOnStream, natsServers } from './fleet.js';
import { freshBodies, freshBody } from './ids.js';
import { spread } from './numbers.js';
import type { Flags, ServerCommand } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, singleEvents } from './wrk.js';
import type { Load } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const BULK_EVENTS = 1000;

/** What an id window costs on a stream with three copies: single events and bulk, each with a new id. */
export async function fleetIds(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const cluster = await natsServers(bench, join(bench.dir, 'fleet-ids-nats'));
  if (typeof cluster === 'string') {
    console.log(`\nfleet-ids is left out: ${cluster}`);
    return;
  }
  const onStream = (name: string, flags: Flags): ServerCommand =>
    forebayOnStream(bench, cluster, name, { 'queue-size': BULK_QUEUE_SIZE, ...flags });
  const without = onStream('without', {});
  const withIds = onStream('with', { 'id-window': '1h', 'id-window-max': 10_000_000 });
  const servers = await bench.start([without, withIds]);
  const sides = servers.map((server, index): Side => ({
    name: index === 0 ? 'without' : '--id-window 1h',
    server,
  }));
  const path = join(bench.dir, 'fleet-ids.ndjson');
  writeFileSync(path, freshBody(BULK_EVENTS));
  const loads: readonly (readonly [string, () => Load])[] = [
    [`one event a request, ${CONNECTIONS} connections`, () => singleEvents(CONNECTIONS, EVENT_BYTES)],
    [`${BULK_EVENTS} events a request`, () => freshBodies(path, BULK_EVENTS)],
  ];
  for (const [what, load] of loads) {
    const contestants = await contest(sides, load, rounds, seconds, bench.signal);
    const [plain, window] = contestants;
    if (plain === undefined || window === undefined) throw new Error('a side is missing');
    console.log(`\nfleet-ids: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
    console.log(`${table(contestRows(contestants, plain))}\n`);
    console.log(`with the window, rate: ${spread(rateRatios(window, plain), 2)}`);
  }
}
