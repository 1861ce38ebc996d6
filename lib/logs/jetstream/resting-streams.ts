import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiCodes, JetStreamApiError, jetstreamManager } from '@nats-io/jetstream';
import type { JetStreamManager, StreamInfo } from '@nats-io/jetstream';
import { connect } from '@nats-io/transport-node';
import type { NatsConnection } from '@nats-io/transport-node';
import { asError, ForebayError } from '../../base/errors.js';
import type { LogReplica } from '../../seams/event-log.js';
import type { LogPlaceSettings } from '../../settings/log-settings.js';
import { clientOptions } from './connection.js';
import { findConsumer } from './delivery-consumer.js';
import { allSubjects, eventSubjects, hasEvents, streamIdOf, streamNames } from './stream-names.js';
import type { StreamNames } from './stream-names.js';
import { serversOf, StreamWatch } from './stream-watch.js';

const ANSWER_MS = 3000;
const PAUSE_MS = 250;
/** How long a question is repeated, in milliseconds: an election takes 4 to 9 s. */
const ASK_MS = 15_000;
/** Messages that are asked for or removed at the same time, at most, and their size together. */
const AT_ONCE = 32;
const BYTES_AT_ONCE = 8 * 1024 * 1024;
const UNAVAILABLE = 503;
/** A message that is to be removed is gone. */
const NO_SUCH_MESSAGE: ReadonlySet<number> = new Set([JetStreamApiCodes.NoMessageFound, 10043, 10057]);

/** A message as it rests in a stream. */
export interface RestingMessage {
  readonly seq: number;
  readonly subject: string;
  readonly data: Uint8Array;
}

/** What a stream has. */
export interface StreamSums {
  readonly name: string;
  readonly messages: number;
  readonly bytes: number;
  /** `null`: unknown without reading them. */
  readonly events: number | null;
  /** Ids that are remembered, which are in the stream of events; `null`: not of this stream. */
  readonly ids: number | null;
  /** When the oldest message was stored, in milliseconds since 1970; `null`: there is none. */
  readonly oldestAtMs: number | null;
  readonly replicas: number;
  /** Those that are known, the leader first. */
  readonly servers: readonly LogReplica[];
  /** Unconfirmed messages that instances hold, and how many of these were handed out before; `null`: none is delivered. */
  readonly delivery: { readonly handedOut: number; readonly redelivered: number } | null;
}

/** Which messages: all, or those of a subject, from one number to another. */
export interface MessageRange {
  readonly subject?: string;
  readonly from?: number;
  readonly to?: number;
}

/** The streams of a log for who looks at them from outside. Reading takes nothing off them, and delivery goes on. */
export class RestingStreams {
  readonly names: StreamNames;
  readonly #nc: NatsConnection;
  readonly #jsm: JetStreamManager;

  private constructor(names: StreamNames, nc: NatsConnection, jsm: JetStreamManager) {
    this.names = names;
    this.#nc = nc;
    this.#jsm = jsm;
  }

  /** @throws ForebayError `SETTING_INVALID`, `LOG_SERVERS`, `LOG_UNUSABLE` if there are no such streams */
  static async open(settings: LogPlaceSettings): Promise<RestingStreams> {
    const nc = await connect(clientOptions(settings)).catch((error: unknown) => {
      const message = `No NATS server of --log-url takes the connection: ${asError(error).message}`;
      throw new ForebayError('LOG_SERVERS', { message, cause: error });
    });
    try {
      const jsm = await jetstreamManager(nc, { checkAPI: false, timeout: ANSWER_MS });
      const streams = new RestingStreams(streamNames(settings.logName), nc, jsm);
      await streams.#info(streams.names.events);
      return streams;
    } catch (error) {
      await nc.close();
      throw error;
    }
  }

