import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { deliveredAll } from './accounting.js';
import { runProgram } from './child-program.js';
import { EVENTS_PER_FILE, fillLog } from './filled-log.js';
import { ratios, spread } from './numbers.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { ServerCommand } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

const REPLAY_WAIT_MS = 600_000;
/** What the project requires: this many events a second, or this share of reading the files. One of them is enough. */
const RATE_LEAST = 1_000_000;
const RATIO_LEAST = 0.7;

/** What Forebay prints at the two ends of its replay. */
const BEGIN = 'Replaying pending batches...';
const END = 'Replay complete';

interface Reading {
  readonly files: number;
  readonly bytes: number;
  readonly seconds: number;
}

/**
 * Events that an earlier run left, replayed to a sink that keeps nothing, against the floor: the same files read.
 * Both read from the system's cache; the files are made anew for each round, as replay deletes them.
 */
export async function replay(bench: Workbench, rounds: number, events: number): Promise<void> {
  const reading: number[] = [];
  const replaying: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const dir = join(bench.dir, `replay-${round}`);
    await fillLog(dir, events, bench.signal);
    const { files, seconds } = await runProgram<Reading>('read-files', [dir], bench.signal);
    if (files !== Math.ceil(events / EVENTS_PER_FILE)) throw new Error(`only ${files} files were read`);
    reading.push(events / seconds);
    replaying.push(events / (await replaySeconds(bench, dir, events)));
    await bench.stopServers();
    rmSync(dir, { recursive: true });
  }
  console.log(
    `\nreplay: ${events} events in files of ${EVENTS_PER_FILE}, ${rounds} rounds; median (min–max)\n`,
  );
  const toReading = ratios(replaying, reading);
  console.log(
    table([
      ['', 'events/s', 'of reading'],
      ['open, read, close', spread(reading, 0), '1.00'],
      ['Forebay', spread(replaying, 0), spread(toReading, 2)],
    ]),
  );
  console.log(`\n${requirement('events/s', replaying, { least: RATE_LEAST }, 0)}`);
  console.log(`or ${requirement('of reading', toReading, { least: RATIO_LEAST })}`);
}

/** A Forebay that replays all before it listens. Resolves to the seconds between the two ends of its replay. */
async function replaySeconds(bench: Workbench, dir: string, events: number): Promise<number> {
  const endsMs = new Map<string, number>();
  const command: ServerCommand = {
    ...forebay(dir, { 'replay-wait': REPLAY_WAIT_MS, 'discard-backlog': 'true' }),
    onLine: (line) => {
      if (!line.includes(BEGIN) && !line.includes(END)) return;
      const { time, msg } = JSON.parse(line) as { time: number; msg: string };
      endsMs.set(msg, time);
    },
  };
  const [server] = await bench.start([command]);
  if (server === undefined) throw new Error('the server is missing');
  await deliveredAll(server, events);
  const [beginMs, endMs] = [endsMs.get(BEGIN), endsMs.get(END)];
  if (beginMs === undefined || endMs === undefined)
    throw new Error(`${server.name} said nothing of a replay`);
  return (endMs - beginMs) / 1000;
}
