import { setTimeout as sleep } from 'node:timers/promises';
import type { StreamMessage } from './stream-message.js';

/** How often the servers are asked while a message waits, in milliseconds. */
const LOOK_MS = 200;

/**
 * Lets messages pass in the order of the stream. The servers do not keep it: while messages are with an instance that
 * died, or froze, or is just slow, they hand newer ones to the next instance, and a new leader of the consumer does not
 * know whom the last one had pinned. So a message passes only if the one before it has passed here, or if all before it
 * are off the stream, which means that the sink has them. Nobody needs to know who else delivers.
 */
export class OrderGate {
  readonly #oldestSeq: () => Promise<number>;
  readonly #pass: (message: StreamMessage) => void;
  readonly #stopping: AbortSignal;
  /** Oldest first. */
  readonly #waiting: StreamMessage[] = [];
  /** The one after the last that has passed. */
  #nextSeq = 0;
  #isAsking = false;

  /** @param oldestSeq asks for the oldest message that is on the stream */
  constructor(
    oldestSeq: () => Promise<number>,
    pass: (message: StreamMessage) => void,
    stopping: AbortSignal,
  ) {
    this.#oldestSeq = oldestSeq;
    this.#pass = pass;
    this.#stopping = stopping;
  }

  /** Whether some wait for an older one. */
  get isWaiting(): boolean {
    return this.#waiting.length > 0;
  }

  add(message: StreamMessage): void {
    const before = this.#waiting.findLastIndex(({ seq }) => seq < message.seq);
    this.#waiting.splice(before + 1, 0, message);
    this.#letPass(0);
    if (this.#waiting.length > 0) void this.#ask();
  }

  /** Takes back what waits for an older message. */
  takeBack(): StreamMessage[] {
    return this.#waiting.splice(0);
  }

  #letPass(oldestSeq: number): void {
    for (;;) {
      const [first] = this.#waiting;
      if (first === undefined || (first.fromSeq > this.#nextSeq && first.seq > oldestSeq)) return;
      this.#waiting.shift();
      // one that has passed before may come again, if the word that confirms it was lost
      this.#nextSeq = Math.max(this.#nextSeq, first.seq + 1);
      this.#pass(first);
    }
  }

  async #ask(): Promise<void> {
    if (this.#isAsking) return;
    this.#isAsking = true;
    while (this.#waiting.length > 0 && !this.#stopping.aborted) {
      // an answer of a leader that was replaced is old, and so asks for more than it must
      this.#letPass(await this.#oldestSeq().catch(() => 0));
      if (this.#waiting.length === 0) break;
      await sleep(LOOK_MS, undefined, { signal: this.#stopping }).catch(() => undefined);
    }
    this.#isAsking = false;
  }
}
