import { join } from 'node:path';
import { asItIs, contest, contestRows, rateRatios } from './contest.js';
import { spread } from './numbers.js';
import { ROOT } from './paths.js';
import { requirement } from './requirement.js';
import { nats, redis } from './rival-stores.js';
import type { FoundStore } from './rival-stores.js';
import { forebay } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;

interface Rival {
  readonly name: string;
  /** Its program in `dist/bench/rivals/`, without `.js`. */
  readonly program: string;
  /** What the project requires: at least so many times the rival's rate. */
  readonly least?: number;
  /** The store that it needs besides its own process. */
  readonly store?: (dir: string) => Promise<FoundStore>;
}

const RIVALS: readonly Rival[] = [
  { name: 'http + fdatasync each', program: 'flush-each' },
  { name: 'http + Redis stream', program: 'redis-stream', least: 1.6, store: redis },
  { name: 'http + JetStream', program: 'jetstream', least: 8, store: nats },
];

/** What a user would build instead, each flushing before `202`, beside Forebay at its default settings. */
export async function rivals(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const present: Rival[] = [];
  const missing: string[] = [];
  const commands: ServerCommand[] = [forebay(join(bench.dir, 'rivals-forebay'))];
  for (const rival of RIVALS) {
    const target = await startStore(bench, rival);
    if (target.missing !== undefined) {
      missing.push(`${rival.name} is left out: ${target.missing}`);
      continue;
    }
    present.push(rival);
    const args = [join(ROOT, 'dist/bench/rivals', `${rival.program}.js`), target.argument];
    commands.push({ name: rival.name, books: 'stored', args });
  }
  const servers = await bench.start(commands);
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const [own, ...others] = await contest(servers.map(asItIs), newLoad, rounds, seconds, bench.signal);
  if (own === undefined) throw new Error('Forebay is missing');

  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\nrivals: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows([own, ...others], own))}\n`);
  for (const [index, rival] of others.entries()) {
    const { name, least } = present[index] ?? { name: '' };
    const values = rateRatios(own, rival);
    const label = `Forebay / (${name})`;
    console.log(
      least === undefined ? `${label}: ${spread(values, 2)}` : requirement(label, values, { least }),
    );
  }
  for (const line of missing) console.log(line);
}

/** What the rival's program is called with: the port of its store, or the file that it writes. */
async function startStore(
  bench: Workbench,
  { program, store }: Rival,
): Promise<{ argument: string; missing?: undefined } | { missing: string }> {
  const dir = join(bench.dir, `rivals-${program}`);
  if (store === undefined) return { argument: dir };
  const found = await store(dir);
  if (typeof found === 'string') return { missing: found };
  bench.endsWithCase(found);
  await found.started();
  return { argument: String(found.port) };
}
