import { join } from 'node:path';
import { audited } from './accounting.js';
import { ratios, spread } from './numbers.js';
import { bareServer, forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { CONNECTIONS, requireWrk, runWrk } from './wrk.js';
import type { WrkRun } from './wrk.js';

const WARM_UP_SECONDS = 1;

/**
 * Single events at 64 connections: the bare server, and Forebay with and without a flush before each `202`. The
 * servers take turns, so that what the machine does meanwhile meets all of them.
 *
 * @param rounds how often each server has its turn
 * @param seconds how long a turn takes
 */
export async function single(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const servers = await bench.start([
    bareServer(),
    forebay('always', join(bench.dir, 'single-always')),
    forebay('never', join(bench.dir, 'single-never')),
  ]);
  const contestants = servers.map((server) => ({ server, runs: [] as WrkRun[] }));
  for (const { server } of contestants) {
    await audited(server, async () => runWrk(server, WARM_UP_SECONDS, bench.signal));
  }
  for (let round = 0; round < rounds; round++) {
    for (const { server, runs } of contestants) {
      runs.push(await audited(server, async () => runWrk(server, seconds, bench.signal)));
    }
  }
  const bare = contestants[0]?.runs.map(({ requestsPerSecond }) => requestsPerSecond) ?? [];
  const rows = contestants.map(({ server, runs }) => {
    const rates = runs.map(({ requestsPerSecond }) => requestsPerSecond);
    return [
      server.name,
      spread(rates, 0),
      spread(ratios(rates, bare), 2),
      spread(
        runs.map(({ p50Ms }) => p50Ms),
        2,
      ),
      spread(
        runs.map(({ p99Ms }) => p99Ms),
        2,
      ),
    ];
  });
  console.log(
    `\nsingle: one event a request, ${CONNECTIONS} connections, ${rounds} rounds of ${seconds} s; median (min–max)\n`,
  );
  console.log(table([['', 'requests/s', 'of the bare server', 'p50 ms', 'p99 ms'], ...rows]));
}
