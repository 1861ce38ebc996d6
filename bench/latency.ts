import { join } from 'node:path';
import { audited } from './accounting.js';
import { EventClient } from './event-client.js';
import { FlushedFile } from './flushed-file.js';
import { median, quantile, ratios, spread } from './numbers.js';
import { requirement } from './requirement.js';
import { bareServer, forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

/** Measurements between two turns; five rounds make 2,000 of each kind. */
const BLOCK = 400;
const WARM_UP = 200;
/** What the project requires: `202` within this many times `write` + `fdatasync` of the same line. */
const RATIO_MOST = 1.4;

interface Subject {
  readonly name: string;
  /** Measures this many times, one after another; latencies in milliseconds. */
  readonly measure: (times: number) => Promise<readonly number[]>;
  readonly blocks: (readonly number[])[];
}

/**
 * The latency of one `202` with a flush, for a client that sends one event after another, beside its two floors:
 * the disk without HTTP, and HTTP without the disk. They take turns in blocks.
 *
 * @param rounds how many blocks of each kind
 */
export async function latency(bench: Workbench, rounds: number): Promise<void> {
  const [bare, always] = await bench.start([bareServer(), forebay(join(bench.dir, 'latency'))]);
  if (bare === undefined || always === undefined) throw new Error('a server is missing');
  const file = new FlushedFile(join(bench.dir, 'latency-floor.jsonl'));
  const clients = [await EventClient.open(bare), await EventClient.open(always)] as const;
  const disk = subject('write + fdatasync', async (times) => repeated(times, async () => file.append()));
  const http = subject(bare.name, async (times) => repeated(times, async () => clients[0].post()));
  const both = subject(always.name, async (times) => {
    const run = async (): Promise<{ answered: number; latencies: readonly number[] }> => {
      const latencies = await repeated(times, async () => clients[1].post());
      return { answered: latencies.length, latencies };
    };
    return (await audited(always, run)).latencies;
  });
  const subjects = [disk, http, both];
  for (const { measure } of subjects) await measure(WARM_UP);
  for (let round = 0; round < rounds; round++) {
    for (const { measure, blocks } of subjects) blocks.push(await measure(BLOCK));
  }
  for (const client of clients) client.close();
  await file.close();

  console.log(`\nlatency: one client, one event after another, ${rounds} blocks of ${BLOCK}\n`);
  const rows = subjects.map(({ name, blocks }) => {
    const all = blocks.flat();
    return [name, quantile(all, 0.5).toFixed(3), quantile(all, 0.99).toFixed(3)];
  });
  console.log(table([['', 'p50 ms', 'p99 ms'], ...rows]));
  const toDisk = ratios(medians(both), medians(disk));
  console.log(`\n${requirement('Forebay / (write + fdatasync), by block', toDisk, { most: RATIO_MOST })}`);
  console.log(`Forebay / bare server, by block: ${spread(ratios(medians(both), medians(http)), 2)}`);
}

function subject(name: string, measure: Subject['measure']): Subject {
  return { name, measure, blocks: [] };
}

function medians({ blocks }: Subject): number[] {
  return blocks.map((block) => median(block));
}

async function repeated(times: number, once: () => Promise<number>): Promise<number[]> {
  const latencies: number[] = [];
  while (latencies.length < times) latencies.push(await once());
  return latencies;
}
