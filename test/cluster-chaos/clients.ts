import { setTimeout as sleep } from 'node:timers/promises';
import { Pool } from 'undici';
import { until } from '../helpers/wait-for.js';
import { Random } from '../simulation/random.js';
import type { Ledger, Outcome, Sending } from './ledger.js';

export interface ClientsOptions {
  readonly ledger: Ledger;
  /** Where the instances are. */
  readonly origins: readonly string[];
  readonly clients: number;
  readonly seed: number;
  /** Whether a client may go on to other events when it was not answered with 202. */
  readonly givesUp: boolean;
  /** Whether a client may send again what was answered with 202. */
  readonly hasIds: boolean;
}

/** Above `--ack-timeout` and below what a user would bear. */
const ANSWER_MS_MAX = 15_000;
const CONNECT_MS_MAX = 2000;
/** How long a client waits between two requests at the mean: with 32 clients this makes some hundred requests a second. */
const THINK_MS = 60;
const RETRY_MS = 200;
/** How long an instance is left alone that did not answer with 202, while there are others. */
const AVOID_MS = 500;
/** A good client waits as long as it is asked to; here at most this long, so that rounds stay short. */
const RETRY_MS_MAX = 2000;
const SETTLE_MS_MAX = 120_000;

interface Answer {
  readonly outcome: Outcome;
  readonly status: number | null;
  readonly retryMs: number;
}

interface Instance {
  readonly pool: Pool;
  inFlight: number;
  failedMs: number;
  lastAcknowledgedMs: number;
}

/**
 * Clients that send events one after the other over kept connections, each to the least loaded instance, and again
 * to another one if they got no 202.
 */
export class Clients {
  readonly #options: ClientsOptions;
  readonly #instances: readonly Instance[];
  readonly #running: Promise<unknown>;
  #isPaused = false;
  #hasEnded = false;
  #busy = 0;

  constructor(options: ClientsOptions) {
    this.#options = options;
    const { origins, clients, seed } = options;
    this.#instances = origins.map((origin) => ({
      pool: new Pool(origin, {
        connections: clients,
        headersTimeout: ANSWER_MS_MAX,
        bodyTimeout: ANSWER_MS_MAX,
        connect: { timeout: CONNECT_MS_MAX },
      }),
      inFlight: 0,
      failedMs: -Infinity,
      lastAcknowledgedMs: 0,
    }));
    const all = Array.from({ length: clients }, async (_, client) =>
      this.#run(client, new Random(seed + 7919 * (client + 1))),
    );
    this.#running = Promise.all(all);
  }

  /** Resolves when no request is on its way and each client has its answer, or has given up. */
  async pause(): Promise<void> {
    this.#isPaused = true;
    await until(() => this.#busy === 0, 'each client has an answer', SETTLE_MS_MAX);
  }

  resume(): void {
    this.#isPaused = false;
  }

  /** Whether each instance has answered with a 202 since then. */
  haveAllAcknowledgedSince(ms: number): boolean {
    return this.#instances.every(({ lastAcknowledgedMs }) => lastAcknowledgedMs > ms);
  }

  /** Breaks off what is on its way. */
  async end(): Promise<void> {
    this.#hasEnded = true;
    await Promise.all(this.#instances.map(async ({ pool }) => pool.destroy()));
    await this.#running;
  }

  async #run(client: number, random: Random): Promise<void> {
    while (!this.#hasEnded) {
      await sleep(random.next() * 2 * THINK_MS);
      if (this.#isPaused) continue;
      this.#busy++;
      const count = random.chance(0.15) ? random.whole(2, 10) : 1;
      await this.#send(this.#options.ledger.next(client, count), random);
      this.#busy--;
    }
  }

  /** Until there is a 202, or the client turns to something else. */
  async #send(sending: Sending, random: Random): Promise<void> {
    while (!this.#hasEnded) {
      const instance = this.#choose(random);
      instance.inFlight++;
      const answer = await this.#request(instance.pool, sending);
      instance.inFlight--;
      if (this.#hasEnded) return;
      this.#options.ledger.answered(sending, answer.outcome, answer.status);
      if (answer.outcome === 'acknowledged') {
        instance.lastAcknowledgedMs = performance.now();
        if (!this.#options.hasIds || !random.chance(0.2)) return;
        await sleep(RETRY_MS * random.next());
        continue;
      }
      instance.failedMs = performance.now();
      if (this.#options.givesUp && random.chance(0.2)) return;
      await sleep(answer.retryMs * (0.5 + random.next()));
    }
  }

  /** The least loaded one that did not just fail, as a load balancer would. */
  #choose(random: Random): Instance {
    const nowMs = performance.now();
    const well = this.#instances.filter(({ failedMs }) => nowMs - failedMs > AVOID_MS);
    const choices = well.length > 0 ? well : this.#instances;
    const least = Math.min(...choices.map(({ inFlight }) => inFlight));
    return random.pick(choices.filter(({ inFlight }) => inFlight === least));
  }

  async #request(pool: Pool, { body, count }: Sending): Promise<Answer> {
    try {
      const answer = await pool.request({
        path: '/events',
        method: 'POST',
        headers: { 'content-type': count === 1 ? 'application/json' : 'application/x-ndjson' },
        body,
      });
      const said = await answer.body.text();
      const asked = Number(answer.headers['retry-after'] ?? NaN) * 1000;
      const retryMs = Math.min(Number.isNaN(asked) ? RETRY_MS : asked, RETRY_MS_MAX);
      return { ...this.#judge(answer.statusCode, said), status: answer.statusCode, retryMs };
    } catch (error) {
      return { outcome: neverSent(error) ? 'refused' : 'doubtful', status: null, retryMs: RETRY_MS };
    }
  }

  #judge(status: number, said: string): { outcome: Outcome } {
    if (status === 202) return { outcome: 'acknowledged' };
    if (status === 429) return { outcome: 'refused' };
    if (status === 503) return { outcome: said.includes('"IN_DOUBT"') ? 'doubtful' : 'refused' };
    // nothing else may be said to a client that does nothing wrong
    this.#options.ledger.violations.push(`answered with ${status}: ${said.slice(0, 200)}`);
    return { outcome: 'doubtful' };
  }
}

/** Whether there was not even a connection. */
function neverSent(error: unknown): boolean {
  const code = error instanceof Error && 'code' in error ? error.code : null;
  return code === 'ECONNREFUSED' || code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'EHOSTUNREACH';
}
