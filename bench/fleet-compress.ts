import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { pendingBytes } from './accounting.js';
import { BULK_QUEUE_SIZE } from './bulk-load.js';
import { contest, contestRows, rateRatios } from './contest.js';
import type { Contestant, Side } from './contest.js';
import { forebayOnStream, natsServers } from './fleet.js';
import { freshBodies, freshBody } from './ids.js';
import { requirement } from './requirement.js';
import type { Books, Flags, Target } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, singleEvents } from './wrk.js';
import type { Load } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const BULK_EVENTS = 1000;
/** What the project requires: the door's rate beside compression, and how much smaller a backlog gets. */
const RATE_LEAST = 0.95;
const RATIO_LEAST = 6;
/** An instance looks at its stream once a second. */
const LOOK_MS = 3000;

/** A stream with three copies whose messages are compressed, and one whose are not: while they are delivered, and while the sink is down. */
export async function fleetCompress(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const cluster = await natsServers(bench, join(bench.dir, 'fleet-compress-nats'));
  if (typeof cluster === 'string') {
    console.log(`\nfleet-compress is left out: ${cluster}`);
    return;
  }
  const path = join(bench.dir, 'fleet-compress.ndjson');
  writeFileSync(path, freshBody(BULK_EVENTS));
  const loads: readonly (readonly [string, () => Load])[] = [
    [`one event a request, ${CONNECTIONS} connections`, () => singleEvents(CONNECTIONS, EVENT_BYTES)],
    [`${BULK_EVENTS} events a request`, () => freshBodies(path, BULK_EVENTS)],
  ];
  const start = async (name: string, books: Books, flags: Flags): Promise<readonly Target[]> => {
    const more = { 'queue-size': BULK_QUEUE_SIZE, 'backlog-max': '2GiB', ...flags };
    const server = (compress: 'off' | 'on') =>
      forebayOnStream(bench, cluster, `${name}-${compress}`, { ...more, 'log-compress': compress });
    return bench.start([server('off'), server('on')].map((each) => ({ ...each, books })));
  };
  const delivering = await start('well', 'shared', {});
  const waiting = await start('down', 'kept', { 'sink-failure-rate': 1, 'shutdown-timeout': 1000 });
  for (const [what, load] of loads) {
    await compared(bench, delivering, load, `${what}, delivered`, rounds, seconds);
    const before = await Promise.all(waiting.map(pendingBytes));
    const contestants = await compared(bench, waiting, load, `${what}, the sink down`, rounds, seconds);
    await sleep(LOOK_MS);
    const after = await Promise.all(waiting.map(pendingBytes));
    // per event: the two have taken different numbers of them
    const [off = NaN, on = NaN] = contestants.map(
      ({ runs }, at) => ((after[at] ?? 0) - (before[at] ?? 0)) / answered(runs),
    );
    console.log(`an event takes ${on.toFixed(0)} bytes of the stream instead of ${off.toFixed(0)}`);
    console.log(requirement('the backlog is smaller by', [off / on], { least: RATIO_LEAST }, 1));
  }
}

async function compared(
  bench: Workbench,
  servers: readonly Target[],
  load: () => Load,
  what: string,
  rounds: number,
  seconds: number,
): Promise<readonly Contestant[]> {
  const sides = servers.map((server, index): Side => ({
    name: `--log-compress ${index === 0 ? 'off' : 'on'}`,
    server,
  }));
  const contestants = await contest(sides, load, rounds, seconds, bench.signal);
  const [off, on] = contestants;
  if (off === undefined || on === undefined) throw new Error('a side is missing');
  console.log(`\nfleet-compress: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows(contestants, off))}\n`);
  console.log(requirement('compressed, rate', rateRatios(on, off), { least: RATE_LEAST }));
  return contestants;
}

const answered = (runs: readonly { readonly answered: number }[]): number =>
  runs.reduce((all, run) => all + run.answered, 0);
