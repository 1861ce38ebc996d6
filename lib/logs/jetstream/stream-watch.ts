import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import { asError, ForebayError } from '../../base/errors.js';
import type { LogReplica, LogReplicas } from '../../seams/event-log.js';
import { idBytes, secretBytes } from './ids/id-message.js';
import type { ConsumerFacts, FoundMessage, StreamFacts, StreamManager, StreamState } from './servers.js';
import { eventSubjects, eventsIn } from './stream-names.js';
import type { StreamNames } from './stream-names.js';

const LOOK_MS = 1000;
const NANOSECONDS = 1_000_000;

/** After this many looks that nobody answered, nobody knows who leads. */
const UNSEEN_MAX = 2;
/** Neither a stream nor a consumer comes back by itself; servers that have just started may not know them yet. */
const GONE: ReadonlySet<number> = new Set([
  JetStreamApiCodes.StreamNotFound,
  JetStreamApiCodes.ConsumerNotFound,
]);
const GONE_MAX = 5;
const LONE_SERVER = 'the server';

export interface LookedAt {
  /** A look starts: what changes from then on may be in it or not. */
  readonly begins: () => void;
  readonly seen: (look: Look) => void;
  /** Nobody has answered for a while. */
  readonly unseen: () => void;
  /** The stream or its consumer is not the one that was opened. */
  readonly lost: (why: string) => void;
}

export interface Look {
  /** When the stream was made. */
  readonly created: string;
  readonly state: LogReplicas;
  /** Of the stream. */
  readonly metadata: Readonly<Record<string, string>> | undefined;
  /** As of this look. */
  readonly pendingEvents: number;
  readonly pendingBytes: number;
  /** Messages with events that were stored since the streams were made, and those that are there. */
  readonly storedMessages: number;
  readonly messages: number;
  /** Ids that are remembered. */
  readonly ids: number;
  /** When the oldest message was stored, in milliseconds since 1970; `null`: there is none. */
  readonly oldestAtMs: number | null;
}

/** Looks at the streams once a second. */
export class StreamWatch {
  readonly #jsm: StreamManager;
  readonly #names: StreamNames;
  #timer: NodeJS.Timeout | undefined;
  #isClosed = false;

  constructor(jsm: StreamManager, names: StreamNames) {
    this.#jsm = jsm;
    this.#names = names;
  }

  /** Looks once. Waits for a leader. @throws ForebayError `LOG_UNUSABLE` if there is nothing to look at; AbortError at a stop */
  async first(stopping: AbortSignal): Promise<Look> {
    for (let goneLooks = 0; ;) {
      const look = await this.look().catch(asError);
      if (!(look instanceof Error)) return look;
      goneLooks = isGone(look) ? goneLooks + 1 : 0;
      if (goneLooks === 2 * GONE_MAX) {
        const message = `The stream ${this.#names.events} ${goneText(look)}: start again`;
        throw new ForebayError('LOG_UNUSABLE', { message, cause: look });
      }
      await sleep(LOOK_MS / 2, undefined, { signal: stopping });
    }
  }

  /** @param created when the stream was made, as of the start */
  start(created: string, { begins, seen, unseen, lost }: LookedAt): void {
    let [unseenLooks, goneLooks] = [0, 0];
    const look = async (): Promise<void> => {
      begins();
      try {
        const found = await this.look();
        [unseenLooks, goneLooks] = [0, 0];
        if (found.created === created) seen(found);
        else lost('was deleted and made again');
      } catch (error) {
        if (++unseenLooks === UNSEEN_MAX) unseen();
        goneLooks = isGone(error) ? goneLooks + 1 : 0;
        if (goneLooks === GONE_MAX) lost(goneText(error));
      }
      if (!this.#isClosed) this.#timer = setTimeout(() => void look(), LOOK_MS).unref();
    };
    void look();
  }

  /** @throws Error if no leader answers */
  async look(): Promise<Look> {
    const { streams, consumers } = this.#jsm;
    const { events, consumer } = this.#names;
    const [info, delivery] = await Promise.all([
      streams.info(events, { subjects_filter: eventSubjects(events) }),
      consumers.info(events, consumer),
    ]);
    const look = lookOf(info, delivery);
    if (look.messages === 0 || look.messages === info.state.messages) return look;
    const oldest = await this.#oldest(delivery);
    return { ...look, oldestAtMs: oldest?.time.getTime() ?? look.oldestAtMs };
  }

  /** The number of the oldest message with events; of the next one if there is none. @throws Error if no leader answers */
  async oldestSeq(): Promise<number> {
    const { streams, consumers } = this.#jsm;
    const { events, consumer } = this.#names;
    const { state } = await streams.info(events, { subjects_filter: eventSubjects(events) });
    const messages = messagesOf(state);
    if (messages === 0) return state.last_seq + 1;
    if (messages === state.messages) return state.first_seq;
    // ids are between them, and may be many
    return (await this.#oldest(await consumers.info(events, consumer)))?.seq ?? 0;
  }

  async #oldest({ ack_floor }: ConsumerFacts): Promise<FoundMessage | null> {
    const { events } = this.#names;
    const query = { seq: ack_floor.stream_seq + 1, next_by_subj: eventSubjects(events) };
    return this.#jsm.streams.getMessage(events, query);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}

function isGone(error: unknown): boolean {
  return error instanceof JetStreamApiError && GONE.has(error.code);
}

function goneText(error: unknown): string {
  return `or its consumer is gone (${asError(error).message})`;
}

function lookOf({ created, config, state, cluster }: StreamFacts, delivery: ConsumerFacts): Look {
  const subjects = Object.entries(state.subjects ?? {});
  const pendingEvents = subjects.reduce((sum, [subject, count]) => sum + eventsIn(subject) * count, 0);
  const messages = messagesOf(state);
  // what is no event is an id, or their secret
  const others = state.messages - messages;
  const ids = Math.max(0, others - 1);
  const idsBytes = others === 0 ? 0 : secretBytes(config.name) + ids * idBytes(config.name);
  const { num_ack_pending: handedOut, num_redelivered: redelivered, delivered } = delivery;
  return {
    created,
    state: {
      stream: config.name,
      replicas: config.num_replicas,
      servers: serversOf(cluster),
      handedOut,
      redelivered,
    },
    metadata: config.metadata,
    pendingEvents,
    pendingBytes: messages === 0 ? 0 : Math.max(0, state.bytes - idsBytes),
    storedMessages: others === 0 ? state.last_seq : messages + delivered.consumer_seq - handedOut,
    messages,
    ids,
    oldestAtMs: messages === 0 ? null : Date.parse(state.first_ts),
  };
}

function messagesOf({ subjects }: StreamState): number {
  return Object.values(subjects ?? {}).reduce((sum, count) => sum + count, 0);
}

/** The copies of a stream, the leader first. */
export function serversOf(cluster: StreamFacts['cluster']): LogReplica[] {
  // a server that is no part of a cluster says nothing of itself, and has answered
  if (cluster === undefined) return [leading(LONE_SERVER)];
  const followers = (cluster.replicas ?? []).map(({ name, current, offline, lag, active }) => ({
    name,
    isLeader: false,
    isCurrent: current && !offline,
    lag: lag ?? 0,
    silentMs: active / NANOSECONDS,
  }));
  return cluster.leader ? [leading(cluster.leader), ...followers] : followers;
}

function leading(name: string): LogReplica {
  return { name, isLeader: true, isCurrent: true, lag: 0, silentMs: 0 };
}
