import { createInbox } from '@nats-io/nats-core';
import type { Msg } from '@nats-io/nats-core';
import type { Connection } from './connection.js';
import { streamMessage } from './stream-message.js';
import type { StreamMessage } from './stream-message.js';

/** How long the servers keep a request for messages, and how often they show that they live, in milliseconds. */
const EXPIRES_MS = 10_000;
const HEARTBEAT_MS = 2000;
const HEARTBEAT = 100;
/** The instance is not the one that the servers hand messages to. */
const NOT_PINNED = 423;
const PIN_ID = 'Nats-Pin-Id';
const NANOSECONDS = 1_000_000;

/** At most this much of one request. */
export interface Room {
  readonly messages: number;
  readonly bytes: number;
}

/** Asks the servers for messages (ADR-13 of NATS), one request at a time. */
export class Puller {
  readonly #connection: Connection;
  readonly #subject: string;
  readonly #group: string | null;
  #pin: string | null = null;

  /** @param group set if one instance at a time gets messages */
  constructor(connection: Connection, stream: string, consumer: string, group: string | null) {
    this.#connection = connection;
    this.#subject = `$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`;
    this.#group = group;
  }

  /**
   * Gives messages as they come. Resolves when the request is over: it is answered in full, has expired, or the servers or
   * the connection are gone. Never rejects.
   *
   * @returns whether the servers have answered at all
   */
  async pull(room: Room, stopping: AbortSignal, each: (message: StreamMessage) => void): Promise<boolean> {
    const { nc } = this.#connection;
    const inbox = createInbox();
    let left = room.messages;
    let isAnswered = false;
    let timer: NodeJS.Timeout | undefined;
    let end: () => void = () => undefined;
    const ended = new Promise<void>((resolve) => (end = resolve));
    const wait = (): void => {
      clearTimeout(timer);
      timer = setTimeout(end, 2 * HEARTBEAT_MS + HEARTBEAT_MS / 2);
    };
    const take = (error: Error | null, msg: Msg): void => {
      if (error !== null) {
        end();
        return;
      }
      isAnswered = true;
      wait();
      const message = streamMessage(msg);
      if (message !== null) {
        this.#pin = msg.headers?.get(PIN_ID) || this.#pin;
        each(message);
        if (--left === 0) end();
        return;
      }
      const status = msg.headers?.code ?? 0;
      if (status === NOT_PINNED) this.#pin = null;
      if (status !== HEARTBEAT) end();
    };
    stopping.addEventListener('abort', end);
    try {
      const subscription = nc.subscribe(inbox, { callback: take });
      wait();
      nc.publish(this.#subject, JSON.stringify(this.#request(room)), { reply: inbox });
      await ended;
      subscription.unsubscribe();
    } catch {
      // the connection is closed
    } finally {
      clearTimeout(timer);
      stopping.removeEventListener('abort', end);
    }
    return isAnswered;
  }

  #request({ messages, bytes }: Room): object {
    return {
      batch: messages,
      max_bytes: bytes,
      expires: EXPIRES_MS * NANOSECONDS,
      idle_heartbeat: HEARTBEAT_MS * NANOSECONDS,
      ...(this.#group !== null && { group: this.#group, ...(this.#pin !== null && { id: this.#pin }) }),
    };
  }
}
