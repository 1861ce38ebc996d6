import { setTimeout as sleep } from 'node:timers/promises';
import { ForebayError } from '../../base/errors.js';
import type { LogConnection } from './servers.js';
import type { StreamMessage } from './stream-message.js';

/** How long the servers wait for a confirmation before another instance gets a message, in milliseconds. */
export const ACK_WAIT_MS = 10_000;
/** How often they hear that it is being worked on. */
const WORKING_MS = ACK_WAIT_MS / 3;
const CONFIRM_MS = 5000;
/** What is confirmed within this time goes out together, in milliseconds: the servers replicate it together, too. */
const GATHER_MS = 10;
/** Handed back, and not handed out for a second, in nanoseconds. */
const LATER = '-NAK {"delay": 1000000000}';

/** Messages that this instance was handed and has not confirmed. They are held, however long the sink takes. */
export class HeldMessages {
  /** Their size. */
  bytes = 0;
  /** Whether the last confirmation got no answer: the servers may have forgotten that they handed it out. */
  isUnconfirmed = false;
  readonly #connection: LogConnection;
  readonly #held = new Map<number, StreamMessage>();
  readonly #timer: NodeJS.Timeout;
  /** When what is confirmed now goes out; `null`: nothing is. */
  #gathered: Promise<unknown> | null = null;

  constructor(connection: LogConnection) {
    this.#connection = connection;
    this.#timer = setInterval(() => {
      this.#work();
    }, WORKING_MS).unref(); // a log that could not be opened holds nothing
  }

  get size(): number {
    return this.#held.size;
  }

  /** @returns `false` if it is held already: the servers handed it out again, as they had not heard of it in time */
  add(message: StreamMessage): boolean {
    const known = this.#held.get(message.seq);
    if (known !== undefined && known.storedAtMs !== message.storedAtMs)
      throw new ForebayError('LOG_UNUSABLE', {
        message: `Message ${message.seq} of the stream is another one than before`,
      });
    this.#held.set(message.seq, message); // its newest reply subject counts
    if (known === undefined) this.bytes += message.data.length;
    return known === undefined;
  }

  /** Lets another instance have these, or this one again, after a moment. */
  release(messages: readonly StreamMessage[]): void {
    const { nc, isUp } = this.#connection;
    for (const message of messages) {
      this.#drop(message);
      if (isUp && !nc.isClosed()) nc.publish(message.reply, LATER);
    }
  }

  /** The same messages, as they were handed out last. */
  newest(messages: readonly StreamMessage[]): StreamMessage[] {
    return messages.map((message) => this.#held.get(message.seq) ?? message);
  }

  /** Takes them off the stream, for certain. May be called again after an error. @throws ForebayError `LOG_SERVERS` */
  async confirm(messages: readonly StreamMessage[]): Promise<void> {
    await (this.#gathered ??= sleep(GATHER_MS).then(() => (this.#gathered = null)));
    try {
      await Promise.all(
        messages.map(async ({ reply }) => {
          await this.#connection.nc.request(reply, '+ACK', { timeout: CONFIRM_MS });
        }),
      );
    } catch (error) {
      this.isUnconfirmed = true;
      const message = 'The NATS servers do not say that it is off the stream';
      throw new ForebayError('LOG_SERVERS', { message, cause: error });
    }
    this.isUnconfirmed = false;
    for (const message of messages) this.#drop(message);
  }

  /** Lets another instance have all of them, oldest first. */
  async handBack(): Promise<void> {
    clearInterval(this.#timer);
    const messages = [...this.#held.values()].toSorted((a, b) => a.seq - b.seq);
    this.#held.clear();
    const { nc, isUp } = this.#connection;
    if (!isUp || nc.isClosed()) return; // they are handed out again when their time is over
    for (const { reply } of messages) nc.publish(reply, '-NAK');
    await nc.flush();
  }

  #drop(message: StreamMessage): void {
    if (this.#held.delete(message.seq)) this.bytes -= message.data.length;
  }

  #work(): void {
    const { nc, isUp } = this.#connection;
    if (!isUp || nc.isClosed()) return;
    for (const { reply } of this.#held.values()) nc.publish(reply, '+WPI');
  }
}
