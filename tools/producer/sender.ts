import { setMaxListeners } from 'node:events';
import { setTimeout as wait } from 'node:timers/promises';
import pLimit from 'p-limit';
import type { LimitFunction } from 'p-limit';
import { errors, Pool } from 'undici';
import { noAnswer, readAnswer } from './answer.js';
import type { Answer } from './answer.js';
import { tolerantConnector } from './interim-answers.js';
import type { OutgoingEvent } from './outgoing-events.js';
import { count, newTally, recordAccepted, recordMs, recordSent } from './tally.js';
import type { Outcome } from './timeline.js';

/** Events of one request. */
type Events = readonly OutgoingEvent[];

export interface SenderOptions {
  readonly url: string;
  /** Whether requests are NDJSON, of one event or more; else each is one event as JSON. */
  readonly isBulk: boolean;
  /** At most this many requests are unanswered at once. */
  readonly maxInFlight: number;
  /** At most this many connections; each carries one request at a time. */
  readonly connections: number;
  /** Limit for each of connecting, the head of an answer, and its body, in milliseconds. */
  readonly timeoutMs: number;
  /** Whether events that got 429, 503 or no answer are sent again until they are accepted. */
  readonly retry: boolean;
  /** Events that are due before this moment of `performance.now()` are sent but not counted. */
  readonly countFromMs: number;
  /** Aborted: nothing more is sent. */
  readonly signal: AbortSignal;
  /** Whether the run is over: then nothing is sent, neither for the first time nor again. */
  readonly isOver: () => boolean;
  readonly onAccepted: (event: OutgoingEvent) => void;
  /** Called once, with the server's reason, if the first answers show that no request will ever be accepted. */
  readonly onHopeless: (reason: string) => void;
  /** Called with the final outcome of events, and each time they are sent again. */
  readonly onOutcome: (outcome: Outcome, dueMs: number, events: number) => void;
}

/** The wait before a retry if the server names none, in milliseconds, plus or minus a half. */
const RETRY_AFTER_MS = 1000;

/** How soon a wait notices that the run is over, in milliseconds. */
const LOOK_MS = 1000;

/** How long answers are awaited after the signal, in milliseconds: a person waits for the statistics. */
const STOP_MS = 1000;

/** This many hopeless first answers show that no request will be accepted. They differ only in their events. */
const HOPELESS_ANSWERS = 3;

const LINE_END = Buffer.from('\n');

/**
 * Sends events over a pool of connections, at most `maxInFlight` requests at once, and tallies the answers.
 *
 * A request that waits for its retry keeps its place among the `maxInFlight`, so refused events never pile up in
 * memory. A retry after a lost or late answer can make a duplicate: the server promises at-least-once, and the id
 * stays the same.
 */
export class Sender {
  readonly tally = newTally();
  /** Events that were taken and never left, because the run ended before. */
  neverSent = 0;
  /** Events that were due before `countFromMs`. */
  readonly #uncounted = newTally();
  readonly #options: SenderOptions;
  readonly #path: string;
  readonly #pool: Pool;
  readonly #places: LimitFunction;
  readonly #connections: LimitFunction;
  /** With more requests than this, some wait for a place or a connection: that is due to the server. */
  readonly #full: number;
  #unfinished = 0;
  /** The number of answers, while all of them are hopeless; `null`: one was not. */
  #hopeless: number | null = 0;
  /** The last moment without a free place. */
  #fullMs = -Infinity;
  #wake: () => void = () => {};

