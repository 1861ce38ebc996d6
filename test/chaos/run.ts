import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runFlags } from '../helpers/run-flags.js';
import { randomSeed } from '../simulation/random.js';
import { chaosRounds } from './chaos-rounds.js';

const USAGE = 'npm run chaos -- --rounds N [--seed N]   (N: a whole number of at least 1)';

const { flags, refuse } = runFlags(USAGE, { string: ['rounds', 'seed'], default: { rounds: '20' } });
const rounds = Number(flags['rounds']);
const seed = Number(flags['seed'] ?? randomSeed());
if (!Number.isInteger(rounds) || rounds < 1 || !Number.isInteger(seed)) refuse();
const dir = mkdtempSync(join(tmpdir(), 'forebay-chaos-'));
console.log(
  `A server, and a sink that does everything wrong: both killed ${rounds} times (seed ${seed}). Files: ${dir}`,
);
const result = await chaosRounds({ rounds, dir, connections: 16, roundMs: 3000, seed, report: console.log });
const { lost, wronglyDead, strange } = result;
console.log(`
acknowledged with 202:                       ${result.acknowledged}, ${result.acknowledgedPoison} of them poison
  neither at the sink nor dead letters:      ${lost.length}   (must be 0)
dead letters that are no poison:             ${wronglyDead.length}   (must be 0)
at the sink, and nobody sent them:           ${strange.length}   (must be 0)
delivered more than once:                    ${result.duplicates}   (at least once allows it)
scrapes with events unaccounted for:         ${result.unaccounted.length} of ${result.scrapes}   (must be 0)
counts of the last run:                      ${JSON.stringify(result.counts)}
`);
const { accepted = NaN, delivered = NaN, deadLettered = NaN } = result.counts;
const broken = lost.length + wronglyDead.length + strange.length + result.unaccounted.length;
const held = broken === 0 && accepted === delivered + deadLettered;
if (held) rmSync(dir, { recursive: true });
else console.error(`LOST: ${lost.slice(0, 10).join(' ')}\nthe files are left in ${dir}`);
process.exit(held ? 0 : 1);
