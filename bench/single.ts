import { join } from 'node:path';
import { asItIs, contest, contestRows, p99Ratios, rateRatios } from './contest.js';
import { requirement } from './requirement.js';
import { bareServer, forebay } from './server-under-test.js';
import type { Flags } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

/** A Forebay of a case, and what the project requires of it beside the bare server in the same round. */
interface Subject {
  readonly flags: Flags;
  /** The least share of the bare server's rate. */
  readonly rateLeast?: number;
  /** How many times the bare server's 99th percentile its own may be. */
  readonly p99Most?: number;
}

interface SingleCase {
  readonly connections: number;
  readonly eventBytes: number;
  readonly subjects: readonly Subject[];
}

const NEVER: Subject = { flags: { fsync: 'never' }, rateLeast: 1 };

/** The cases of single events, by name. */
export const SINGLE_CASES: ReadonlyMap<string, SingleCase> = new Map<string, SingleCase>([
  [
    'single',
    {
      connections: 64,
      eventBytes: 200,
      subjects: [{ flags: { fsync: 'always' }, rateLeast: 0.95, p99Most: 1.3 }, NEVER],
    },
  ],
  ['single-1', { connections: 1, eventBytes: 200, subjects: [{ flags: {} }] }],
  ['single-256', { connections: 256, eventBytes: 200, subjects: [{ flags: {}, rateLeast: 1.05 }] }],
  [
    'single-512',
    {
      connections: 512,
      eventBytes: 200,
      subjects: [
        { flags: {}, rateLeast: 0.95 },
        { flags: { 'batch-size': 5000 }, rateLeast: 0.95 },
      ],
    },
  ],
  [
    'single-batch-5000',
    {
      connections: 64,
      eventBytes: 200,
      subjects: [{ flags: {} }, { flags: { 'batch-size': 5000 }, rateLeast: 0.95 }],
    },
  ],
  ['single-2k', { connections: 64, eventBytes: 2000, subjects: [{ flags: {} }] }],
  [
    'fsync',
    {
      connections: 64,
      eventBytes: 200,
      subjects: [{ flags: { fsync: 'always' } }, { flags: { fsync: 100 } }, NEVER],
    },
  ],
]);

/**
 * Single events: the bare server, and Forebay with some flags.
 *
 * @param name of the case
 * @param rounds how often each server has its turn
 * @param seconds how long a turn takes
 */
export async function single(bench: Workbench, name: string, rounds: number, seconds: number): Promise<void> {
  const found = SINGLE_CASES.get(name);
  if (found === undefined) throw new Error(`no case ${name}`);
  const { connections, eventBytes, subjects } = found;
  const servers = await bench.start([
    bareServer(),
    ...subjects.map(({ flags }, index) => forebay(join(bench.dir, `${name}-${index}`), flags)),
  ]);
  const newLoad = () => singleEvents(connections, eventBytes);
  const [bare, ...forebays] = await contest(servers.map(asItIs), newLoad, rounds, seconds, bench.signal);
  if (bare === undefined) throw new Error('the bare server is missing');

  const what = `one event of ${eventBytes} bytes a request, ${connections} connections`;
  console.log(`\n${name}: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(`${table(contestRows([bare, ...forebays], bare))}\n`);
  for (const [index, contestant] of forebays.entries()) {
    const { rateLeast, p99Most } = subjects[index] ?? {};
    const label = contestant.name;
    if (rateLeast !== undefined) {
      console.log(requirement(`${label}, rate`, rateRatios(contestant, bare), { least: rateLeast }));
    }
    if (p99Most !== undefined) {
      console.log(requirement(`${label}, p99`, p99Ratios(contestant, bare), { most: p99Most }));
    }
  }
}
