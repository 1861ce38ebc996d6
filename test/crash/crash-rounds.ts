import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createReadStream, readdirSync, renameSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { join } from 'node:path';
import split from 'split2';
import { Pool } from 'undici';
import { AccountWatch } from '../helpers/account-watch.js';
import { IdSink } from '../helpers/id-sink.js';
import { ServerProcess } from '../helpers/server-process.js';
import type { SourceRequest } from '../helpers/senders.js';
import { workersOf } from '../helpers/worker-processes.js';
import { until } from '../helpers/wait-for.js';
import type { Random } from '../simulation/random.js';

export interface CrashOptions {
  readonly rounds: number;
  /** A folder of its own: for the append log and for the sink's files. */
  readonly dir: string;
  readonly connections: number;
  /** How long the server lives in a round once it answers, in milliseconds: at random up to this. */
  readonly lifeMsMax: number;
  readonly random: Random;
  readonly report?: (line: string) => void;
  /** Whether the sink's file is moved away all the time, as `logrotate` does. */
  readonly moves?: boolean;
  /**
   * Each start has at random up to this many workers, an HTTP sink, and at random one of the workers is killed first.
   */
  readonly workers?: number;
  /** More flags for the server. */
  readonly flags?: readonly string[];
  /** Requests for one event with this id, to other sources, sent as often as plain ones. */
  readonly others?: readonly ((id: string) => SourceRequest)[];
}

export interface CrashResult {
  /** Events that got `202`. */
  readonly acknowledged: number;
  /** Acknowledged events that are not in the sink's files: must be 0. */
  readonly lost: readonly string[];
  /** Lines in the sink's files beyond the first of each id: at least once allows them. */
  readonly duplicates: number;
  /** Events in the sink's files that were sent and never acknowledged: the answer was cut off. */
  readonly unanswered: number;
  /** Ids in the sink's files that were never sent, or lines that are no events: must be 0. */
  readonly strange: number;
  /** How often `GET /metrics` was read while the server ran. */
  readonly scrapes: number;
  /** Scrapes in which an accepted event was unaccounted for: must be none. */
  readonly unaccounted: readonly string[];
}

/** How many events are acknowledged before the first kill, at least. */
export const ACKNOWLEDGED_MIN = 200;

/**
 * A real server under load, killed by `kill -9` at a random moment, started again, killed again. At the end one
 * more start delivers what is left, and the sink's files are held against the ids that got `202`.
 */
export async function crashRounds(options: CrashOptions): Promise<CrashResult> {
  const { rounds, dir, connections, lifeMsMax, random, moves = false, report = () => undefined } = options;
  const { workers: workersMax = 1 } = options;
  const sinkFile = join(dir, 'sink.jsonl');
  const ends: (() => unknown)[] = [];
  const sink = workersMax === 1 ? null : await IdSink.open({ teardown: (end) => ends.push(end) });
  const sinkFlags = sink?.flags ?? ['--sink', 'file', '--sink-file', sinkFile];
  // at once: hardly anything waits for long here
  const compressing = ['--log-compress-after', '0'];
  const flags = [...sinkFlags, ...compressing, '--log-dir', join(dir, 'log'), '--batch-wait', '50'];
  const sent = new Set<string>();
  const acknowledged = new Set<string>();
  const account = new AccountWatch();
  for (let round = 1; round <= rounds; round++) {
    const workers = random.whole(1, workersMax);
    const server = await ServerProcess.start(
      ...flags,
      '--workers',
      String(workers),
      ...(options.flags ?? []),
    );
    const before = acknowledged.size;
    const { others = [] } = options;
    const load = startLoad({ server, connections, sent, acknowledged, random, others });
    const watched = account.watch(server.port);
    await load.firstAnswer;
    const moving = moves ? setInterval(() => moveAway(sinkFile), MOVE_MS) : undefined;
    const lifeMs = random.whole(0, lifeMsMax - 1);
    await sleep(lifeMs);
    // rounds without load would prove nothing, however slow the machine is
    await until(
      () => acknowledged.size >= ACKNOWLEDGED_MIN && account.scrapes > 0,
      'events are acknowledged',
    );
    if (workers > 1 && random.chance(0.5)) {
      process.kill(random.pick(workersOf(server)), 'SIGKILL');
      await server.line(/WORKER_ENDED/);
      await sleep(random.whole(0, lifeMsMax - 1));
    }
    await server.stop('SIGKILL');
    clearInterval(moving);
    await Promise.all([load.ended, watched]);
    const among = workers === 1 ? '' : ` with ${workers} workers`;
    report(
      `round ${round}${among}: killed after ${lifeMs} ms, ${acknowledged.size - before} events acknowledged`,
    );
  }
  const last = await ServerProcess.start(...flags, '--replay-wait', '600000', ...(options.flags ?? []));
  await last.stop('SIGTERM');
  const found = compare(sink ?? (await idsInFiles(dir)), sent, acknowledged);
  for (const end of ends) end();
  return { ...found, scrapes: account.scrapes, unaccounted: account.broken };
}

