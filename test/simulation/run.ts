import { runFlags } from '../helpers/run-flags.js';
import { randomSeed } from './random.js';
import { enough, report } from './report.js';
import { Tally } from './tally.js';
import { installVirtualProcess, realMs } from './virtual-process.js';
import { isOddity, ODDITIES } from './worlds.js';

const USAGE = `npm run simulate -- [--cuts N] [--seed N] [--from N] [--no-flips]
  --cuts N   at least this many power cuts (2000)
  --seed N   this one seed, with its last steps
  --steps N  how many of its last steps (40)
  --from N   the first seed; without it: a random one
  --world X  each seed is odd in this way: ${ODDITIES.join('; ')}
  --only     no other oddities
  --stream   a stream that instances share, instead of files: N kills and freezes
  --no-flips flips no bits in files at rest`;

const SEEDS = 2 ** 31;
const PROGRESS_MS = 5000;

const { flags, refuse } = runFlags(USAGE, {
  string: ['cuts', 'seed', 'from', 'steps', 'world'],
  boolean: ['flips', 'only', 'stream'],
  default: { cuts: '2000', steps: '40', flips: true },
});
const options = {
  flips: flags['flips'] === true,
  traced: Number(flags['steps']),
  oddities: [flags['world'] ?? []].flat().filter(isOddity),
  only: flags['only'] === true,
};
const isStream = flags['stream'] === true;
const unit = isStream ? 'kills and freezes' : 'power cuts';
const worlds = options.oddities.map((oddity) => ` --world '${oddity}'`).join('');
const asked =
  (isStream ? ' --stream' : '') +
  (options.flips ? '' : ' --no-flips') +
  worlds +
  (options.only ? ' --only' : '');
const unknown = [flags['world'] ?? []].flat().length > options.oddities.length;
const seedOnly = flags['seed'] === undefined ? null : Number(flags['seed']);
const cuts = Number(flags['cuts']);
const from = seedOnly ?? (flags['from'] === undefined ? randomSeed() : Number(flags['from']));
if (unknown || ![cuts, from].every((each) => Number.isSafeInteger(each) && each >= 0)) refuse();

installVirtualProcess();
// only now: the code under test may keep references to the clock
const simulated = isStream
  ? (await import('./stream/stream-simulation.js')).StreamSimulation
  : (await import('./simulation.js')).Simulation;

const tally = new Tally();
const startedMs = realMs();
let reportedMs = startedMs;
const unhandled: string[] = [];
let hash = '';
process.on('unhandledRejection', (reason) => {
  unhandled.push(String(reason));
});

console.log(seedOnly === null ? `${cuts} ${unit}, from seed ${from} on` : `Seed ${seedOnly}`);
let seed = from;
for (;;) {
  const { violation, trace } = await new simulated({ seed, ...options }, tally).run();
  hash = trace.hash;
  const failure =
    violation ??
    (unhandled[0] === undefined ? null : `a rejected promise nobody listened to: ${unhandled[0]}`);
  if (failure !== null) {
    if (seedOnly !== null) console.error(trace.last().join('\n'));
    console.error(`\nVIOLATED: ${failure}\n  seed ${seed}, after ${trace.steps} steps, trace ${hash}`);
    console.error(`  to repeat it: npm run simulate -- --seed ${seed}${asked}`);
    process.exit(1);
  }
  tally.count('runs', 'seeds');
  tally.count('runs', 'steps', trace.steps);
  const done = isStream
    ? tally.of('ends', 'kills') + tally.of('ends', 'freezes')
    : tally.of('ends', 'power cuts');
  if (seedOnly !== null || done >= cuts) break;
  seed = (seed + 1) % SEEDS;
  if (realMs() - reportedMs > PROGRESS_MS) {
    reportedMs = realMs();
    console.log(`  ${done} ${unit}, seed ${seed}, ${Math.round((reportedMs - startedMs) / 1000)} s`);
  }
}
console.log(report(tally, realMs() - startedMs));
console.log(`Trace of the last seed (${seed}): ${hash}`);
const missing =
  seedOnly === null && cuts >= 2000 && !options.only ? enough(tally, options.flips, isStream) : [];
if (missing.length > 0) console.error(`\nNOT EXERCISED: this run never saw ${missing.join(', ')}`);
process.exit(missing.length > 0 ? 1 : 0);
