import type { LogReplica, LogReplicas } from '../../seams/event-log.js';
import type { ConsumerFacts, StreamFacts, StreamManager } from './servers.js';
import { allSubjects, eventsIn } from './stream-names.js';
import type { StreamNames } from './stream-names.js';

const LOOK_MS = 1000;
const NANOSECONDS = 1_000_000;

export interface Look {
  readonly state: LogReplicas;
  /** As of this look. */
  readonly pendingEvents: number;
  readonly pendingBytes: number;
  /** Messages that came and went since the streams were made. */
  readonly lastSeq: number;
  readonly messages: number;
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

  /** @param begins called when a look starts: what changes from then on may be in it or not */
  start(begins: () => void, each: (look: Look) => void): void {
    const look = async (): Promise<void> => {
      begins();
      try {
        each(await this.look());
      } catch {
        // what clients and the sink meet says more; the last look stays
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
      streams.info(events, { subjects_filter: allSubjects(events) }),
      consumers.info(events, consumer),
    ]);
    return lookOf(info, delivery);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }
}

function lookOf({ config, state, cluster }: StreamFacts, delivery: ConsumerFacts): Look {
  const subjects = Object.entries(state.subjects ?? {});
  const pendingEvents = subjects.reduce((sum, [subject, count]) => sum + eventsIn(subject) * count, 0);
  return {
    state: {
      stream: config.name,
      replicas: config.num_replicas,
      servers: serversOf(cluster),
      handedOut: delivery.num_ack_pending,
      redelivered: delivery.num_redelivered,
    },
    pendingEvents,
    pendingBytes: state.bytes,
    lastSeq: state.last_seq,
    messages: state.messages,
    oldestAtMs: state.messages === 0 ? null : Date.parse(state.first_ts),
  };
}

/** The copies of a stream, the leader first. */
export function serversOf(cluster: StreamFacts['cluster']): LogReplica[] {
  const followers = (cluster?.replicas ?? []).map(({ name, current, offline, lag, active }) => ({
    name,
    isLeader: false,
    isCurrent: current && !offline,
    lag: lag ?? 0,
    silentMs: active / NANOSECONDS,
  }));
  const leader = cluster?.leader ?? null;
  if (leader === null) return followers;
  return [{ name: leader, isLeader: true, isCurrent: true, lag: 0, silentMs: 0 }, ...followers];
}
