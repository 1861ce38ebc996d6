import { runFlags } from '../helpers/run-flags.js';
import type { Scope } from '../helpers/temp-dir.js';
import { randomSeed } from '../simulation/random.js';
import { Comparison } from './comparison.js';
import { mutation } from './mutations.js';
import { reportOf, tally } from './report.js';
import { SAMPLES } from './samples.js';
import type { Sample } from './samples.js';

const USAGE = `npm run differential -- [--seed N] [--minutes M] [--only NAME]
  --seed N     the same mutations and cuts again; at random without it
  --minutes M  how long requests are changed and compared (1)
  --only NAME  this request alone, as a difference names it`;
const MUTATION = /^mutation (\d+)$/;
const MINUTE_MS = 60_000;
const BATCH = 20;

const { flags, refuse } = runFlags(USAGE, {
  string: ['seed', 'minutes', 'only'],
  default: { minutes: '1' },
});
const seed = Number(flags['seed'] ?? process.env['FOREBAY_TEST_SEED'] ?? randomSeed());
const minutes = Number(flags['minutes']);
const only = flags['only'] === undefined ? null : String(flags['only']);
const chosen = only === null ? SAMPLES : named(only);
if (!Number.isInteger(seed) || !(minutes >= 0) || chosen.length === 0) refuse();

const ends: (() => unknown)[] = [];
const scope: Scope = { teardown: (end) => ends.unshift(end) };
const endMs = performance.now() + minutes * MINUTE_MS;
console.log(`The same bytes in each way (seed ${seed})`);
const comparison = await Comparison.open(scope, seed);
let shown = 0;
for (let from = 0; from < chosen.length; from += BATCH) {
  const samples = chosen.slice(from, from + BATCH);
  await comparison.compare(samples, MUTATION.test(only ?? '') ? 'at some positions' : 'everywhere');
  show();
}
for (let from = 0; performance.now() < endMs; from += BATCH) {
  if (only !== null) break;
  await comparison.compare(
    Array.from({ length: BATCH }, (_, index) => mutation(seed, from + index)),
    'at some positions',
  );
  show();
}
console.log(tally(comparison, performance.now()));
for (const end of ends) await end();
process.exit(comparison.differences.length === 0 ? 0 : 1);

function named(name: string): readonly Sample[] {
  const index = MUTATION.exec(name)?.[1];
  return index === undefined ? SAMPLES.filter((each) => each.name === name) : [mutation(seed, Number(index))];
}

function show(): void {
  for (const each of comparison.differences.slice(shown)) console.log(reportOf(each, seed));
  shown = comparison.differences.length;
}
