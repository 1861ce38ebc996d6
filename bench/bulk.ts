import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { audited } from './accounting.js';
import { BULK_QUEUE_SIZE, bulkBody, bulkLoad } from './bulk-load.js';
import { runProgram } from './child-program.js';
import { median, ratios, spread } from './numbers.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { Flags, ServerUnderTest } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, runWrk } from './wrk.js';
import type { Load, WrkRun } from './wrk.js';

export const BULK_SIZES: readonly number[] = [10, 100, 5000];
const CONNECTIONS: readonly number[] = [1, 2, 4, 8];
const PROBE_SECONDS = 1;

/** A Forebay that takes part. */
export interface BulkSubject {
  readonly flags: Flags;
  /** What the project requires of bodies of 5000 events: the least share of the floor's rate. */
  readonly least?: number;
}

const SUBJECTS: readonly BulkSubject[] = [
  { flags: {}, least: 0.6 },
  { flags: { 'batch-size': 5000 }, least: 0.6 },
];

interface Contestant {
  readonly server: ServerUnderTest;
  readonly least: number | undefined;
  readonly load: Load;
  readonly runs: WrkRun[];
}

/**
 * NDJSON bodies of this many events, with small and with large batches, against the floor: the same bytes parsed line
 * by line, in a process of its own.
 *
 * @param size events in a body
 * @param rounds how often each has its turn
 * @param seconds how long a turn takes
 * @param name of the case
 */
export async function bulk(
  bench: Workbench,
  size: number,
  rounds: number,
  seconds: number,
  subjects = SUBJECTS,
  name = `bulk-${size}`,
): Promise<void> {
  await requireWrk();
  const { dir, signal } = bench;
  const bodyPath = join(dir, `${name}.ndjson`);
  writeFileSync(bodyPath, bulkBody(size));
  const servers = await bench.start(
    subjects.map(({ flags }, index) =>
      forebay(join(dir, `${name}-${index}`), { ...flags, 'queue-size': BULK_QUEUE_SIZE }),
    ),
  );
  const contestants: Contestant[] = [];
  for (const [index, server] of servers.entries()) {
    const load = await bestLoad(server, bodyPath, size, signal);
    contestants.push({ server, least: subjects[index]?.least, load, runs: [] });
  }
  const floor: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const args = [bodyPath, seconds];
    const { eventsPerSecond } = await runProgram<{ eventsPerSecond: number }>('parse-lines', args, signal);
    floor.push(eventsPerSecond);
    for (const { server, load, runs } of contestants) {
      runs.push(await audited(server, async () => runWrk(server, load, seconds, signal)));
    }
  }
  print(name, size, rounds, seconds, floor, contestants);
}

function print(
  name: string,
  size: number,
  rounds: number,
  seconds: number,
  floor: readonly number[],
  contestants: readonly Contestant[],
): void {
  console.log(`\n${name}: ${size} events a request, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  const heading = ['', 'connections', 'events/s', 'of JSON.parse', 'p50 ms', 'p99 ms'];
  const rows = contestants.map(({ server, load, runs }) => {
    const rates = runs.map(({ eventsPerSecond }) => eventsPerSecond);
    return [
      server.name,
      String(load.connections),
      spread(rates, 0),
      spread(ratios(rates, floor), 2),
      median(runs.map(({ p50Ms }) => p50Ms)).toFixed(2),
      median(runs.map(({ p99Ms }) => p99Ms)).toFixed(2),
    ];
  });
  console.log(table([heading, ['JSON.parse by line', '', spread(floor, 0), '1.00', '', ''], ...rows]));
  if (size !== 5000) return;
  console.log('');
  for (const { server, least, runs } of contestants) {
    const rates = runs.map(({ eventsPerSecond }) => eventsPerSecond);
    if (least !== undefined)
      console.log(requirement(`${server.name}, of JSON.parse`, ratios(rates, floor), { least }));
  }
}

/** The load with the number of connections at which the server takes most. */
async function bestLoad(
  server: ServerUnderTest,
  bodyPath: string,
  size: number,
  signal: AbortSignal,
): Promise<Load> {
  let best: { load: Load; rate: number } | null = null;
  for (const connections of CONNECTIONS) {
    const load = bulkLoad(connections, bodyPath, size);
    const { eventsPerSecond: rate } = await audited(server, async () =>
      runWrk(server, load, PROBE_SECONDS, signal),
    );
    if (best === null || rate > best.rate) best = { load, rate };
  }
  if (best === null) throw new Error('no number of connections was tried');
  return best.load;
}
