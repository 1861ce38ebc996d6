import minimist from 'minimist';
import { backlogMemory } from './backlog-memory.js';
import { bulk, BULK_SIZES } from './bulk.js';
import { compress } from './compress.js';
import { delivery } from './delivery.js';
import { fleet } from './fleet.js';
import { fleetCompress } from './fleet-compress.js';
import { fleetIds } from './fleet-ids.js';
import { halfRate } from './half-rate.js';
import { ids } from './ids.js';
import { latency } from './latency.js';
import { machineLines } from './machine.js';
import { memory } from './memory.js';
import { page } from './page.js';
import { replay } from './replay.js';
import { replayHttp } from './replay-http.js';
import { rivals } from './rivals.js';
import { single, SINGLE_CASES } from './single.js';
import { sources } from './sources.js';
import { start } from './start.js';
import { startMillion } from './start-million.js';
import { survivors } from './survivors.js';
import { Workbench } from './workbench.js';
import { workers } from './workers.js';

interface RunOptions {
  readonly cases: readonly string[];
  readonly rounds: number;
  /** How long a turn takes. */
  readonly seconds: number;
  /** How many events are replayed. */
  readonly events: number;
}

type Case = (bench: Workbench, options: RunOptions) => Promise<void>;

const CASES: ReadonlyMap<string, Case> = new Map<string, Case>([
  ...[...SINGLE_CASES.keys()].map((name): [string, Case] => [
    name,
    async (bench, { rounds, seconds }) => single(bench, name, rounds, seconds),
  ]),
  ...BULK_SIZES.map((size): [string, Case] => [
    `bulk-${size}`,
    async (bench, { rounds, seconds }) => bulk(bench, size, rounds, seconds),
  ]),
  ['replay', async (bench, { rounds, events }) => replay(bench, rounds, events)],
  ['replay-http', async (bench, { rounds, events }) => replayHttp(bench, rounds, events)],
  ['delivery', async (bench, { rounds, seconds }) => delivery(bench, rounds, seconds)],
  ['compress', async (bench, { rounds, seconds }) => compress(bench, rounds, seconds)],
  ['sources', async (bench, { rounds, seconds }) => sources(bench, rounds, seconds)],
  ['ids', async (bench, { rounds, seconds }) => ids(bench, rounds, seconds)],
  ['workers', async (bench, { rounds, seconds }) => workers(bench, rounds, seconds)],
  ['page', async (bench, { rounds, seconds }) => page(bench, rounds, seconds)],
  ['survivors', async (bench, { rounds, seconds }) => survivors(bench, rounds, seconds)],
  ['rivals', async (bench, { rounds, seconds }) => rivals(bench, rounds, seconds)],
  ['fleet', async (bench, { rounds, seconds }) => fleet(bench, rounds, seconds)],
  ['fleet-compress', async (bench, { rounds, seconds }) => fleetCompress(bench, rounds, seconds)],
  ['fleet-ids', async (bench, { rounds, seconds }) => fleetIds(bench, rounds, seconds)],
  ['latency', async (bench, { rounds }) => latency(bench, rounds)],
  ['half-rate', async (bench, { rounds, seconds }) => halfRate(bench, rounds, seconds)],
  ['start', async (bench, { rounds }) => start(bench, rounds)],
  ['start-million', async (bench, { rounds, events }) => startMillion(bench, rounds, events)],
  ['memory', async (bench, { seconds, events }) => memory(bench, seconds, events)],
  ['backlog-memory', async (bench) => backlogMemory(bench)],
]);

/** Names that stand for several cases. */
const GROUPS: ReadonlyMap<string, readonly string[]> = new Map([
  ['bulk', BULK_SIZES.map((size) => `bulk-${size}`)],
  ['all', [...CASES.keys()]],
]);

/** What runs where no case is named: under three minutes. */
const SHORT: readonly string[] = ['single', 'latency', 'bulk-5000', 'replay'];
const SHORT_EVENTS = 200_000;
const EVENTS = 1_000_000;

const USAGE = `usage: npm run bench -- [CASE ...] [--rounds N] [--seconds N] [--events N]
cases: ${[...CASES.keys(), ...GROUPS.keys()].join(', ')}`;

let options: RunOptions;
try {
  options = readArguments(process.argv.slice(2));
} catch (error) {
  console.error(`bench: ${(error as Error).message}\n${USAGE}`);
  process.exit(1);
}

const bench = new Workbench();
let interrupted = false;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => void interrupt());

try {
  console.log(await machineLines(bench.dir));
  for (const name of options.cases) {
    await CASES.get(name)?.(bench, options);
    await bench.stopServers();
  }
} catch (error) {
  // what fails after an interrupt fails because of it
  if (!interrupted) console.error(`bench: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  await bench.clear();
}

async function interrupt(): Promise<void> {
  interrupted = true;
  await bench.clear();
  process.exit(130); // as a shell shows SIGINT
}

function readArguments(args: readonly string[]): RunOptions {
  const flags = minimist([...args], {
    string: ['rounds', 'seconds', 'events'],
    default: { rounds: '5', seconds: '3' },
    unknown: (arg) => {
      if (arg.startsWith('-')) throw new Error(`unknown flag ${arg}`);
      return true;
    },
  });
  const isShort = flags._.length === 0;
  return {
    cases: isShort ? SHORT : flags._.flatMap((name) => GROUPS.get(name) ?? known(name)),
    rounds: readCount('rounds', flags['rounds']),
    seconds: readCount('seconds', flags['seconds']),
    events: readCount('events', flags['events'] ?? String(isShort ? SHORT_EVENTS : EVENTS)),
  };
}

function known(name: string): string {
  if (CASES.has(name)) return name;
  throw new Error(`unknown case ${name}`);
}

function readCount(name: string, value: unknown): number {
  if (typeof value === 'string' && /^[1-9]\d{0,7}$/.test(value)) return Number(value);
  throw new Error(`--${name} must be a number from 1 on, not ${String(value)}`);
}
