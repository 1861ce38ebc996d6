import { join } from 'node:path';
import { asItIs, contest, contestRows, p99Ratios, rateRatios } from './contest.js';
import { spread } from './numbers.js';
import { forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
/** The server whose sink is down need not wait for it at its end, in milliseconds. */
const SHUTDOWN_MS = 1000;

/**
 * The door while the sink takes everything at once, and while each attempt of delivery fails: it must not wait for
 * the sink.
 */
export async function delivery(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const down = { 'sink-failure-rate': 1, 'shutdown-timeout': SHUTDOWN_MS };
  const servers = await bench.start([
    { ...forebay(join(bench.dir, 'delivery-on')), name: 'Forebay, sink up' },
    { ...forebay(join(bench.dir, 'delivery-off'), down), name: 'Forebay, sink down', books: 'accepted' },
  ]);
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const [up, failing] = await contest(servers.map(asItIs), newLoad, rounds, seconds, bench.signal);
  if (up === undefined || failing === undefined) throw new Error('a server is missing');

  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\ndelivery: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(table(contestRows([up, failing], up)));
  console.log(`\nsink up / sink down, rate: ${spread(rateRatios(up, failing), 2)}`);
  console.log(`sink up / sink down, p99:  ${spread(p99Ratios(up, failing), 2)}`);
}
