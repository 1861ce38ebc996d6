import { setTimeout as sleep } from 'node:timers/promises';
import type { Scope } from '../helpers/temp-dir.js';
import { Random } from '../simulation/random.js';
import { drawn, FAULT_NAMES, FAULTS, ORDERED_FAULT_NAMES } from './faults.js';
import type { FaultName } from './faults.js';
import { Fleet } from './fleet.js';
import type { FleetOptions } from './fleet.js';
import type { Tally } from './ledger.js';

export interface ClusterChaosOptions extends FleetOptions {
  readonly rounds: number;
  /** The kinds of faults that are drawn from; all that keep what is promised, if it is empty. */
  readonly faults: readonly FaultName[];
  readonly report?: (line: string) => void;
}

export interface Round extends Tally {
  readonly fault: FaultName;
}

export interface ClusterChaosResult {
  readonly rounds: readonly Round[];
  /** Events with a 202. */
  readonly acknowledged: number;
  /** Deliveries beyond the first of an event. */
  readonly duplicates: number;
  /** What was not as promised: must be none. The run ends with the first round that has some. */
  readonly violations: readonly string[];
}

/** Before each fault there is load without one, in milliseconds. */
const CALM_MS = 1000;
/** How many rounds there are from one look at what has arrived to the next. */
const SETTLE_EVERY = 4;

/**
 * Three servers, three instances and their clients, with one fault in each round, which the seed draws. When it is
 * over all must go on by themselves; every few rounds all that waits must be delivered, and is held against what
 * clients were answered.
 */
export async function clusterChaos(scope: Scope, options: ClusterChaosOptions): Promise<ClusterChaosResult> {
  const { rounds: count, seed, faults, report = () => undefined } = options;
  const random = new Random(seed);
  const all = options.isOrdered ? ORDERED_FAULT_NAMES : FAULT_NAMES;
  const kinds = drawn(random, faults.length > 0 ? faults : all);
  const fleet = await Fleet.start(scope, options);
  report(`3 servers, 3 instances, cuts by ${fleet.network.kind}`);
  const rounds: Round[] = [];
  const violations: string[] = [];
  for (let round = 1; round <= count && violations.length === 0; round++) {
    const fault = kinds.next().value;
    fleet.ledger.startRound();
    await sleep(CALM_MS);
    let what = '';
    try {
      what = await FAULTS[fault](fleet, random);
      await fleet.heal();
      await fleet.recovered();
      fleet.ledger.endGap(); // while clients rest, nothing is acknowledged
      if (round % SETTLE_EVERY === 0 || round === count) violations.push(...(await fleet.settle()));
    } catch (error) {
      violations.push(error instanceof Error ? error.message : String(error));
    }
    const tally = fleet.ledger.tally;
    rounds.push({ fault, ...tally });
    report(`round ${round}, ${fault} ${what}: ${words(tally)}`);
  }
  const { acknowledged, duplicates } = fleet.ledger;
  return { rounds, acknowledged, duplicates, violations };
}

function words({ acknowledged, gapMs, gapStartMs, doubtful, full, refused, duplicates }: Tally): string {
  const gap = `none for ${Math.round(gapMs)} ms from ${Math.round(gapStartMs)} ms on`;
  return `${acknowledged} acknowledged, ${gap}, ${doubtful} doubtful, ${full} times 429, ${refused} refused, ${duplicates} delivered again`;
}
