import { audited } from './accounting.js';
import { ratios, spread } from './numbers.js';
import type { ServerUnderTest } from './server-under-test.js';
import type { Load, WrkRun } from './wrk.js';
import { requireWrk, runWrk } from './wrk.js';

const WARM_UP_SECONDS = 1;

export interface Contestant {
  readonly server: ServerUnderTest;
  readonly runs: WrkRun[];
}

/**
 * Servers that take turns under the same load, so that what the machine does meanwhile meets all of them. Each has
 * a warm-up first.
 *
 * @param newLoad called for each turn
 * @param rounds how often each server has its turn
 * @param seconds how long a turn takes
 * @param around does a turn, with what else belongs to it
 */
export async function contest(
  servers: readonly ServerUnderTest[],
  newLoad: () => Load,
  rounds: number,
  seconds: number,
  signal: AbortSignal,
  around: (server: ServerUnderTest, turn: () => Promise<WrkRun>) => Promise<WrkRun> = async (_server, turn) =>
    turn(),
): Promise<Contestant[]> {
  await requireWrk();
  const contestants = servers.map((server) => ({ server, runs: [] as WrkRun[] }));
  for (const { server } of contestants) {
    await audited(server, async () => runWrk(server, newLoad(), WARM_UP_SECONDS, signal));
  }
  for (let round = 0; round < rounds; round++) {
    for (const { server, runs } of contestants) {
      const turn = async (): Promise<WrkRun> => runWrk(server, newLoad(), seconds, signal);
      runs.push(await audited(server, async () => around(server, turn)));
    }
  }
  return contestants;
}

/** A number of each round. */
export function column({ runs }: Contestant, of: Exclude<keyof WrkRun, 'answered'>): number[] {
  return runs.map((run) => run[of]);
}

/** Rows of a table, headed: each contestant's rate and latencies, and what they are of those of the base. */
export function contestRows(contestants: readonly Contestant[], base: Contestant): string[][] {
  const heading = ['', 'events/s', `of ${base.server.name}`, 'p50 ms', 'p99 ms', 'p99 ratio'];
  const rows = contestants.map((contestant) => [
    contestant.server.name,
    spread(column(contestant, 'eventsPerSecond'), 0),
    spread(rateRatios(contestant, base), 2),
    spread(column(contestant, 'p50Ms'), 2),
    spread(column(contestant, 'p99Ms'), 2),
    spread(p99Ratios(contestant, base), 2),
  ]);
  return [heading, ...rows];
}

/** Rates over those of the base, by round. */
export function rateRatios(contestant: Contestant, base: Contestant): number[] {
  return ratios(column(contestant, 'eventsPerSecond'), column(base, 'eventsPerSecond'));
}

/** 99th percentiles over those of the base, by round. */
export function p99Ratios(contestant: Contestant, base: Contestant): number[] {
  return ratios(column(contestant, 'p99Ms'), column(base, 'p99Ms'));
}
