import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './child-program.js';
import { EVENTS_PER_FILE, fillLog } from './filled-log.js';
import { ratios, spread } from './numbers.js';
import { ROOT } from './paths.js';
import { table } from './table.js';
import { BODIES_AT_ONCE } from './to-counting-sink.js';
import type { Workbench } from './workbench.js';

/** Events that an earlier run left, replayed to an HTTP sink on loopback, against the same files read and posted. */
export async function replayHttp(bench: Workbench, rounds: number, events: number): Promise<void> {
  const args = [join(ROOT, 'dist/bench/counting-sink.js')];
  const [sink] = await bench.start([{ name: 'counting sink', books: 'none', args }]);
  if (sink === undefined) throw new Error('the sink is missing');
  const received = async (): Promise<number> => {
    const answer = await fetch(`http://127.0.0.1:${sink.port}/`);
    return ((await answer.json()) as { events: number }).events;
  };
  const rateOf = async (program: string, dir: string): Promise<number> => {
    const before = await received();
    const { seconds } = await runProgram<{ seconds: number }>(program, [dir, sink.port], bench.signal);
    const came = (await received()) - before;
    if (came !== events) throw new Error(`${program}: ${came} of ${events} events came to the sink`);
    return events / seconds;
  };
  const posting: number[] = [];
  const replaying: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const dir = join(bench.dir, `replay-http-${round}`);
    await fillLog(dir, events, bench.signal);
    posting.push(await rateOf('post-files', dir));
    replaying.push(await rateOf('replay-to-http', dir));
    rmSync(dir, { recursive: true });
  }
  console.log(
    `\nreplay-http: ${events} events in files of ${EVENTS_PER_FILE}, ${BODIES_AT_ONCE} bodies at once, ` +
      `${rounds} rounds; median (min–max)\n`,
  );
  console.log(
    table([
      ['', 'events/s', 'of posting'],
      ['read and post', spread(posting, 0), '1.00'],
      ['Forebay', spread(replaying, 0), spread(ratios(replaying, posting), 2)],
    ]),
  );
}
