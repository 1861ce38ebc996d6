import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import split from 'split2';
import { Pool } from 'undici';
import { NumberedEvent } from './numbered-event.js';
import { quantile } from './numbers.js';
import { ROOT } from './paths.js';
import { KNOWS_MEMORY, memoryOf } from './process-memory.js';
import type { ProcessMemory } from './process-memory.js';
import { table } from './table.js';
import type { Workbench } from './workbench.js';

const EVENTS = 1_000_000;
const CONNECTIONS = 64;
const LATENCIES = 500;
/** What the project requires of the server, whatever waits on disk. */
const RSS_MB_MAX = 200;
const LISTENS_MS_MAX = 2000;
/** From listening to the first batch at the sink: at once. */
const DELIVERS_MS_MAX = 1000;
const DELIVERY_MS_MAX = 600_000;

interface Counts {
  readonly accepted: number;
  readonly delivered: number;
  readonly quarantined: number;
  readonly pending: number;
  readonly unreadBatches: number;
}

/** A server process that can be killed, and whose memory can be read. */
class KillableServer {
  readonly startedMs = performance.now();
  /** When it listened, and when the sink confirmed the first batch, in milliseconds after the start. */
  listensMs = NaN;
  deliversMs = NaN;
  pool: Pool | null = null;
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;

