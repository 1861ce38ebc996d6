import { join } from 'node:path';
import { asItIs, contest, contestRows, rateRatios, withCosts } from './contest.js';
import type { Contestant } from './contest.js';
import { spread } from './numbers.js';
import { ROOT } from './paths.js';
import { KNOWS_TIME } from './process-time.js';
import { requirement } from './requirement.js';
import { fluentBit, nats, redis } from './rival-stores.js';
import type { FoundStore } from './rival-stores.js';
import { bareServer, forebay } from './server-under-test.js';
import type { Target } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, singleEvents } from './wrk.js';

const CONNECTIONS: readonly number[] = [64, 256];
/** A rival that flushes one event after another has these only: with more, an event waits longer than wrk does. */
const FEW_CONNECTIONS: readonly number[] = [64];
const EVENT_BYTES = 200;
const NO_FLUSH =
  'Fluent Bit answers before an event is flushed to the device, Forebay and the other rivals after it.';

interface Rival {
  readonly name: string;
  /** Where it takes part. */
  readonly connections: readonly number[];
  /** What the project requires: at least this many times the rival's rate. */
  readonly least?: number;
  /** How many workers the Forebay has that it is compared with. */
  readonly workers: 1 | 2;
  /** Starts it, or says why it is left out. @param dir a folder that is not there yet */
  readonly start: (bench: Workbench, name: string, dir: string) => Promise<Target | string>;
}

const RIVALS: readonly Rival[] = [
  {
    name: 'http + fdatasync each',
    connections: FEW_CONNECTIONS,
    workers: 1,
    start: door('flush-each'),
  },
  {
    name: 'http + Redis stream',
    connections: CONNECTIONS,
    least: 1.6,
    workers: 1,
    start: door('redis-stream', redis),
  },
  {
    name: 'http + JetStream',
    connections: FEW_CONNECTIONS,
    least: 8,
    workers: 1,
    start: door('jetstream', nats),
  },
  {
    name: 'Fluent Bit, one thread',
    connections: CONNECTIONS,
    least: 1.6,
    workers: 1,
    start: program(async (dir) => fluentBit(dir, 1)),
  },
  {
    name: 'Fluent Bit, two workers',
    connections: CONNECTIONS,
    workers: 2,
    start: program(async (dir) => fluentBit(dir, 2)),
  },
];

/**
 * What a user would take instead, beside the bare server and Forebay at its default settings. All but Fluent Bit
 * flush an event before they answer.
 */
export async function rivals(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  await requireWrk();
  const present: { rival: Rival; target: Target }[] = [];
  const missing: string[] = [];
  for (const [index, rival] of RIVALS.entries()) {
    const target = await rival.start(bench, rival.name, join(bench.dir, `rivals-${index}`));
    if (typeof target === 'string') missing.push(`${rival.name} is left out: ${target}`);
    else present.push({ rival, target });
  }
  const isTwo = present.some(({ rival }) => rival.workers === 2);
  const own = await bench.start([
    bareServer(),
    forebay(join(bench.dir, 'rivals-forebay')),
    ...(isTwo ? [forebay(join(bench.dir, 'rivals-forebay-2'), { workers: 2 })] : []),
  ]);
  for (const connections of CONNECTIONS) {
    const others = present.filter(({ rival }) => rival.connections.includes(connections));
    const targets = [...own, ...others.map(({ target }) => target)];
    const { sides, costs } = KNOWS_TIME
      ? withCosts(targets.map(asItIs))
      : { sides: targets.map(asItIs), costs: [] };
    const newLoad = () => singleEvents(connections, EVENT_BYTES);
    const contestants = await contest(sides, newLoad, rounds, seconds, bench.signal);
    const what = `one event of ${EVENT_BYTES} bytes a request, ${connections} connections`;
    console.log(`\nrivals: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
    print(contestants, costs);
    for (const [index, { rival }] of others.entries()) {
      // the bare server is the first, then Forebay with one process and with two workers
      compare(rival, contestants[rival.workers], contestants[own.length + index]);
    }
  }
  console.log('');
  if (present.some(({ target }) => target.books === 'forwarded')) console.log(NO_FLUSH);
  for (const line of missing) console.log(line);
}

/** @param costs processor time of an event, by contestant and round; none if the system does not say it */
function print(contestants: readonly Contestant[], costs: readonly (readonly number[])[]): void {
  const [bare] = contestants;
  if (bare === undefined) throw new Error('the bare server is missing');
  const rows = contestRows(contestants, bare);
  if (costs.length > 0) {
    rows[0]?.push('CPU µs');
    for (const [index, values] of costs.entries()) rows[index + 1]?.push(spread(values, 1));
  }
  console.log(`${table(rows)}\n`);
}

function compare({ name, least }: Rival, own: Contestant | undefined, rival: Contestant | undefined): void {
  if (own === undefined || rival === undefined) throw new Error(`${name} or its Forebay is missing`);
  const values = rateRatios(own, rival);
  const label = `${own.name} / (${name})`;
  console.log(least === undefined ? `${label}: ${spread(values, 2)}` : requirement(label, values, { least }));
}

/**
 * A door of this folder's `rivals/`, called with the port of its store, or with the file that it writes.
 *
 * @param file its program, without `.js`
 */
function door(file: string, store?: (dir: string) => Promise<FoundStore>): Rival['start'] {
  return async (bench, name, dir) => {
    const found = await store?.(dir);
    if (typeof found === 'string') return found;
    if (found !== undefined) {
      bench.endsWithCase(found);
      await found.started();
    }
    const argument = found === undefined ? dir : String(found.port);
    const args = [join(ROOT, 'dist/bench/rivals', `${file}.js`), argument];
    const [server] = await bench.start([{ name, books: 'stored', args }]);
    if (server === undefined) throw new Error(`${name} is missing`);
    const { port, books, adminPort } = server;
    return { name, port, books, adminPort, cpuMs: () => server.cpuMs() + (found?.cpuMs() ?? 0) };
  };
}

/** A program that speaks HTTP and keeps events by itself. */
function program(find: (dir: string) => Promise<FoundStore>): Rival['start'] {
  return async (bench, name, dir) => {
    const found = await find(dir);
    if (typeof found === 'string') return found;
    bench.endsWithCase(found);
    await found.started();
    const { port, adminPort } = found;
    return { name, port, adminPort, books: 'forwarded', cpuMs: () => found.cpuMs() };
  };
}
