import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { runProgram } from './child-program.js';
import { fillLog } from './filled-log.js';
import { spread } from './numbers.js';
import { ROOT } from './paths.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

const PLACES = 6;
const TAKES_MS = 20;
const SETTINGS = ['1', '2', '4', '6', '8', '16', '32', 'auto'] as const;
const EVENTS_PER_FILE = 10;
/** Until `auto` knows the sink; a fixed number has nothing to learn. */
const WARM_SECONDS = 8;

/** `--sink-concurrency auto` against fixed numbers, at a sink that tells nobody how many batches it works on at once. */
export async function concurrency(bench: Workbench, rounds: number, seconds: number): Promise<void> {
  for (const full of ['waits', 'busy']) {
    const args = [join(ROOT, 'dist/bench/limited-sink.js'), String(PLACES), String(TAKES_MS), full];
    const [sink] = await bench.start([{ name: 'limited sink', books: 'none', args }]);
    if (sink === undefined) throw new Error('the sink is missing');
    const taken = async (): Promise<number> => {
      const answer = await fetch(`http://127.0.0.1:${sink.port}/`);
      return ((await answer.json()) as { taken: number }).taken;
    };
    const rates = new Map<string, number[]>(SETTINGS.map((setting) => [setting, []]));
    // as many batches as the sink can take in the time, and half as many again
    const files = Math.ceil(((PLACES * 1000) / TAKES_MS) * (WARM_SECONDS + seconds) * 1.5);
    for (let round = 0; round < rounds; round++) {
      for (const setting of SETTINGS) {
        const dir = join(bench.dir, `concurrency-${full}-${round}-${setting}`);
        await fillLog(dir, files * EVENTS_PER_FILE, EVENTS_PER_FILE, bench.signal);
        const before = await taken();
        const warmSeconds = setting === 'auto' ? WARM_SECONDS : 1;
        const programArgs = [dir, sink.port, setting, warmSeconds, seconds];
        const result = await runProgram<{ rate: number; taken: number }>(
          'deliver-to-limited',
          programArgs,
          bench.signal,
        );
        const came = (await taken()) - before;
        if (came !== result.taken) throw new Error(`${result.taken} batches confirmed, ${came} at the sink`);
        rates.get(setting)?.push(result.rate);
        rmSync(dir, { recursive: true });
      }
    }
    const best = Array.from({ length: rounds }, (_, round) =>
      Math.max(...SETTINGS.filter((each) => each !== 'auto').map((each) => rates.get(each)?.[round] ?? 0)),
    );
    const rows = SETTINGS.map((setting) => {
      const found = rates.get(setting) ?? [];
      return [
        setting,
        spread(found, 0),
        spread(
          found.map((rate, round) => rate / (best[round] ?? 1)),
          2,
        ),
      ];
    });
    const how = full === 'busy' ? 'answers 503 to others' : 'lets others wait';
    console.log(
      `\nconcurrency: a sink that works on ${PLACES} batches at once, ${TAKES_MS} ms each, and ${how}; ` +
        `${rounds} rounds of ${seconds} s; median (min–max)\n`,
    );
    console.log(table([['--sink-concurrency', 'batches/s', 'of the best fixed one'], ...rows]));
  }
}