  constructor(logDir: string, flags: readonly string[], signal: AbortSignal) {
    const args = [join(ROOT, 'bin/server.js'), '--port', '0', '--log-dir', logDir, ...flags];
    this.#child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], detached: true });
    this.#closed = once(this.#child, 'close');
    signal.addEventListener('abort', () => this.#child.kill('SIGKILL'));
  }

  async listens(): Promise<void> {
    const port = new Promise<number>((resolve) => {
      this.#child.stdout?.pipe(split()).on('data', (line: string) => {
        const nowMs = performance.now() - this.startedMs;
        if (Number.isNaN(this.deliversMs) && line.includes('Successfully sent batch'))
          this.deliversMs = nowMs;
        const found = / on port (\d+)/.exec(line)?.[1];
        if (found === undefined) return;
        this.listensMs = nowMs;
        resolve(Number(found));
      });
    });
    const ended = this.#closed.then(() => Promise.reject(new Error('the server ended at its start')));
    this.pool = new Pool(`http://127.0.0.1:${await Promise.race([port, ended])}`, {
      connections: CONNECTIONS,
    });
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#closed;
    await this.pool?.destroy();
  }

  memory(): ProcessMemory {
    return memoryOf(this.#child.pid);
  }

  async health(): Promise<Counts> {
    return ((await this.#ask('/health', null, 200)) as { events: Counts }).events;
  }

  async post(event: Buffer): Promise<void> {
    await this.#ask('/events', event, 202);
  }

  async #ask(path: string, body: Buffer | null, expected: number): Promise<unknown> {
    const method = body === null ? 'GET' : 'POST';
    const headers = { 'content-type': 'application/json' };
    const answer = await this.pool?.request({ path, method, headers, body });
    const json = await answer?.body.json();
    if (answer?.statusCode !== expected) {
      throw new Error(`${method} ${path}: ${answer?.statusCode} ${JSON.stringify(json)}`);
    }
    return json;
  }
}

/**
 * What a million events that wait on disk cost: the server is filled through its door while the sink is down, looked
 * at, killed, started again, and delivers them all to a sink that takes them at once.
 */
export async function backlogMemory({ dir, signal }: Workbench): Promise<void> {
  if (!KNOWS_MEMORY) {
    console.log(
      '\nbacklog-memory: reads the memory of a process from /proc, which this system does not have',
    );
    return;
  }
  const logDir = join(dir, 'backlog-memory');
  const down = new KillableServer(logDir, ['--sink-latency', '0', '--sink-failure-rate', '1'], signal);
  await down.listens();
  const seconds = await fill(down);
  const during = down.memory();
  await delay(5000, undefined, { signal });
  const after = down.memory();
  const event = new NumberedEvent((text) => text);
  const health = await latencies(async () => down.health());
  const post = await latencies(async (number) => {
    event.number = EVENTS + number;
    await down.post(event.bytes);
  });
  const accepted = EVENTS + LATENCIES;
  const { pending } = await down.health();
  if (pending !== accepted) throw new Error(`${accepted} events were acknowledged, but ${pending} wait`);
  await down.kill();
  const files = readdirSync(logDir).filter((name) => name.startsWith('batch_')).length;

  const up = new KillableServer(
    logDir,
    ['--sink-latency', '0', '--replay-wait', '0', '--discard-backlog'],
    signal,
  );
  await up.listens();
  const { lookMsMax } = await delivered(up, accepted, signal);
  const deliveredMs = performance.now() - up.startedMs;
  const delivery = up.memory();
  await up.kill();

  console.log(`\nbacklog-memory: ${accepted} events in ${files} files, sent in ${seconds.toFixed(0)} s\n`);
  const ms = (values: readonly number[], q: number): string => quantile(values, q).toFixed(2);
  console.log(
    table([
      ['with that backlog', 'p50 ms', 'p99 ms', 'max ms'],
      ['GET /health', ms(health, 0.5), ms(health, 0.99), ms(health, 1)],
      ['POST /events', ms(post, 0.5), ms(post, 0.99), ms(post, 1)],
    ]),
  );
  console.log(`
RSS 5 s after the last of them            ${after.rssMb.toFixed(0)} MB
GET /health during delivery, at the most  ${lookMsMax.toFixed(0)} ms
delivered after a restart in              ${(deliveredMs / 1000).toFixed(1)} s
`);
  const firstMs = up.deliversMs - up.listensMs;
  check('RSS while it takes them, at the most', during.peakMb, RSS_MB_MAX, 'MB');
  check('RSS while it delivers them, at the most', delivery.peakMb, RSS_MB_MAX, 'MB');
  check('listens after kill -9 within', up.listensMs, LISTENS_MS_MAX, 'ms');
  check('from there to the first batch delivered', Math.max(0, firstMs), DELIVERS_MS_MAX, 'ms');
}

function check(what: string, value: number, most: number, unit: string): void {
  const verdict = value < most ? 'met' : 'NOT met';
  console.log(`${what}: ${value.toFixed(0)} ${unit}; required: under ${most} ${unit}: ${verdict}`);
}

/** Posts all events, on connections that stay open. Resolves to the seconds that took. */
async function fill(server: KillableServer): Promise<number> {
  const startedMs = performance.now();
  let sent = 0;
  const client = async (): Promise<void> => {
    const event = new NumberedEvent((text) => text);
    while (sent < EVENTS) {
      event.number = sent++;
      await server.post(event.bytes);
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, client));
  return (performance.now() - startedMs) / 1000;
}

async function latencies(post: (number: number) => Promise<unknown>): Promise<number[]> {
  const values: number[] = [];
  while (values.length < LATENCIES) {
    const startMs = performance.now();
    await post(values.length);
    values.push(performance.now() - startMs);
  }
  return values;
}

/** Resolves when all events of the run before are delivered. @throws where one of them is not, or comes twice */
async function delivered(
  server: KillableServer,
  events: number,
  signal: AbortSignal,
): Promise<{ lookMsMax: number }> {
  const end = performance.now() + DELIVERY_MS_MAX;
  for (let lookMsMax = 0; ;) {
    const startMs = performance.now();
    const counts = await server.health();
    lookMsMax = Math.max(lookMsMax, performance.now() - startMs);
    if (counts.pending === 0 && counts.unreadBatches === 0) {
      if (counts.delivered !== events) throw new Error(`not ${events} events: ${JSON.stringify(counts)}`);
      return { lookMsMax };
    }
    if (performance.now() > end) throw new Error(`not delivered: ${JSON.stringify(counts)}`);
    await delay(50, undefined, { signal });
  }
}