/** How often the sink's file is moved away, in milliseconds. */
const MOVE_MS = 5;
let moved = 0;

function moveAway(path: string): void {
  try {
    renameSync(path, path.replace(/\.jsonl$/, `.${++moved}.jsonl`));
  } catch {
    // the server has not created it again yet
  }
}

export interface LoadOptions {
  readonly server: ServerProcess;
  readonly connections: number;
  /** Ids, added as they are sent and as they get `202`. */
  readonly sent: Set<string>;
  readonly acknowledged: Set<string>;
  readonly random: Random;
  readonly newId?: () => string;
  readonly others?: CrashOptions['others'];
}

export interface Load {
  readonly firstAnswer: Promise<unknown>;
  readonly ended: Promise<unknown>;
}

/** Sends events on each connection, one after another, until the server is gone. */
export function startLoad(options: LoadOptions): Load {
  const { server, connections, sent, acknowledged, random, newId = randomUUID, others = [] } = options;
  const pool = new Pool(`http://127.0.0.1:${server.port}`, { connections });
  let first: () => void = () => undefined;
  const firstAnswer = new Promise<void>((resolve) => {
    first = resolve;
  });
  const client = async (): Promise<void> => {
    for (;;) {
      // one request in ten brings many events, more than fit into one batch
      const count = random.chance(0.1) ? random.whole(1, 250) : 1;
      const ids = Array.from({ length: count }, newId);
      const texts = ids.map((id) =>
        JSON.stringify({ id, type: 'crash', data: { padding: 'x'.repeat(100) } }),
      );
      for (const id of ids) sent.add(id);
      const plain = {
        path: '/events',
        headers: { 'content-type': count === 1 ? 'application/json' : 'application/x-ndjson' },
        body: texts.join('\n'),
      };
      const ways = count === 1 ? [() => plain, ...others] : [() => plain];
      const request = random.pick(ways)(ids[0] ?? '');
      try {
        const answer = await pool.request({ ...request, method: 'POST' });
        await answer.body.dump();
        if (answer.statusCode === 202) for (const id of ids) acknowledged.add(id);
        first();
      } catch {
        return;
      }
    }
  };
  const ended = Promise.all(Array.from({ length: connections }, client)).then(() => pool.destroy());
  return { firstAnswer: Promise.race([firstAnswer, ended]), ended };
}

/** What a sink got: its ids, lines beyond the first of an id, and lines without one. */
interface Got {
  readonly ids: ReadonlySet<string>;
  readonly duplicates: number;
  readonly strange: number;
}

/** @param dir where the sink's files are, with those that were moved away */
async function idsInFiles(dir: string): Promise<Got> {
  const ids = new Set<string>();
  let [duplicates, strange] = [0, 0];
  for (const name of readdirSync(dir).filter((each) => /^sink.*\.jsonl$/.test(each))) {
    const stream = createReadStream(join(dir, name)).pipe(split());
    stream.on('data', (line: string) => {
      const id = idOf(line);
      if (id === null) strange++;
      else if (ids.has(id)) duplicates++;
      else ids.add(id);
    });
    await once(stream, 'end');
  }
  return { ids, duplicates, strange };
}

function compare(
  { ids, duplicates, strange }: Got,
  sent: Set<string>,
  acknowledged: Set<string>,
): Omit<CrashResult, 'scrapes' | 'unaccounted'> {
  const known = [...ids].filter((id) => sent.has(id));
  return {
    acknowledged: acknowledged.size,
    lost: [...acknowledged].filter((id) => !ids.has(id)),
    duplicates,
    unanswered: known.filter((id) => !acknowledged.has(id)).length,
    strange: strange + ids.size - known.length,
  };
}

function idOf(line: string): string | null {
  try {
    return (JSON.parse(line) as { id: string }).id;
  } catch {
    return null;
  }
}
