import { Readable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { asError } from '../../base/errors.js';
import type { PendingBatch } from '../../seams/batch.js';
import type { BatchEnd } from '../../seams/event-log.js';
import { ACK_WAIT_MS } from './held-messages.js';
import type { HeldMessages } from './held-messages.js';
import { Merge, pullPauseMs } from './merge.js';
import type { MergeBounds } from './merge.js';
import { OrderGate } from './order-gate.js';
import type { Puller } from './puller.js';
import { compareStreamBatches, streamBatch } from './stream-batch.js';
import type { StreamBatch } from './stream-batch.js';
import type { StreamMessage } from './stream-message.js';

/** At most this much is held at once; of one request, and of batches that nobody has asked for yet. */
const HELD_MAX = 4096;
const HELD_BYTES_MAX = 32 * 1024 * 1024;
const PULL_MESSAGES = 256;
const READY_MAX = 16;
const FEW_MESSAGES = 16;
const PAUSE_MS = 250;

export interface StreamBacklogOptions extends MergeBounds {
  readonly puller: Puller;
  readonly held: HeldMessages;
  /** The largest message, in bytes. */
  readonly messageBytesMost: number;
  readonly sealed: (end: BatchEnd) => void;
  /** Asks for the oldest message on the stream, if batches are to be in its order; otherwise `null`. */
  readonly oldestSeq: (() => Promise<number>) | null;
}

/** What the servers hand to this instance, as batches for delivery. */
export class StreamBacklog extends Readable {
  readonly #options: StreamBacklogOptions;
  readonly #merge: Merge;
  /** `null`: each message passes as it comes. */
  readonly #gate: OrderGate | null;
  /** Batches that are not confirmed, by name. */
  readonly #batches = new Map<string, StreamBatch>();
  readonly #ready: StreamBatch[] = [];
  readonly #stopping = new AbortController();
  #isAsked = false;
  #hasRoom: () => void = () => undefined;
  #pulling: Promise<void> | null = null;

  constructor(options: StreamBacklogOptions) {
    super({ objectMode: true, highWaterMark: 1 });
    this.#options = options;
    this.#merge = new Merge(options, (messages, end) => {
      this.#ended(messages, end);
    });
    const { oldestSeq } = options;
    const pass = (message: StreamMessage): void => this.#merge.add(message);
    this.#gate = oldestSeq === null ? null : new OrderGate(oldestSeq, pass, this.#stopping.signal);
  }

  /** Those that are not confirmed, oldest first. */
  get batches(): StreamBatch[] {
    return [...this.#batches.values()].toSorted((a, b) => compareStreamBatches(a.name, b.name));
  }

  /** Starts to ask the servers. */
  start(): void {
    if (this.#pulling !== null) return;
    this.#options.puller.start(this.#take);
    this.#pulling = this.#pull();
  }

  batch(name: string): StreamBatch | null {
    return this.#batches.get(name) ?? null;
  }

  /** A batch is confirmed. */
  settled(name: string): void {
    this.#batches.delete(name);
    this.#hasRoom();
  }

  /** Ends: asks for no more, and gives no more. */
  async stop(): Promise<void> {
    this.#askNoMore();
    this.push(null);
    await this.#pulling;
    this.#options.puller.close();
  }

  override _destroy(error: Error | null, done: (error?: Error | null) => void): void {
    this.#askNoMore();
    done(error);
  }

  #askNoMore(): void {
    this.#stopping.abort();
    this.#hasRoom();
    this.#merge.stop();
  }

  override _read(): void {
    this.#isAsked = true;
    this.#give();
  }

  async #pull(): Promise<void> {
    const { puller, held, messageBytesMost } = this.#options;
    const stopping = this.#stopping.signal;
    const pause = async (ms: number): Promise<void> =>
      sleep(ms, undefined, { signal: stopping }).catch(() => undefined);
    while (!stopping.aborted) {
      const bytes = Math.max(messageBytesMost, HELD_BYTES_MAX - held.bytes);
      const messages = Math.min(PULL_MESSAGES, HELD_MAX - held.size);
      const isFull = messages <= 0 || held.bytes >= HELD_BYTES_MAX || this.#ready.length >= READY_MAX;
      if (isFull) {
        await this.#makeRoom();
        continue;
      }
      const answer = await puller.pull({ messages, bytes }, stopping);
      if (answer === 'all') await pause(pullPauseMs(this.#options));
      else if (answer === 'none') await pause(PAUSE_MS);
    }
  }

  /** Whether all that is held waits for an older message, for which there is no room. */
  get #isStuck(): boolean {
    return this.#gate?.isWaiting === true && this.#batches.size === 0 && this.#merge.messages.length === 0;
  }

  /**
   * Waits for room. If there is none for long, what is held may wait for an older message, which has no room then. Or the
   * servers may have forgotten what is held: they hand it out again.
   */
  async #makeRoom(): Promise<void> {
    const { puller, held, messageBytesMost: bytes } = this.#options;
    const stopping = this.#stopping.signal;
    const hasRoom = await new Promise<boolean>((resolve) => {
      const timer = setTimeout(resolve, ACK_WAIT_MS, false);
      this.#hasRoom = () => {
        clearTimeout(timer);
        resolve(true);
      };
    });
    if (hasRoom) return;
    if (this.#isStuck) held.release(this.#gate?.takeBack() ?? []);
    else if (held.isUnconfirmed) await puller.pull({ messages: FEW_MESSAGES, bytes }, stopping);
  }

  readonly #take = (message: StreamMessage): void => {
    try {
      // after a stop it is handed back with all others
      if (this.#options.held.add(message) && !this.#stopping.signal.aborted)
        (this.#gate ?? this.#merge).add(message);
    } catch (error) {
      this.destroy(asError(error));
    }
  };

  #ended(messages: readonly StreamMessage[], end: BatchEnd): void {
    const batch = streamBatch(messages);
    this.#batches.set(batch.name, batch);
    this.#ready.push(batch);
    this.#options.sealed(end);
    this.#give();
  }

  #give(): void {
    if (!this.#isAsked || this.#stopping.signal.aborted) return;
    const batch = this.#ready.shift();
    if (batch === undefined) return;
    this.#isAsked = false;
    if (this.#ready.length < READY_MAX) this.#hasRoom();
    this.push(pendingOf(batch));
  }
}

/** A batch as delivery knows it. */
export function pendingOf({ name, events, bytes, bornMs, isRedelivered }: StreamBatch): PendingBatch {
  return { name, events, logBytes: bytes, isAcknowledged: true, bornMs, leftover: isRedelivered, past: null };
}
