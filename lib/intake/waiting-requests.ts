import { ForebayError } from '../base/errors.js';
import { Histogram, SECONDS } from '../base/histogram.js';
import { LinkedSet } from '../base/linked-set.js';
import type { Links } from '../base/linked-set.js';
import type { EventBlock } from '../event/event-block.js';
import type { Reporter } from '../base/reporter.js';
import type { QueuedEvents } from '../seams/event-log.js';
import type { Client } from '../seams/client.js';
import type { Answer } from '../seams/intake.js';
import { Outage } from '../base/outage.js';

/**
 * Calls an answer. An error that it throws is a fault of its owner, so it becomes an uncaught exception of the
 * process, as from any callback in Node.js. The caller goes on, and no other request is affected (decision 53).
 */
export function tell(answer: Answer, error: Error | null): void {
  try {
    answer(error);
  } catch (thrown) {
    queueMicrotask(() => {
      throw thrown;
    });
  }
}
/** A timer that is later than this was not only waiting for its turn, in milliseconds. */
const LATE_MS = 500;

/** A request whose client waits until all of its events are on disk. */
class WaitingRequest implements QueuedEvents, Links<WaitingRequest> {
  before: WaitingRequest | null = null;
  after: WaitingRequest | null = null;
  readonly block: EventBlock;
  readonly client: Client | undefined;
  withdrawn = false;
  /** When its client has waited long enough, in milliseconds of `performance.now()`. */
  readonly dueMs: number;
  readonly #events: number;
  /** Dropped once it is called: it holds the whole request, whose events are held for longer than the answer needs. */
  #answer: Answer | null;
  readonly #done: (request: WaitingRequest) => void;
  #onDisk = 0;
  #failed = 0;
  #error: Error | null = null;

  constructor(
    block: EventBlock,
    client: Client | undefined,
    dueMs: number,
    answer: Answer,
    done: (request: WaitingRequest) => void,
  ) {
    this.block = block;
    this.client = client;
    this.#events = block.length;
    this.dueMs = dueMs;
    this.#answer = answer;
    this.#done = done;
  }

  acknowledge(from: number, to: number, error: Error | null): void {
    this.block.ids?.keeper?.ended(from, to, error);
    const events = to - from;
    if (error === null) {
      this.#onDisk += events;
    } else {
      this.#failed += events;
      // a doubt about one of its events is a doubt about the request
      if (this.#error === null || isInDoubt(error)) this.#error = error;
    }
    if (this.#onDisk + this.#failed < this.#events) return; // one answer, for all of them (N5)
    this.#done(this);
    this.#tell(this.#outcome());
  }

  /** Whether all of its events are on disk. */
  get isOnDisk(): boolean {
    return this.#onDisk === this.#events;
  }

  withdraw(error: Error): void {
    this.withdrawn = true;
    this.#tell(error);
  }

  #tell(error: Error | null): void {
    const answer = this.#answer;
    this.#answer = null;
    if (answer !== null) tell(answer, error);
  }

  /** A batch can end in the middle of a request, and the disk can fail between the two files. */
  #outcome(): Error | null {
    if (this.#error === null || this.#onDisk === 0) return this.#error;
    const message = `${this.#onDisk} of ${this.#events} events are on disk and will be delivered, the others are not`;
    return new ForebayError('IN_DOUBT', { message, retryAfterMs: 1000, cause: this.#error });
  }
}

function isInDoubt(error: Error): boolean {
  return error instanceof ForebayError && error.code === 'IN_DOUBT';
}

/**
 * The requests whose clients wait for the disk, oldest first. A client waits at most `timeoutMs` and then gets
 * `IN_DOUBT`, because a write that hangs may still succeed. Its events stay in the queue, which bounds memory, until
 * the disk answers. Events that the writer has not taken yet are no longer written.
 */
export class WaitingRequests {
  /** Requests that got `IN_DOUBT` and whose events are still in the queue. The disk hangs if there are any. */
  overdue = 0;
  /** How long requests waited that were put on disk, in seconds. */
  readonly ackSeconds = new Histogram(SECONDS);
  readonly #timeoutMs: number;
  readonly #hanging: Outage;
  readonly #waiting = new LinkedSet<WaitingRequest>();
  #timer: NodeJS.Timeout | null = null;

  constructor(timeoutMs: number, reporter: Reporter) {
    this.#timeoutMs = timeoutMs;
    const text = `The disk has not answered for ${timeoutMs} ms (--ack-timeout): clients get 503 until it does`;
    this.#hanging = new Outage(reporter, text);
  }

  add(block: EventBlock, answer: Answer, client?: Client): QueuedEvents {
    const dueMs = performance.now() + this.#timeoutMs;
    const request = new WaitingRequest(block, client, dueMs, answer, this.#done);
    this.#waiting.add(request);
    this.#timer ??= this.#startTimer(this.#timeoutMs);
    this.#timer.ref();
    return request;
  }

  readonly #done = (request: WaitingRequest): void => {
    if (!this.#waiting.delete(request) && request.withdrawn) {
      this.overdue--;
      if (this.overdue === 0) this.#hanging.end('The disk answers again');
    } else if (request.isOnDisk)
      this.ackSeconds.observe((performance.now() - request.dueMs + this.#timeoutMs) / 1000);
    if (this.#waiting.first === null) this.#timer?.unref();
  };

  /** Ends the timer. Called when no request waits. */
  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  /** One timer for all: a later request is due later. It keeps the process alive only while a request waits. */
  #startTimer(ms: number): NodeJS.Timeout {
    const atMs = performance.now() + ms;
    return setTimeout(() => {
      // the process was suspended: the disk's answers come before the clock, and may need a few more steps
      if (performance.now() - atMs > LATE_MS) this.#timer = this.#startTimer(LATE_MS);
      else this.#withdrawDue();
    }, ms);
  }

  #withdrawDue(): void {
    const nowMs = performance.now();
    this.#timer = null;
    for (let request = this.#waiting.first; request !== null; request = this.#waiting.first) {
      if (request.dueMs > nowMs) {
        this.#timer = this.#startTimer(Math.ceil(request.dueMs - nowMs));
        break;
      }
      this.#waiting.delete(request);
      this.overdue++;
      const message = `Not on disk within ${this.#timeoutMs} ms (--ack-timeout); it may still be delivered`;
      const error = new ForebayError('IN_DOUBT', { message, retryAfterMs: this.#timeoutMs });
      this.#hanging.met(error);
      request.withdraw(error);
    }
  }
}
