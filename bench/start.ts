import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { ratios, spread } from './numbers.js';
import { bareServer, forebay } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

/** Starts of each kind in a round; a round's number is their mean. */
const STARTS = 5;

/** What a start costs with an empty log, from `spawn` to the line that it listens, against `node -e 0` as a whole. */
export async function start(bench: Workbench, rounds: number): Promise<void> {
  let dirs = 0;
  const kinds: { name: string; once: () => Promise<number>; means: number[] }[] = [
    { name: 'node -e 0', once: async () => nothingMs(bench.signal), means: [] },
    { name: 'bare server', once: async () => listensMs(bench, bareServer()), means: [] },
    {
      name: 'Forebay',
      once: async () => listensMs(bench, forebay(join(bench.dir, `start-${++dirs}`))),
      means: [],
    },
  ];
  for (const kind of kinds) await kind.once();
  for (let round = 0; round < rounds; round++) {
    for (const { once: measure, means } of kinds) {
      let sumMs = 0;
      for (let turn = 0; turn < STARTS; turn++) sumMs += await measure();
      means.push(sumMs / STARTS);
    }
  }
  console.log(`\nstart: ${rounds} rounds of ${STARTS} starts each; median (min–max) of the rounds' means\n`);
  const base = kinds[0]?.means ?? [];
  const rows = kinds.map(({ name, means }) => [name, spread(means, 0), spread(ratios(means, base), 2)]);
  console.log(table([['', 'ms', 'of node -e 0'], ...rows]));
}

async function listensMs(bench: Workbench, command: ServerCommand): Promise<number> {
  const startMs = performance.now();
  await bench.start([command]);
  const elapsedMs = performance.now() - startMs;
  await bench.stopServers();
  return elapsedMs;
}

async function nothingMs(signal: AbortSignal): Promise<number> {
  const startMs = performance.now();
  const child = spawn(process.execPath, ['-e', '0'], { stdio: ['ignore', 'pipe', 'inherit'], signal });
  child.stdout.resume();
  const [status] = (await once(child, 'close')) as [number | null];
  if (status !== 0) throw new Error(`node -e 0 ended with ${status}`);
  return performance.now() - startMs;
}