  constructor(options: SenderOptions) {
    const { url, maxInFlight, connections, timeoutMs, signal } = options;
    const { origin, pathname, search } = new URL(url);
    this.#options = options;
    this.#path = pathname + search;
    this.#pool = new Pool(origin, {
      connections,
      headersTimeout: timeoutMs,
      bodyTimeout: 0, // it would restart with each byte
      connect: tolerantConnector(timeoutMs),
    });
    this.#places = pLimit(maxInFlight);
    this.#connections = pLimit(connections);
    this.#full = Math.min(maxInFlight, connections);
    setMaxListeners(0, signal); // every request that waits for its retry listens
    signal.addEventListener('abort', () => setTimeout(() => void this.#pool.destroy(), STOP_MS).unref());
  }

  /**
   * Takes events that are due. Resolves once at most `maxInFlight` events wait for a place, even before these are
   * sent. So a slow server makes events late, and never fills the memory.
   *
   * @param dueMs when they were due, as in `performance.now()`
   */
  async take(events: Events, dueMs: number): Promise<void> {
    const nowMs = performance.now();
    const ownDelayMs = this.#unfinished >= this.#full ? 0 : nowMs - Math.max(dueMs, this.#fullMs);
    recordMs(this.#tallyOf(dueMs).ownDelayUs, ownDelayMs, events.length);
    this.#unfinished += 1;
    void this.#places(() => this.#send(events, dueMs)).then(() => {
      if (this.#unfinished >= this.#full) this.#fullMs = performance.now();
      this.#unfinished -= 1;
      this.#wake();
    });
    const waitingMax = Math.ceil(this.#options.maxInFlight / events.length);
    while (this.#places.pendingCount > waitingMax) await this.#nextFinished();
  }

  /** Waits until all taken events are answered; after the signal, only for a moment. */
  async finish(): Promise<void> {
    while (this.#unfinished > 0) await this.#nextFinished();
    await this.#pool.destroy();
  }

  #nextFinished(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  #tallyOf(dueMs: number): typeof this.tally {
    return dueMs < this.#options.countFromMs ? this.#uncounted : this.tally;
  }

  async #send(events: Events, dueMs: number): Promise<void> {
    const { signal, isOver, onOutcome } = this.#options;
    const tally = this.#tallyOf(dueMs);
    let body: Buffer | null = null;
    // `null`: too late to send anything
    const attempt = (before: Answer | null): Promise<Answer | null> =>
      this.#connections(async () => {
        if (signal.aborted || isOver()) return null;
        if (before === null) recordSent(tally, performance.now() - dueMs, events.length);
        else {
          count(tally.sentAgain, before.kind, events.length);
          onOutcome('again', dueMs, events.length);
        }
        body ??= this.#bodyOf(events);
        return this.#attempt(body, events.length);
      });
    let answer: Answer | null = null;
    for (let next = await attempt(null); next !== null; next = await attempt(next)) {
      answer = next;
      this.#judge(next);
      if (!next.canRetry || !(await this.#waited(next))) break;
    }
    if (answer !== null) this.#settle(events, dueMs, answer);
    else if (tally === this.tally) this.neverSent += events.length;
  }

  #settle(events: Events, dueMs: number, { kind, accepted, isConnectionsMax }: Answer): void {
    const { onAccepted, onOutcome } = this.#options;
    const tally = this.#tallyOf(dueMs);
    const others = events.length - accepted;
    if (accepted > 0) {
      recordAccepted(tally, performance.now() - dueMs, accepted);
      onOutcome('accepted', dueMs, accepted);
      if (others === 0) events.forEach(onAccepted); // otherwise it is unknown which ones
    }
    if (others === 0) return;
    if (isConnectionsMax) tally.connectionsMax += others;
    if (kind === '429') tally.backpressure += others;
    else count(tally.errors, kind === '202' ? '202 with a lower count' : kind, others);
    onOutcome(kind === '429' ? 'backpressure' : 'errors', dueMs, others);
  }

  #judge({ hopeless }: Answer): void {
    if (this.#hopeless === null) return;
    this.#hopeless = hopeless === null ? null : this.#hopeless + 1;
    if (hopeless !== null && this.#hopeless === HOPELESS_ANSWERS) this.#options.onHopeless(hopeless);
  }

  #bodyOf(events: Events): Buffer {
    if (this.#options.isBulk) return Buffer.concat(events.flatMap((event) => [event.body(), LINE_END]));
    return events[0]?.body() ?? Buffer.alloc(0);
  }

  async #attempt(body: Buffer, events: number): Promise<Answer> {
    const { isBulk } = this.#options;
    const headers = { 'content-type': isBulk ? 'application/x-ndjson' : 'application/json' };
    try {
      const answer = await this.#pool.request({ path: this.#path, method: 'POST', headers, body });
      let isLate = false;
      const timer = setTimeout(() => {
        isLate = true; // the end of a body that is thrown away is unknown
        answer.body.destroy(new errors.BodyTimeoutError());
      }, this.#options.timeoutMs);
      try {
        const read = await readAnswer(answer, events, isBulk);
        if (isLate) throw new errors.BodyTimeoutError();
        return read;
      } finally {
        clearTimeout(timer);
      }
    } catch (error) {
      return noAnswer(error);
    }
  }

  /** Waits before a retry; `false`: there is none, because of the options or because the run is over. */
  async #waited({ retryAfterMs: askedMs }: Answer): Promise<boolean> {
    const { signal, retry, isOver } = this.#options;
    if (!retry) return false;
    const endMs = performance.now() + (askedMs ?? RETRY_AFTER_MS * (0.5 + Math.random()));
    for (let leftMs = endMs - performance.now(); leftMs > 0; leftMs = endMs - performance.now()) {
      if (isOver() || !(await wait(Math.min(leftMs, LOOK_MS), true, { signal }).catch(() => false)))
        return false;
    }
    return true;
  }
}
