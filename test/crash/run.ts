import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFlags } from '../helpers/run-flags.js';
import { Random, randomSeed } from '../simulation/random.js';
import { crashRounds } from './crash-rounds.js';

const USAGE =
  'npm run crash -- --rounds N   (N: a whole number of at least 1) [--fsync always|MS|never] [--move | --workers N] [--seed N]';

const { flags, refuse } = runFlags(USAGE, {
  string: ['rounds', 'fsync', 'seed', 'workers'],
  boolean: ['move'],
  default: { rounds: '10', fsync: 'always', workers: '1' },
});
const rounds = Number(flags['rounds']);
const seed = Number(flags['seed'] ?? randomSeed());
const workers = Number(flags['workers']);
const isMoved = flags['move'] === true;
const areCounts = [rounds, workers].every((each) => Number.isInteger(each) && each >= 1);
if (!areCounts || (isMoved && workers > 1) || !Number.isInteger(seed)) refuse();
const dir = mkdtempSync(join(tmpdir(), 'forebay-crash-'));
console.log(
  `A server under 64 connections, ${rounds} times kill -9 at a random moment (seed ${seed}). Files: ${dir}`,
);
const result = await crashRounds({
  rounds,
  dir,
  connections: 64,
  lifeMsMax: 1000,
  random: new Random(seed),
  report: console.log,
  moves: isMoved,
  workers,
  flags: ['--fsync', String(flags['fsync'])],
});
console.log(`
acknowledged with 202:          ${result.acknowledged}
  of these not in the sink:     ${result.lost.length}   (must be 0)
delivered more than once:       ${result.duplicates}   (at least once allows it)
delivered without an answer:    ${result.unanswered}   (the kill cut the 202 off)
lines that nobody sent:         ${result.strange}   (must be 0)
scrapes with events that are
  unaccounted for:              ${result.unaccounted.length} of ${result.scrapes}   (must be 0)
`);
const held = result.lost.length + result.strange + result.unaccounted.length === 0;
if (held) rmSync(dir, { recursive: true });
else console.error(`LOST: ${result.lost.slice(0, 10).join(' ')}\nthe files are left in ${dir}`);
process.exit(held ? 0 : 1);
