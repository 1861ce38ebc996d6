import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { startLoad } from '../crash/crash-rounds.js';
import { AccountWatch } from '../helpers/account-watch.js';
import { freePort } from '../helpers/free-port.js';
import { ServerProcess } from '../helpers/server-process.js';
import { Random } from '../simulation/random.js';

export interface ChaosOptions {
  readonly rounds: number;
  /** A folder of its own. */
  readonly dir: string;
  readonly connections: number;
  /** How long a round lasts, in milliseconds. */
  readonly roundMs: number;
  /** What the sink and the clients do at random follows from it; when they are killed, and what runs at once, does not. */
  readonly seed: number;
  readonly report?: (line: string) => void;
}

export interface ChaosResult {
  readonly acknowledged: number;
  readonly acknowledgedPoison: number;
  /** Acknowledged events that are neither at the sink nor among the dead letters: must be none. */
  readonly lost: readonly string[];
  /** Dead letters that are no poison, or that nobody sent: must be none. */
  readonly wronglyDead: readonly string[];
  /** Events at the sink that nobody sent: must be none. */
  readonly strange: readonly string[];
  /** What `GET /health` of the last run says once nothing is pending. */
  readonly counts: Readonly<Record<string, number>>;
  readonly duplicates: number;
  /** How often `GET /metrics` was read while the server ran. */
  readonly scrapes: number;
  /** Scrapes in which an accepted event was unaccounted for: must be none. */
  readonly unaccounted: readonly string[];
}

const POISON_EVERY = 300;

/**
 * A real server with a real HTTP sink that answers at random, hangs, breaks off, and is killed and started again;
 * the server is killed, too, at the end of each round. One event in some hundred is poison, which the sink refuses.
 * At the end both are well, and what was acknowledged is held against the sink and the dead letters.
 */
export async function chaosRounds(options: ChaosOptions): Promise<ChaosResult> {
  const { rounds, dir, connections, roundMs, seed, report = () => undefined } = options;
  const [taken, logDir, port] = [join(dir, 'taken'), join(dir, 'log'), await freePort()];
  const flags = ['--log-dir', logDir, '--batch-wait', '50', '--sink', 'http', '--sink-timeout', '300'];
  flags.push('--sink-url', `http://127.0.0.1:${port}/`, '--sink-concurrency', '8', '--replay-wait', '0');
  const sent = new Set<string>();
  const acknowledged = new Set<string>();
  const random = new Random(seed);
  let ids = 0;
  const newId = (): string => `${randomUUID()}${++ids % POISON_EVERY === 0 ? '-poison' : ''}`;
  const account = new AccountWatch();
  let sink = await startSink(port, taken, 'moody', random);
  try {
    for (let round = 1; round <= rounds; round++) {
      const server = await ServerProcess.start(...flags);
      const load = startLoad({ server, connections, sent, acknowledged, random, newId });
      const watched = account.watch(server.port);
      await load.firstAnswer;
      await sleep(roundMs / 2);
      await end(sink);
      await sleep(roundMs / 4);
      sink = await startSink(port, taken, 'moody', random);
      await sleep(roundMs / 4);
      await server.stop('SIGKILL');
      await Promise.all([load.ended, watched]);
      report(`round ${round}: ${acknowledged.size} events acknowledged so far`);
    }
    await end(sink);
    sink = await startSink(port, taken, 'well', random);
    const last = await ServerProcess.start(...flags);
    const watched = account.watch(last.port);
    const counts = await drained(last);
    await last.stop('SIGTERM');
    await watched;
    const found = compare(taken, join(logDir, 'dead-letters'), sent, acknowledged, counts);
    return { ...found, scrapes: account.scrapes, unaccounted: account.broken };
  } finally {
    await end(sink);
  }
}

async function startSink(port: number, file: string, mood: string, random: Random): Promise<ChildProcess> {
  const program = join(process.cwd(), 'dist/test/chaos/moody-server.js');
  const child = spawn(
    process.execPath,
    [program, String(port), file, mood, String(random.whole(0, 2 ** 31))],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  await Promise.race([
    once(child.stdout, 'data'),
    once(child, 'exit').then(() => Promise.reject(new Error('the sink did not start'))),
  ]);
  return child;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill('SIGKILL');
  await once(child, 'exit');
}

async function drained(server: ServerProcess): Promise<Readonly<Record<string, number>>> {
  for (;;) {
    const answer = await fetch(new URL('/health', server.url));
    const { events } = (await answer.json()) as { events: Record<string, number> };
    if (events['pending'] === 0 && events['unreadBatches'] === 0) return events;
    await sleep(50);
  }
}

function compare(
  takenFile: string,
  deadLetters: string,
  sent: ReadonlySet<string>,
  acknowledged: ReadonlySet<string>,
  counts: Readonly<Record<string, number>>,
): Omit<ChaosResult, 'scrapes' | 'unaccounted'> {
  const lines = existsSync(takenFile) ? readFileSync(takenFile, 'utf8').split('\n').slice(0, -1) : [];
  const taken = new Set(lines);
  const names = existsSync(deadLetters) ? readdirSync(deadLetters) : [];
  const letters = names.flatMap((name) =>
    readFileSync(join(deadLetters, name), 'utf8').split('\n').slice(0, -1),
  );
  const dead = new Set(letters.map((line) => (JSON.parse(line) as { event: { id: string } }).event.id));
  const isPoison = (id: string): boolean => id.endsWith('poison');
  return {
    acknowledged: acknowledged.size,
    acknowledgedPoison: [...acknowledged].filter(isPoison).length,
    lost: [...acknowledged].filter((id) => !(isPoison(id) ? dead : taken).has(id)),
    wronglyDead: [...dead].filter((id) => !isPoison(id) || !sent.has(id)),
    strange: [...taken].filter((id) => isPoison(id) || !sent.has(id)),
    counts,
    duplicates: lines.length - taken.size,
  };
}
