import { setMaxListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';
import { errors, Pool } from 'undici';
import { systemCode } from '../errors.js';
import type { OutgoingEvent } from './outgoing-events.js';
import { count, newTally, recordAccepted, recordSent } from './tally.js';

export interface SenderOptions {
  readonly url: string;
  /** How many events may be unanswered at once. */
  readonly maxInFlight: number;
  /** How long the connection, the head of an answer and each part of its body may take, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether events that got 429, 503 or no answer are sent again until they are accepted. */
  readonly retry: boolean;
  /** Aborted: nothing more is sent. */
  readonly signal: AbortSignal;
  readonly onAccepted: (event: OutgoingEvent) => void;
}

/** What came of sending an event once. */
interface Answer {
  /** `202`, `429`, `status 500`, `timeout`, `ECONNRESET`, … */
  readonly kind: string;
  /** Whether the event is to be sent again. */
  readonly again: boolean;
  /** When the server wants it again, in milliseconds from now. */
  readonly retryAfterMs: number | null;
}

/** The wait before an event is sent again where the server names none, in milliseconds; give or take a half. */
const RETRY_AFTER_MS = 1000;

/** How long answers are awaited after the signal, in milliseconds: a person waits for the statistics. */
const STOP_MS = 1000;

const HEADERS = { 'content-type': 'application/json' };

/**
 * Sends events over a pool of connections, at most `maxInFlight` at once, and tallies the answers.
 *
 * An event that waits to be sent again keeps its place among the `maxInFlight`: refused events never pile up in
 * memory. Sending again after a lost or late answer can make a duplicate; the server promises at-least-once, and
 * the id stays the same.
 */
export class Sender {
  readonly tally = newTally();
  readonly #options: SenderOptions;
  readonly #path: string;
  readonly #pool: Pool;
  readonly #limit: LimitFunction;
  #unfinished = 0;
  #wake: () => void = () => {};

  constructor(options: SenderOptions) {
    const { url, maxInFlight, timeoutMs, signal } = options;
    const { origin, pathname, search } = new URL(url);
    this.#options = options;
    this.#path = pathname + search;
    this.#pool = new Pool(origin, {
      connections: maxInFlight,
      headersTimeout: timeoutMs,
      bodyTimeout: timeoutMs,
      connect: { timeout: timeoutMs },
    });
    this.#limit = pLimit(maxInFlight);
    setMaxListeners(0, signal); // every event that waits to be sent again listens
    signal.addEventListener('abort', () => setTimeout(() => void this.#pool.destroy(), STOP_MS).unref());
  }

  /**
   * Takes an event that is due. Resolves before it was answered, even before it left: as soon as no more than
   * `maxInFlight` others wait for a place. So a slow server makes events late, and never fills the memory.
   *
   * @param dueMs when it was due, as `performance.now()` tells it
   */
  async take(event: OutgoingEvent, dueMs: number): Promise<void> {
    this.#unfinished += 1;
    void this.#limit(() => this.#send(event, dueMs)).then(() => {
      this.#unfinished -= 1;
      this.#wake();
    });
    while (this.#limit.pendingCount > this.#options.maxInFlight) await this.#nextFinished();
  }

  /** Waits until all that was taken is answered; after the signal no longer than a moment. */
  async finish(): Promise<void> {
    while (this.#unfinished > 0) await this.#nextFinished();
    await this.#pool.destroy();
  }

  #nextFinished(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  async #send(event: OutgoingEvent, dueMs: number): Promise<void> {
    const { signal, onAccepted } = this.#options;
    if (signal.aborted) return;
    recordSent(this.tally, performance.now() - dueMs);
    let answer = await this.#attempt(event);
    while (answer.again && (await this.#waited(answer))) {
      count(this.tally.sentAgain, answer.kind);
      answer = await this.#attempt(event);
    }
    if (answer.kind === '202') {
      recordAccepted(this.tally, performance.now() - dueMs);
      onAccepted(event);
    } else if (answer.kind === '429') this.tally.backpressure += 1;
    else count(this.tally.errors, answer.kind);
  }

  async #attempt({ body }: OutgoingEvent): Promise<Answer> {
    const { retry } = this.#options;
    try {
      const answer = await this.#pool.request({ path: this.#path, method: 'POST', headers: HEADERS, body });
      await answer.body.dump();
      const { statusCode: status, headers } = answer;
      return {
        kind: status === 202 || status === 429 ? `${status}` : `status ${status}`,
        again: retry && (status === 429 || status === 503),
        retryAfterMs: retryAfterMs(headers['retry-after']),
      };
    } catch (error) {
      return { kind: kindOf(error), again: retry, retryAfterMs: null };
    }
  }

  /** Waits before an event is sent again; `false` when the signal ends the wait. */
  async #waited({ retryAfterMs: askedMs }: Answer): Promise<boolean> {
    const { signal } = this.#options;
    const waitMs = askedMs ?? RETRY_AFTER_MS * (0.5 + Math.random());
    return wait(waitMs, true, { signal }).catch(() => false);
  }
}

/** RFC 9110, 10.2.3; of its two forms only the one in seconds, and no longer than `setTimeout` can wait. */
function retryAfterMs(header: string | string[] | undefined): number | null {
  return typeof header === 'string' && /^\d+$/.test(header)
    ? Math.min(Number(header) * 1000, 2 ** 31 - 1)
    : null;
}

/** What kept an event from being answered, in a word or two. */
function kindOf(error: unknown): string {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return 'timeout';
  if (error instanceof errors.ConnectTimeoutError) return 'connect timeout';
  if (error instanceof errors.ClientDestroyedError) return 'no answer before the stop';
  if (error instanceof errors.SocketError) return 'connection closed';
  return systemCode(error) ?? (error instanceof Error ? error.name : String(error));
}
