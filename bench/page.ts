import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { asItIs, contest, contestRows, p99Ratios, rateRatios, withCosts } from './contest.js';
import type { Side } from './contest.js';
import { ratios, spread } from './numbers.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const PAGES = 100;
const RATE_LEAST = 0.95;

/**
 * The door with a page that nobody has open beside one without a page: two processes. Then with nobody at the page
 * and with many: the same process in turns, because two of them differ by more than what is to be seen.
 */
export async function page(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const [off, on] = await bench.start([
    { ...forebay(join(bench.dir, 'page-off'), { page: 'off' }), name: 'Forebay, no page' },
    { ...forebay(join(bench.dir, 'page-on')), name: 'Forebay, none open' },
  ]);
  if (off === undefined || on === undefined) throw new Error('a server is missing');
  const open: Side['around'] = async (turn) => withPages(on.port, turn);
  const pairs: [Side, Side][] = [
    [asItIs(off), asItIs(on)],
    [asItIs(on), { name: `Forebay, ${PAGES} open`, server: on, around: open }],
  ];
  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\npage: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)`);
  for (const pair of pairs) await compare(bench, pair, rounds, seconds);
}

async function compare(
  bench: Workbench,
  pair: readonly [Side, Side],
  rounds: number,
  seconds: number,
): Promise<void> {
  const { sides, costs } = withCosts(pair);
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  const [without, seen] = await contest(sides, newLoad, rounds, seconds, bench.signal);
  const [costWithout = [], costSeen = []] = costs;
  if (without === undefined || seen === undefined) throw new Error('a side is missing');
  console.log(`\n${table(contestRows([without, seen], without))}\n`);
  console.log(requirement(`${seen.name}, rate`, rateRatios(seen, without), { least: RATE_LEAST }));
  console.log(`${seen.name}, processor time an event: ${spread(ratios(costSeen, costWithout), 2)}`);
  console.log(`${seen.name}, p99: ${spread(p99Ratios(seen, without), 2)}`);
}

/** @throws where a page was told nothing: then it cost nothing */
async function withPages<T>(port: number, turn: () => Promise<T>): Promise<T> {
  const pages = Array.from({ length: PAGES }, () => connect(port, '127.0.0.1'));
  const told = new Map<Socket, number>(pages.map((socket) => [socket, 0]));
  try {
    await Promise.all(
      pages.map(async (socket) => {
        socket.write('GET /page/live HTTP/1.1\r\nHost: localhost\r\n\r\n');
        await once(socket, 'data');
        socket.on('data', (bytes: Buffer) => {
          told.set(socket, (told.get(socket) ?? 0) + bytes.length);
        });
      }),
    );
    const result = await turn();
    const deaf = [...told.values()].filter((bytes) => bytes === 0).length;
    if (deaf > 0) throw new Error(`${deaf} of ${PAGES} open pages were told nothing`);
    return result;
  } finally {
    for (const socket of pages) socket.destroy();
  }
}
