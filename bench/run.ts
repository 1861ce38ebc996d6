import minimist from 'minimist';
import { backlogMemory } from './backlog-memory.js';
import { latency } from './latency.js';
import { machineLines } from './machine.js';
import { single } from './single.js';
import { Workbench } from './workbench.js';

interface RunOptions {
  readonly cases: readonly string[];
  readonly rounds: number;
  /** How long a run of wrk takes. */
  readonly seconds: number;
}

type Case = (bench: Workbench, options: RunOptions) => Promise<void>;

const CASES: ReadonlyMap<string, Case> = new Map<string, Case>([
  ['single', async (bench, { rounds, seconds }) => single(bench, rounds, seconds)],
  ['latency', async (bench, { rounds }) => latency(bench, rounds)],
  ['backlog-memory', async (bench) => backlogMemory(bench)],
]);

const USAGE = `usage: npm run bench -- [${[...CASES.keys()].join('|')}] [--rounds N] [--seconds N]`;

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
    string: ['rounds', 'seconds'],
    default: { rounds: '5', seconds: '4' },
    unknown: (arg) => {
      if (arg.startsWith('-')) throw new Error(`unknown flag ${arg}`);
      return true;
    },
  });
  const unknown = flags._.find((name) => !CASES.has(name));
  if (unknown !== undefined) throw new Error(`unknown case ${unknown}`);
  return {
    cases: flags._.length === 0 ? [...CASES.keys()] : flags._,
    rounds: readCount('rounds', flags['rounds']),
    seconds: readCount('seconds', flags['seconds']),
  };
}

function readCount(name: string, value: unknown): number {
  if (typeof value === 'string' && /^[1-9]\d{0,5}$/.test(value)) return Number(value);
  throw new Error(`--${name} must be a number from 1 on, not ${String(value)}`);
}
