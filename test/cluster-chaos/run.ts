import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NatsCluster } from '../helpers/nats-cluster.js';
import { runFlags } from '../helpers/run-flags.js';
import { randomSeed } from '../simulation/random.js';
import { clusterChaos } from './cluster-chaos.js';
import type { Round } from './cluster-chaos.js';
import { FAULT_NAMES, isFaultName } from './faults.js';

const USAGE = `npm run cluster-chaos -- --rounds N [--seed N] [--order] [--ids] [--proxies] [--faults NAME,…]

  --order    with --log-order, and what is delivered must be in order
  --ids      with an id window: what clients send again must be stored once
  --proxies  cut by proxies, not by network namespaces
  --faults   of these: ${FAULT_NAMES.join(', ')}`;

const { flags, refuse } = runFlags(USAGE, {
  string: ['rounds', 'seed', 'faults'],
  boolean: ['order', 'proxies', 'ids'],
  default: { rounds: '20' },
});
const rounds = Number(flags['rounds']);
const seed = Number(flags['seed'] ?? randomSeed());
const given = String(flags['faults'] ?? '')
  .split(',')
  .filter((name) => name !== '');
const faults = given.filter(isFaultName);
const [isOrdered, usesProxies, hasIds] = ['order', 'proxies', 'ids'].map((flag) => flags[flag] === true) as [
  boolean,
  boolean,
  boolean,
];
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed) || faults.length !== given.length)
  refuse();
const missing = NatsCluster.missing();
if (missing !== false) {
  console.error(`${missing}; scripts/nats-server.sh DIR unpacks one where Debian is`);
  process.exit(2);
}

const dir = mkdtempSync(join(tmpdir(), 'forebay-cluster-chaos-'));
const ends: (() => unknown)[] = [];
/** The last one first, so that clients end before what they talk to. */
async function endAll(): Promise<void> {
  for (const end of ends.splice(0).toReversed()) await end();
}
let interrupted: Promise<never> | null = null;
async function interrupt(): Promise<never> {
  await endAll();
  rmSync(dir, { recursive: true, force: true });
  process.exit(130);
}
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
  process.once(signal, () => {
    interrupted ??= interrupt();
  });

const words = [
  isOrdered ? '--order' : '',
  hasIds ? '--ids' : '',
  usesProxies ? '--proxies' : '',
  given.length > 0 ? `--faults ${given.join()}` : '',
];
const command = ['npm run cluster-chaos -- --rounds', rounds, '--seed', seed, ...words.filter(Boolean)].join(
  ' ',
);
console.log(`${rounds} faults in a cluster under load (seed ${seed}). Files: ${dir}`);
const scope = { teardown: (end: () => unknown) => ends.push(end) };
const options = { rounds, seed, faults, isOrdered, usesProxies, hasIds, dir };
let result;
try {
  result = await clusterChaos(scope, { ...options, report: console.log });
} finally {
  await (interrupted ?? endAll());
}
console.log(`\n${table(result.rounds)}\n`);
const { acknowledged, duplicates, violations } = result;
if (violations.length === 0) {
  rmSync(dir, { recursive: true });
  console.log(
    `HELD: ${acknowledged} events acknowledged in ${result.rounds.length} rounds, each delivered, ${duplicates} more than once`,
  );
} else {
  console.error(`VIOLATED:\n${violations.map((each) => `  ${each}`).join('\n')}\nagain: ${command}`);
  console.error(`the files are left in ${dir}`);
}
process.exit(violations.length === 0 ? 0 : 1);

/** One line for each kind of fault: the longest gap, and sums of the others. */
function table(all: readonly Round[]): string {
  const rows = [['fault', 'rounds', '202', 'none for ms', 'doubtful', '429', 'refused', 'delivered again']];
  for (const name of FAULT_NAMES) {
    const own = all.filter(({ fault }) => fault === name);
    if (own.length === 0) continue;
    const sum = (of: 'acknowledged' | 'doubtful' | 'full' | 'refused' | 'duplicates'): number =>
      own.reduce((total, round) => total + round[of], 0);
    const gapMs = Math.round(Math.max(...own.map((round) => round.gapMs)));
    const numbers = [
      sum('acknowledged'),
      gapMs,
      sum('doubtful'),
      sum('full'),
      sum('refused'),
      sum('duplicates'),
    ];
    rows.push([name, own.length, ...numbers].map(String));
  }
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0] ?? 0) : cell.padStart(widths[column] ?? 0),
      )
      .join('  ');
  return rows.map(line).join('\n');
}
