import { once } from 'node:events';
import { connect } from 'node:net';
import type { Socket } from 'node:net';
import { join } from 'node:path';
import { contest, contestRows, p99Ratios, rateRatios } from './contest.js';
import { ratios, spread } from './numbers.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { ServerUnderTest } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { singleEvents } from './wrk.js';
import type { WrkRun } from './wrk.js';

const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const PAGES = 100;
const RATE_LEAST = 0.95;

/** The door while nobody looks at the page, and while many do, beside one that has none. */
export async function page(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  const [off, none, many] = ['Forebay, no page', 'Forebay, none open', `Forebay, ${PAGES} open`];
  const servers = await bench.start([
    { ...forebay(join(bench.dir, 'page-off'), { page: 'off' }), name: off ?? '' },
    { ...forebay(join(bench.dir, 'page-none')), name: none ?? '' },
    { ...forebay(join(bench.dir, 'page-many')), name: many ?? '' },
  ]);
  const newLoad = () => singleEvents(CONNECTIONS, EVENT_BYTES);
  /** What an event takes of the processor, in microseconds, by server and round. */
  const costs = new Map<ServerUnderTest, number[]>(servers.map((server) => [server, []]));
  const around = async (server: ServerUnderTest, turn: () => Promise<WrkRun>): Promise<WrkRun> => {
    const timed = async (): Promise<WrkRun> => {
      const beforeMs = server.cpuMs();
      const run = await turn();
      costs.get(server)?.push(((server.cpuMs() - beforeMs) * 1000) / run.answered);
      return run;
    };
    return server.name === many ? withPages(server.port, timed) : timed();
  };
  const found = await contest(servers, newLoad, rounds, seconds, bench.signal, around);
  const [without, unseen, seen] = found;
  if (without === undefined || unseen === undefined || seen === undefined)
    throw new Error('a server is missing');

  const what = `one event of ${EVENT_BYTES} bytes a request, ${CONNECTIONS} connections`;
  console.log(`\npage: ${what}, ${rounds} rounds of ${seconds} s; median (min–max)\n`);
  console.log(table(contestRows([without, unseen, seen], without)));
  console.log(`\nnone open / no page, rate: ${spread(rateRatios(unseen, without), 2)}`);
  const bound = { least: RATE_LEAST };
  console.log(requirement(`${PAGES} open / no page, rate`, rateRatios(seen, without), bound));
  const [costWithout = [], costUnseen = [], costSeen = []] = [...costs.values()];
  console.log(`none open / no page, processor time an event: ${spread(ratios(costUnseen, costWithout), 2)}`);
  console.log(
    `${PAGES} open / no page, processor time an event: ${spread(ratios(costSeen, costWithout), 2)}`,
  );
  console.log(`${PAGES} open / no page, p99:  ${spread(p99Ratios(seen, without), 2)}`);
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
