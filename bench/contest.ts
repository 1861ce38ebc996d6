import { audited } from './accounting.js';
import { ratios, spread } from './numbers.js';
import type { Target } from './server-under-test.js';
import type { Load, WrkRun } from './wrk.js';
import { requireWrk, runWrk } from './wrk.js';

const WARM_UP_SECONDS = 1;

/** Who takes part: a server, which may do so more than once, with what belongs to its turns. */
export interface Side {
  /** As the table calls it. */
  readonly name: string;
  readonly server: Target;
  /** What it is sent, if not the same as the others. */
  readonly newLoad?: () => Load;
  /** Does a turn, with what else belongs to it. */
  readonly around?: (turn: () => Promise<WrkRun>) => Promise<WrkRun>;
}

export interface Contestant {
  readonly name: string;
  readonly runs: WrkRun[];
}

/** A server that takes part as it is. */
export function asItIs(server: Target): Side {
  return { name: server.name, server };
}

/** The same sides, and what an event takes of the processor, in microseconds, by side and round. */
export function withCosts(sides: readonly Side[]): { sides: Side[]; costs: readonly (readonly number[])[] } {
  const costs: number[][] = sides.map(() => []);
  const timedSides = sides.map((side, index): Side => {
    const { server, around = async (turn) => turn() } = side;
    const timed: Side['around'] = async (turn) => {
      const beforeMs = server.cpuMs();
      const run = await turn();
      costs[index]?.push(((server.cpuMs() - beforeMs) * 1000) / run.answered);
      return run;
    };
    return { ...side, around: async (turn) => around(async () => timed(turn)) };
  });
  return { sides: timedSides, costs };
}

/**
 * Servers that take turns under the same load, so that what the machine does meanwhile meets all of them; every other
 * round goes backwards, so that what grows with time does too. Each has a warm-up first.
 *
 * @param newLoad called for each turn
 * @param rounds how often each side has its turn
 * @param seconds how long a turn takes
 */
export async function contest(
  sides: readonly Side[],
  newLoad: () => Load,
  rounds: number,
  seconds: number,
  signal: AbortSignal,
): Promise<Contestant[]> {
  await requireWrk();
  for (const { server, newLoad: own = newLoad } of sides) {
    await audited(server, async () => runWrk(server, own(), WARM_UP_SECONDS, signal));
  }
  const contestants = sides.map((side) => ({ ...side, runs: [] as WrkRun[] }));
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? contestants : contestants.toReversed();
    for (const { server, newLoad: own = newLoad, runs, around } of order) {
      const turn = async (): Promise<WrkRun> => runWrk(server, own(), seconds, signal);
      runs.push(await audited(server, async () => (around === undefined ? turn() : around(turn))));
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
  const heading = ['', 'events/s', `of ${base.name}`, 'p50 ms', 'p99 ms', 'p99 ratio'];
  const rows = contestants.map((contestant) => [
    contestant.name,
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
