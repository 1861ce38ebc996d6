import { createInbox } from '@nats-io/nats-core';
import type { LogConnection, ServersMessage } from './servers.js';
import { streamMessage } from './stream-message.js';
import type { StreamMessage } from './stream-message.js';

/** How long the servers keep a request for messages, and how often they show that they live, in milliseconds. */
const EXPIRES_MS = 10_000;
const HEARTBEAT_MS = 2000;
/** A request is given up after two heartbeats that did not come. */
const SILENT_MS = 2.5 * HEARTBEAT_MS;
const HEARTBEAT = 100;
/** It has expired, or there is no further message. */
const NO_MORE: ReadonlySet<number> = new Set([404, 408]);
/** The instance is not the one that the servers hand messages to. */
const NOT_PINNED = 423;
const PIN_ID = 'Nats-Pin-Id';
const NANOSECONDS = 1_000_000;

/** At most this much of one request. */
export interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** How a request ended: there may be more; that was all; or the consumer has not answered, not even that it lives. */
export type PullEnd = 'more' | 'all' | 'none';

/**
 * Asks the servers for messages (ADR-13 of NATS), one request at a time. All come to one subject: a request may be over
 * before its last messages are here, as a server sends words and messages on different ways.
 *
 * The servers replicate and flush each time that they hand out something. A request that stays open gets each message by
 * itself, as it is stored; so one is over with what is there (`no_wait`, and `expires` if nothing is). The servers refuse
 * such a request while others wait for more than there is, also if these are not pinned and get nothing: so who has got
 * nothing asks for the next message only.
 */
export class Puller {
  readonly #connection: LogConnection;
  readonly #subject: string;
  readonly #group: string | null;
  readonly #inbox = createInbox();
  /** Where words about the running request come: the last word about an earlier one must not end it. */
  #reply = '';
  #requests = 0;
  #subscription: { unsubscribe(): void } | null = null;
  #pin: string | null = null;
  #each: (message: StreamMessage) => void = () => undefined;
  /** How many messages the running request may still get. */
  #left = 0;
  #answer: PullEnd = 'none';
  /** Whether the last request brought something. */
  #hasCome = false;
  #end: () => void = () => undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @param group set if one instance at a time gets messages */
  constructor(connection: LogConnection, stream: string, consumer: string, group: string | null) {
    this.#connection = connection;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#group = group;
  }

  /** Whether the servers hand messages to this instance alone, as far as it knows. */
  get isPinned(): boolean {
    return this.#pin !== null;
  }

  /** @param each takes messages as they come, also when no request runs */
  start(each: (message: StreamMessage) => void): void {
    this.#each = each;
    const callback = (error: Error | null, msg: ServersMessage): void => {
      if (error === null) this.#take(msg);
      else this.#end();
    };
    this.#subscription = this.#connection.nc.subscribe(`${this.#inbox}.*`, { callback });
  }

  /**
   * Asks for messages. Resolves when the request is over: it is answered, has expired, or the servers or the connection
   * are gone. Never rejects.
   */
  async pull(room: Room, stopping: AbortSignal): Promise<PullEnd> {
    // what is sent while there is no server is sent later, all of it
    if (!this.#connection.isUp) return 'none';
    const isForNext = !this.#hasCome;
    this.#hasCome = false;
    this.#left = isForNext ? 1 : room.messages;
    this.#reply = `${this.#inbox}.${++this.#requests}`;
    this.#answer = 'none';
    const ended = new Promise<void>((resolve) => (this.#end = resolve));
    stopping.addEventListener('abort', this.#end);
    this.#wait();
    try {
      this.#connection.nc.publish(this.#subject, JSON.stringify(this.#request(room.bytes, isForNext)), {
        reply: this.#reply,
      });
      await ended;
    } catch {
      // the connection is closed
    } finally {
      clearTimeout(this.#timer);
      stopping.removeEventListener('abort', this.#end);
    }
    return this.#ending(isForNext);
  }

  close(): void {
    this.#subscription?.unsubscribe();
  }

  #take(msg: ServersMessage): void {
    const message = streamMessage(msg);
    if (message === null && msg.subject !== this.#reply) return;
    this.#wait();
    if (message !== null) {
      this.#answer = 'more';
      this.#hasCome = true;
      this.#pin = msg.headers?.get(PIN_ID) || this.#pin;
      this.#each(message);
      if (--this.#left <= 0) this.#end();
      return;
    }
    const status = msg.headers?.code ?? 0;
    if (status === NOT_PINNED) this.#pin = null;
    // others say that there is no consumer, or no leader of it
    if (status === HEARTBEAT || NO_MORE.has(status)) this.#answer = 'all';
    if (status !== HEARTBEAT) this.#end();
  }

  #ending(isForNext: boolean): PullEnd {
    // more will be there once it has gathered
    return isForNext && this.#answer === 'more' ? 'all' : this.#answer;
  }

  #wait(): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(this.#end, SILENT_MS);
  }

  #request(bytes: number, isForNext: boolean): object {
    return {
      batch: this.#left,
      max_bytes: bytes,
      ...(!isForNext && { no_wait: true }),
      expires: EXPIRES_MS * NANOSECONDS,
      idle_heartbeat: HEARTBEAT_MS * NANOSECONDS,
      ...(this.#group !== null && { group: this.#group, ...(this.#pin !== null && { id: this.#pin }) }),
    };
  }
}
