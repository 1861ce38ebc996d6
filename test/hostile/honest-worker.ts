import { setTimeout as sleep } from 'node:timers/promises';
import { parentPort, workerData } from 'node:worker_threads';
import { Agent, Pool } from 'undici';
import type { Dispatcher } from 'undici';

/** `mark`: measure from now on. */
export type HonestOrder = 'mark' | 'report' | 'end';

export interface HonestReport {
  /** The longest wait since the last mark, in milliseconds, of what is still waiting, too. */
  readonly longestMs: number;
  /** What that was for. */
  readonly longestFor: string;
  /** How long what is waiting now has waited. */
  readonly waitingMs: number;
  /** Answers other than the one it needs, and connections that broke, since the last mark. */
  readonly refusals: number;
  /** The ids of all events that got `202`. */
  readonly acknowledged: readonly string[];
}

const PAUSE_MS = 5;
const HEALTH_PAUSE_MS = 100;
/** How soon it comes back when it is refused. */
const AGAIN_MS = 20;
/** What takes longer is asked anew, on another connection. */
const ANSWER_MS = 20_000;

/** Asks for one thing after another, each until it gets it, and measures how long that takes. */
class Waits {
  longestMs = 0;
  longestFor = '';
  refusals = 0;
  readonly #since = new Map<string, number>();

  get waitingMs(): number {
    return Math.max(0, ...[...this.#since.values()].map((since) => performance.now() - since));
  }

  look(): void {
    for (const [what, since] of this.#since) {
      const ms = performance.now() - since;
      if (ms <= this.longestMs) continue;
      this.longestMs = ms;
      this.longestFor = what;
    }
  }

  mark(): void {
    this.longestMs = 0;
    this.longestFor = '';
    this.refusals = 0;
  }

  /** @param attempt resolves with the status */
  async until(what: string, status: number, attempt: () => Promise<number>): Promise<void> {
    this.#since.set(what, performance.now());
    while (!ending.signal.aborted && (await attempt().catch(() => 0)) !== status) {
      this.refusals++;
      await sleep(AGAIN_MS);
    }
    this.look();
    this.#since.delete(what);
  }
}

const { port, name, isTls } = workerData as {
  readonly port: number;
  readonly name: string;
  readonly isTls: boolean;
};
const origin = `${isTls ? 'https' : 'http'}://127.0.0.1:${port}`;
const host = `localhost:${port}`;
const timeouts = {
  headersTimeout: ANSWER_MS,
  bodyTimeout: ANSWER_MS,
  connect: { timeout: ANSWER_MS, rejectUnauthorized: false },
};
const waits = new Waits();
const acknowledged: string[] = [];
const ending = new AbortController();

parentPort?.on('message', (order: HonestOrder) => {
  if (order === 'mark') waits.mark();
  else waits.look();
  if (order === 'end') ending.abort();
  const { longestMs, longestFor, waitingMs, refusals } = waits;
  const report: HonestReport = {
    longestMs,
    longestFor,
    waitingMs,
    refusals,
    acknowledged: order === 'end' ? acknowledged : [],
  };
  parentPort?.postMessage(report, []);
});
await Promise.all([sendEvents(), askHealth()]);

/** Over one connection that stays. */
async function sendEvents(): Promise<void> {
  const pool = new Pool(origin, { connections: 1, ...timeouts });
  const headers = { host, 'content-type': 'application/json' };
  for (let count = 1; !ending.signal.aborted; count++) {
    const id = `honest-${name}-${count}`;
    const body = JSON.stringify({ id, type: 'honest', data: { count } });
    const request = { origin, path: '/events', method: 'POST', headers, body } as const;
    await waits.until('202', 202, async () => statusOf(pool, request));
    if (!ending.signal.aborted) acknowledged.push(id);
    await sleep(PAUSE_MS);
  }
}

/** Like a probe: over a new connection each time. */
async function askHealth(): Promise<void> {
  while (!ending.signal.aborted) {
    await waits.until('/health', 200, async () => {
      const agent = new Agent(timeouts);
      try {
        return await statusOf(agent, {
          origin,
          path: '/health',
          method: 'GET',
          headers: { host },
          reset: true,
        });
      } finally {
        void agent.destroy();
      }
    });
    await sleep(HEALTH_PAUSE_MS);
  }
}

async function statusOf(dispatcher: Dispatcher, request: Dispatcher.RequestOptions): Promise<number> {
  const { statusCode, body } = await dispatcher.request(request);
  await body.dump();
  return statusCode;
}
