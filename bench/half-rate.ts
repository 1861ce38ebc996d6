import { join } from 'node:path';
import { audited } from './accounting.js';
import { runProgram } from './child-program.js';
import { ratios, spread } from './numbers.js';
import { bareServer, forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, runWrk, singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
/** A run that was slower than this share of the rate it should have held did not hold it. */
const HELD_LEAST = 0.95;

interface RateRun {
  readonly answered: number;
  readonly eventsPerSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly p999Ms: number;
}

/**
 * The latency of `202` at half of the highest rate that Forebay takes on this machine, beside the bare server at
 * the same rate. They take turns.
 *
 * @throws where a server does not hold the rate
 */
export async function halfRate(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const { dir, signal } = bench;
  const servers = await bench.start([bareServer(), forebay(join(dir, 'half-rate'))]);
  let highest = NaN;
  for (const server of servers) {
    const load = singleEvents(CONNECTIONS, EVENT_BYTES);
    const warm = await audited(server, async () => runWrk(server, load, seconds, signal));
    highest = warm.eventsPerSecond; // Forebay's, as it comes last
  }
  const rate = Math.floor(highest / 2);
  const contestants = servers.map((server) => ({ server, runs: [] as RateRun[] }));
  for (let round = 0; round < rounds; round++) {
    for (const { server, runs } of contestants) {
      const args = [server.port, rate, seconds, CONNECTIONS];
      const run = await audited(server, async () => runProgram<RateRun>('post-at-rate', args, signal));
      if (run.eventsPerSecond < HELD_LEAST * rate) {
        throw new Error(`${server.name}: ${run.eventsPerSecond.toFixed(0)} of ${rate} events/s were held`);
      }
      runs.push(run);
    }
  }

  console.log(
    `\nhalf-rate: ${rate} events/s, half of the highest; ${CONNECTIONS} connections, ` +
      `${rounds} rounds of ${seconds} s; median (min–max)\n`,
  );
  const quantiles = ['p50Ms', 'p99Ms', 'p999Ms'] as const;
  const of = (runs: readonly RateRun[], key: keyof RateRun): number[] => runs.map((run) => run[key]);
  const rows = contestants.map(({ server, runs }) => [
    server.name,
    ...quantiles.map((key) => spread(of(runs, key), 2)),
  ]);
  const [bare, own] = contestants;
  const toBare = quantiles.map((key) =>
    spread(ratios(of(own?.runs ?? [], key), of(bare?.runs ?? [], key)), 2),
  );
  console.log(table([['', 'p50 ms', 'p99 ms', 'p99.9 ms'], ...rows, ['Forebay / bare server', ...toBare]]));
}
