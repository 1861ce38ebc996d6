import { setTimeout as sleep } from 'node:timers/promises';
import { asError, ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { BatchPart, Group, PartEnded } from '../../seams/event-log.js';
import { blockBytes } from '../file/checksum.js';
import { newRunId } from '../file/run-mark.js';
import { StreamIds } from './ids/stream-ids.js';
import type { StreamIdBounds } from './ids/stream-ids.js';
import { messageOf } from './message.js';
import type { Deadline, Publisher } from './publisher.js';
import type { LogConnection, StreamManager } from './servers.js';
import { headBytesOf, MESSAGE_ID, storedBytes } from './stream-message.js';
import { eventsSubject } from './stream-names.js';
import type { StreamNames } from './stream-names.js';
import { duplicatesMs } from './stream-setup.js';

const RETRY_AFTER_MS = 5000;
/**
 * How long the next group gathers, in milliseconds. Clients that send again once they have their answer come together
 * then; otherwise two halves of them take turns, and a message takes the servers about the same time whatever is in it.
 */
const GATHER_MS = 1;

export interface AppenderOptions {
  readonly connection: LogConnection;
  readonly jsm: StreamManager;
  readonly names: StreamNames;
  readonly publisher: Publisher;
  /** `null`: no source has an id window. */
  readonly ids: StreamIdBounds | null;
  readonly partBytesMost: number;
  readonly ackTimeoutMs: number;
  readonly inOrder: boolean;
  /** Whether messages are compressed. */
  readonly compresses: boolean;
  readonly reporter: Reporter;
  /** Called with events that were stored, and what they take of the stream. */
  readonly stored: (events: number, bytes: number) => void;
  /** Called when the servers say that the stream is full. */
  readonly full: () => void;
}

/** Puts the parts of groups into the stream of events, each as a message, with their ids if they have some. */
export class Appender {
  readonly ids: StreamIds | null;
  readonly #options: AppenderOptions;
  readonly #runId = newRunId();
  /** Messages that this run has made. */
  #messages = 0;

  constructor(options: AppenderOptions) {
    this.#options = options;
    const runId = this.#runId;
    const { compresses } = options;
    const ofRun = {
      runId,
      messageOf: async (part: BatchPart) => messageOf(part, runId, compresses),
      bytesOf: blockBytes,
    };
    const keptMsLeast = duplicatesMs(options.ackTimeoutMs);
    this.ids = options.ids && new StreamIds({ ...options, ...options.ids, ...ofRun, keptMsLeast });
  }

  async append(group: Group, ended: PartEnded): Promise<void> {
    const parts = group.filter(({ events }) => events > 0);
    const deadline = this.#options.publisher.deadline();
    const { ids } = this;
    const steps = parts.flatMap((part) => {
      const { plain, chunks } = ids?.sharesOf(part) ?? { plain: part, chunks: [] };
      const all = chunks.map((chunk) => async () => this.#appendWithIds(chunk, ended, deadline));
      if (plain !== null) all.unshift(async () => this.#append(plain, ended, deadline));
      return all;
    });
    // in order, a message that is retried must not come after the next one
    if (this.#options.inOrder) for (const step of steps) await step();
    else await Promise.all(steps.map(async (step) => step()));
    // a lone client would only wait
    if (parts.reduce((sum, { events }) => sum + events, 0) > 1) await sleep(GATHER_MS);
  }

  async #append(part: BatchPart, ended: PartEnded, deadline: Deadline): Promise<void> {
    const { publisher, names, stored, compresses } = this.#options;
    const id = `${this.#runId}-${++this.#messages}`;
    if (this.#isTooLarge(part, ended)) return;
    const data = await messageOf(part, this.#runId, compresses);
    const subject = eventsSubject(names, part.events);
    try {
      await publisher.store(subject, data, id, deadline);
    } catch (error) {
      this.#failed(part, error, ended);
      return;
    }
    stored(part.events, storedBytes(subject, headBytesOf([[MESSAGE_ID, id]]), data));
    ended(part, null, null);
  }

  async #appendWithIds(part: BatchPart, ended: PartEnded, deadline: Deadline): Promise<void> {
    const { ids } = this;
    if (ids === null || this.#isTooLarge(part, ended)) return;
    const chunk = ids.chunkOf(part, ++this.#messages);
    try {
      const { bytes } = await ids.commits.store(chunk, deadline);
      if (bytes > 0) this.#options.stored(chunk.events.length, bytes);
    } catch (error) {
      this.#failed(part, error, ended);
      return;
    }
    chunk.settle(ended);
  }

  #isTooLarge(part: BatchPart, ended: PartEnded): boolean {
    const { partBytesMost } = this.#options;
    if (part.bytes <= partBytesMost) return false;
    const message = `The event is larger than a message of the NATS servers may be (max_payload): ${partBytesMost} bytes`;
    ended(part, new ForebayError('EVENT_TOO_LARGE', { message }), null);
    return true;
  }

  #failed(part: BatchPart, thrown: unknown, ended: PartEnded): void {
    const error =
      thrown instanceof ForebayError
        ? thrown
        : new ForebayError('IN_DOUBT', { cause: asError(thrown), retryAfterMs: RETRY_AFTER_MS });
    if (error.code === 'BACKLOG_FULL') this.#options.full();
    ended(part, error, null);
  }
}
