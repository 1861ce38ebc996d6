import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { audited, deliveredAll } from './accounting.js';
import { BULK_QUEUE_SIZE, bulkBody, bulkLoad } from './bulk-load.js';
import { fillLog } from './filled-log.js';
import { KNOWS_MEMORY } from './process-memory.js';
import { requirement } from './requirement.js';
import { forebay } from './server-under-test.js';
import type { Flags } from './server-under-test.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';
import { requireWrk, runWrk, singleEvents } from './wrk.js';

const REPLAY_WAIT_MS = 600_000;
const CONNECTIONS = 64;
const EVENT_BYTES = 200;
const BULK_CONNECTIONS = 2;
const BULK_EVENTS = 5000;
/** What the project requires of the resident memory, in megabytes (10^6 bytes). */
const PEAK_MB_MOST = 200;

const SUBJECTS: readonly Flags[] = [{}, { 'batch-size': 5000 }];

/**
 * The resident memory of one process that replays what is on disk, then takes single events, then bulk requests:
 * the most that it ever was after each.
 *
 * @param seconds how long it takes single events, and bulk requests
 * @param events how many it replays
 */
export async function memory(bench: Workbench, seconds: number, events: number): Promise<void> {
  if (!KNOWS_MEMORY) {
    console.log('\nmemory: reads the memory of a process from /proc, which this system does not have');
    return;
  }
  await requireWrk();
  const { dir, signal } = bench;
  const bodyPath = join(dir, 'memory.ndjson');
  writeFileSync(bodyPath, bulkBody(BULK_EVENTS));
  const rows: string[][] = [];
  const peaksMb: number[] = [];
  for (const [index, flags] of SUBJECTS.entries()) {
    const logDir = join(dir, `memory-${index}`);
    await fillLog(logDir, events, signal);
    const more = { 'replay-wait': REPLAY_WAIT_MS, 'discard-backlog': 'true', 'queue-size': BULK_QUEUE_SIZE };
    const { name } = forebay(logDir, flags);
    const [server] = await bench.start([{ ...forebay(logDir, { ...flags, ...more }), name }]);
    if (server === undefined) throw new Error('the server is missing');
    await deliveredAll(server, events);
    const peaks = [server.memory().peakMb];
    for (const load of [
      singleEvents(CONNECTIONS, EVENT_BYTES),
      bulkLoad(BULK_CONNECTIONS, bodyPath, BULK_EVENTS),
    ]) {
      await audited(server, async () => runWrk(server, load, seconds, signal));
      peaks.push(server.memory().peakMb);
    }
    await bench.stopServers();
    peaksMb.push(Math.max(...peaks));
    rows.push([name, ...peaks.map((mb) => mb.toFixed(0))]);
  }
  console.log(
    `\nmemory: one process: ${events} events replayed, ${seconds} s of single events, ${seconds} s of bulk\n`,
  );
  console.log(table([['largest RSS so far, MB', 'after replay', 'after single', 'after bulk'], ...rows]));
  console.log(`\n${requirement('largest RSS, MB', [Math.max(...peaksMb)], { most: PEAK_MB_MOST }, 0)}`);
}