  /** Of events, dead letters and quarantine. @throws ForebayError */
  async look(): Promise<StreamSums[]> {
    const { events, letters, quarantine } = this.names;
    const { created } = await this.#info(events);
    const streamId = streamIdOf(events, created);
    const { names } = await this.#ask(events, async () => findConsumer(this.#jsm, this.names, streamId));
    const watch = new StreamWatch(this.#jsm, names);
    const { state, ...look } = await this.#ask(events, async () => watch.look());
    const ofEvents = {
      name: events,
      messages: look.messages,
      bytes: look.pendingBytes,
      events: look.pendingEvents,
      ids: look.ids,
      oldestAtMs: look.oldestAtMs,
      replicas: state.replicas,
      servers: state.servers,
      delivery: { handedOut: state.handedOut, redelivered: state.redelivered },
    };
    return [ofEvents, sumsOf(await this.#info(letters), true), sumsOf(await this.#info(quarantine), false)];
  }

  /** How many messages a stream has. */
  async count(stream: string): Promise<number> {
    return (await this.#info(stream)).state.messages;
  }

  /**
   * The messages of a stream in their order, without those that come after this was called. Some bytes of them are in
   * memory at once.
   *
   * @throws ForebayError
   */
  async *messages(
    stream: string,
    { subject, from = 1, to = Infinity }: MessageRange = {},
  ): AsyncGenerator<RestingMessage, void, undefined> {
    const { first_seq: first, last_seq: newest } = (await this.#info(stream)).state;
    const last = Math.min(to, newest);
    const isOfEvents = stream === this.names.events;
    const all = isOfEvents ? eventSubjects(stream) : allSubjects(stream);
    const atOnce = subject === undefined ? this.#atOnce : 0;
    for (let seq = Math.max(from, first); seq <= last;) {
      const seqs = Array.from({ length: Math.min(atOnce, last + 1 - seq) }, (_each, index) => seq + index);
      const found = await Promise.all(seqs.map(async (each) => this.#message(stream, { seq: each })));
      const wanted = found.filter(
        (message) => message !== null && (!isOfEvents || hasEvents(stream, message.subject)),
      );
      for (const message of wanted) if (message !== null) yield message;
      seq += seqs.length;
      if (wanted.length > 0) continue;
      // a gap may be long: what was confirmed is gone, and ids are no events
      const next = await this.#message(stream, { seq, next_by_subj: subject ?? all });
      if (next === null || next.seq > last) return;
      yield next;
      seq = next.seq + 1;
    }
  }

  /** Removes messages of a stream, for certain. @throws ForebayError if the servers do not say so */
  async remove(stream: string, seqs: readonly number[]): Promise<void> {
    for (let at = 0; at < seqs.length; at += AT_ONCE)
      await Promise.all(seqs.slice(at, at + AT_ONCE).map(async (seq) => this.#remove(stream, seq)));
  }

  async close(): Promise<void> {
    await this.#nc.close();
  }

  get #atOnce(): number {
    const largest = this.#nc.info?.max_payload ?? BYTES_AT_ONCE;
    return Math.max(1, Math.min(AT_ONCE, Math.floor(BYTES_AT_ONCE / largest)));
  }

  async #info(stream: string): Promise<StreamInfo> {
    return this.#ask(stream, async () => this.#jsm.streams.info(stream));
  }

  async #message(
    stream: string,
    query: { readonly seq: number; readonly next_by_subj?: string },
  ): Promise<RestingMessage | null> {
    const message = await this.#ask(stream, async () => this.#jsm.streams.getMessage(stream, query));
    return message && { seq: message.seq, subject: message.subject, data: message.data };
  }

  async #remove(stream: string, seq: number): Promise<void> {
    await this.#ask(stream, async () => {
      const { streams } = this.#jsm;
      await streams.deleteMessage(stream, seq, false).catch((error: unknown) => {
        // an answer may be lost, and a letter of a later attempt takes the place of an earlier one
        if (!(error instanceof JetStreamApiError) || !NO_SUCH_MESSAGE.has(error.code)) throw error;
      });
    });
  }

  /** Asks until there is an answer. It may be asked twice what was done already. */
  async #ask<T>(stream: string, question: () => Promise<T>): Promise<T> {
    const endMs = performance.now() + ASK_MS;
    for (;;) {
      try {
        return await question();
      } catch (error) {
        const isAnswer = error instanceof JetStreamApiError && error.status !== UNAVAILABLE;
        if (isAnswer || performance.now() > endMs) throw asForebayError(stream, error);
        await sleep(PAUSE_MS);
      }
    }
  }
}

function sumsOf({ config, state, cluster }: StreamInfo, isOneEach: boolean): StreamSums {
  return {
    name: config.name,
    messages: state.messages,
    bytes: state.bytes,
    events: isOneEach ? state.messages : null,
    ids: null,
    oldestAtMs: state.messages === 0 ? null : Date.parse(state.first_ts),
    replicas: config.num_replicas,
    servers: serversOf(cluster),
    delivery: null,
  };
}

function asForebayError(stream: string, error: unknown): ForebayError {
  if (!(error instanceof JetStreamApiError)) {
    const message = `The NATS servers do not answer for the stream ${stream}: ${asError(error).message}`;
    return new ForebayError('LOG_SERVERS', { message, cause: error });
  }
  const isMissing = error.code === JetStreamApiCodes.StreamNotFound;
  const message = isMissing
    ? `There is no stream ${stream} on the NATS servers: no server with --log jetstream has made it`
    : `The stream ${stream} cannot be used: ${error.message}`;
  return new ForebayError('LOG_UNUSABLE', { message, cause: error });
}
