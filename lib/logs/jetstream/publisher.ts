import { setTimeout as sleep } from 'node:timers/promises';
import { headers } from '@nats-io/nats-core';
import type { MsgHdrs } from '@nats-io/nats-core';
import { asError, ForebayError } from '../../base/errors.js';
import { fateOfAnswer, fateOfSilence } from './publish-error.js';
import type { ApiError, Fate } from './publish-error.js';
import type { LogConnection } from './servers.js';
import { MESSAGE_ID } from './stream-message.js';

/** How long one attempt waits for its answer, and a failed one for the next, in milliseconds. */
const ATTEMPT_MS = 2000;
const PAUSE_MS = 100;
/** How much earlier than a request its message is given up, at most: the client hears what is known of it. */
const ANSWER_MS = 1000;
/** Subject and headers of a message, at most, in bytes. */
const HEAD_BYTES = 300;
/** A leader is elected within seconds. */
const RETRY_AFTER_MS = 5000;

/** A message that a majority of the replicas has. */
export interface Stored {
  readonly seq: number;
  /** Whether a message with this id was there before. */
  readonly isDuplicate: boolean;
}

/** An attempt after which a message is not stored, or nobody knows. */
export interface Failed {
  readonly fate: Fate;
  readonly why: string;
}

/** Until when something is attempted. */
export class Deadline {
  /** Of `performance.now()`. */
  readonly endMs: number;
  /** The other clock may stand still while the machine is suspended. This one may step, so it has some time more. */
  readonly #wallEndMs: number;

  constructor(forMs: number, forMsByWall: number) {
    this.endMs = performance.now() + forMs;
    this.#wallEndMs = Date.now() + forMsByWall;
  }

  get leftMs(): number {
    return this.endMs - performance.now();
  }

  get isOver(): boolean {
    return this.leftMs <= 0 || Date.now() >= this.#wallEndMs;
  }
}

/** Puts messages into streams, each once, and finds out what became of them. */
export class Publisher {
  /** Attempts after which nobody knew whether the message is stored. */
  doubtful = 0;
  readonly #connection: LogConnection;
  readonly #timeoutMs: number;

  /** @param timeoutMs how long to find out what became of a message */
  constructor(connection: LogConnection, timeoutMs: number) {
    this.#connection = connection;
    this.#timeoutMs = timeoutMs;
  }

  /**
   * When a message that is stored now is given up: before the request that brought it is. By either clock that is before
   * the servers forget its id (`duplicatesMs`).
   */
  deadline(): Deadline {
    return new Deadline(this.#timeoutMs - Math.min(ANSWER_MS, this.#timeoutMs / 4), 2 * this.#timeoutMs);
  }

  /**
   * Stores a message. An attempt that may have stored it is repeated with the same id, and the servers store an id once:
   * so a doubt ends as soon as they answer.
   *
   * @param id never that of another message of the stream, as far as its window for duplicates reaches
   * @throws ForebayError `BACKLOG_FULL`, `LOG_FAILED`: it is not stored; `IN_DOUBT`: it may be
   */
  async store(subject: string, data: Uint8Array, id: string, deadline = this.deadline()): Promise<Stored> {
    const most = (this.#connection.nc.info?.max_payload ?? Infinity) - HEAD_BYTES;
    if (data.length > most) {
      const message = `A message of ${data.length} bytes is larger than the NATS servers take (max_payload)`;
      throw new ForebayError('LOG_FAILED', { message, retryAfterMs: RETRY_AFTER_MS });
    }
    const head = headers();
    head.set(MESSAGE_ID, id);
    return this.untilKnown(async () => this.send(subject, data, head, deadline), deadline);
  }

  /**
   * Attempts something until it is known what became of it. An attempt must find out whether one before it has succeeded.
   *
   * @throws ForebayError as `store`
   */
  async untilKnown<T extends object>(attemptOnce: () => Promise<T | Failed>, deadline: Deadline): Promise<T> {
    let isDoubtful = false;
    let why = 'no connection to a NATS server';
    for (let attempts = 0; !deadline.isOver; attempts++) {
      if (attempts > 0) await sleep(PAUSE_MS);
      if (!(await this.#connection.up(deadline.endMs))) continue;
      const attempt = await attemptOnce();
      if (!('fate' in attempt)) return attempt;
      why = attempt.why;
      // a full stream says so before it looks whether it has the id
      if (attempt.fate === 'full' && !isDoubtful)
        throw new ForebayError('BACKLOG_FULL', { retryAfterMs: RETRY_AFTER_MS });
      if (attempt.fate === 'doubtful') {
        isDoubtful = true;
        this.doubtful++;
      }
    }
    const code = isDoubtful ? 'IN_DOUBT' : 'LOG_FAILED';
    const message = isDoubtful
      ? `The replicas did not say whether they have the event (${why}): it may be delivered although this is an error`
      : `No majority of the replicas took the event (${why})`;
    throw new ForebayError(code, { message, retryAfterMs: RETRY_AFTER_MS });
  }

  /**
   * Attempts once to store a message.
   *
   * @param before sends what goes with it
   */
  async send(
    subject: string,
    data: Uint8Array,
    head: MsgHdrs,
    deadline: Deadline,
    before: () => void = () => undefined,
  ): Promise<Stored | Failed> {
    // the process or the machine may have been suspended since the last attempt, until the servers had forgotten it
    if (deadline.isOver) return { fate: 'refused', why: 'no time was left' };
    const timeout = Math.max(1, Math.min(ATTEMPT_MS, deadline.leftMs));
    try {
      before();
      const answer = await this.#connection.nc.request(subject, data, { timeout, headers: head });
      const ack = JSON.parse(answer.string()) as { seq?: number; duplicate?: boolean; error?: ApiError };
      if (ack.error !== undefined)
        return { fate: fateOfAnswer(ack.error), why: ack.error.description ?? `error ${ack.error.code}` };
      if (typeof ack.seq === 'number') return { seq: ack.seq, isDuplicate: ack.duplicate === true };
      return { fate: 'doubtful', why: 'an answer without a sequence' };
    } catch (error) {
      return { fate: fateOfSilence(error), why: asError(error).message };
    }
  }
}
