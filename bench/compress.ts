import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { contest, contestRows, p99Ratios, rateRatios } from './contest.js';
import type { Side } from './contest.js';
import { spread } from './numbers.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { Flags } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
/** The sink is down: a stop need not wait for it, in milliseconds. */
const DOWN: Flags = { 'sink-failure-rate': 1, 'shutdown-timeout': 1000, 'backlog-max': '8GiB' };
/** Soon, so that files of a turn are compressed within it. */
const AFTER_MS = 500;
/** What the project requires: the door's rate beside compression, and how much smaller a backlog gets. */
const RATE_LEAST = 0.95;
const RATIO_LEAST = 6;
const BLOCK_BYTES = 4096;
/** A turn is over when no file was compressed for this long; at most this often it is looked. */
const STILL_MS = 4000;
const LOOKS_MAX = 60;

/** The door while the sink is down, with compression and without, and what the backlog takes of the disk. */
export async function compress(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const [without, withIt] = [join(bench.dir, 'compress-off'), join(bench.dir, 'compress-on')];
  const servers = await bench.start([
    { ...forebay(without, { ...DOWN, 'log-compress': 'off' }), books: 'accepted' },
    { ...forebay(withIt, { ...DOWN, 'log-compress-after': AFTER_MS }), books: 'accepted' },
  ]);
  const costs: number[][] = servers.map(() => []);
  const sides = servers.map((server, index): Side => {
    const around: Side['around'] = async (turn) => {
      const beforeMs = server.cpuMs();
      const run = await turn();
      // what is left is compressed in nobody else's turn
      if (index > 0) await compressed(withIt);
      costs[index]?.push(((server.cpuMs() - beforeMs) * 1000) / run.answered);
      return run;
    };
    return { name: `--log-compress ${index === 0 ? 'off' : 'on'}`, server, around };
  });
  const load = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const [off, on] = await contest(sides, load, rounds, seconds, bench.signal);
  if (off === undefined || on === undefined) throw new Error('a side is missing');
  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections, the sink down`;
  console.log(`\ncompress: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows([off, on], off))}\n`);
  console.log(requirement('with compression, rate', rateRatios(on, off), { least: RATE_LEAST }));
  console.log(`with compression, p99: ${spread(p99Ratios(on, off), 2)}`);
  const [offCosts = [], onCosts = []] = costs;
  console.log(`processor time of an event, µs: ${spread(onCosts, 1)} instead of ${spread(offCosts, 1)}`);
  const all = [...sizes(withIt)];
  const files = all.filter(({ name }) => /\.(?:gz|zst)$/.test(name));
  const [disk, bytes] = [
    sum(all.map(({ bytes: size }) => blocks(size))),
    sum(files.map((file) => file.bytes)),
  ];
  console.log(
    `compressed: ${files.length} of ${all.length} files, ${Math.round(bytes / files.length)} bytes each`,
  );
  // per event: the two servers have taken different numbers of them
  const plain = sum([...sizes(without)].map(({ bytes: size }) => blocks(size)));
  const ratio = plain / answered(off.runs) / (disk / answered(on.runs));
  console.log(requirement('the backlog on disk is smaller by', [ratio], { least: RATIO_LEAST }, 1));
}

/** Resolves when no more files are compressed. */
async function compressed(dir: string): Promise<void> {
  let before = -1;
  for (let look = 0; look < LOOKS_MAX; look++) {
    const now = sum([...sizes(dir)].map(({ bytes }) => bytes));
    if (now === before) return;
    before = now;
    await sleep(STILL_MS);
  }
}

function* sizes(dir: string): Generator<{ name: string; bytes: number }> {
  for (const name of readdirSync(dir)) {
    const stats = statSync(join(dir, name), { throwIfNoEntry: false });
    if (name.startsWith('batch_') && stats !== undefined) yield { name, bytes: stats.size };
  }
}

const answered = (runs: readonly { readonly answered: number }[]): number =>
  sum(runs.map((run) => run.answered));
const blocks = (bytes: number): number => Math.ceil(bytes / BLOCK_BYTES) * BLOCK_BYTES;
const sum = (values: readonly number[]): number => values.reduce((all, value) => all + value, 0);
