import { join } from 'node:path';
import { bulk } from './bulk.js';
import { asItIs, contest, contestRows } from './contest.js';
import { bareServer, forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const BULK_EVENTS = 5000;
/** What the project requires of bulk with two workers: the least share of the rate of JSON.parse in one process. */
const BULK_LEAST = 1.1;
const TWO = { workers: 2 };

/**
 * One process and two workers: single events beside the bare server, and bulk beside JSON.parse.
 *
 * @param rounds how often each has its turn
 * @param seconds how long a turn takes
 */
export async function workers(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const servers = await bench.start([
    bareServer(),
    forebay(join(bench.dir, 'workers-1')),
    forebay(join(bench.dir, 'workers-2'), TWO),
  ]);
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const [bare, ...forebays] = await contest(servers.map(asItIs), newLoad, rounds, seconds, bench.signal);
  if (bare === undefined) throw new Error('the bare server is missing');
  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\nworkers: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(table(contestRows([bare, ...forebays], bare)));
  await bench.stopServers();
  const subjects = [{ flags: {} }, { flags: TWO, least: BULK_LEAST }];
  await bulk(bench, BULK_EVENTS, rounds, seconds, subjects, 'workers-bulk');
}
