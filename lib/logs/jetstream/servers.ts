import type { ConsumerInfo, StreamInfo } from '@nats-io/jetstream';
import type { Msg, MsgHdrs, ServerInfo } from '@nats-io/nats-core';

/** A message as it comes from the servers. */
export type ServersMessage = Pick<Msg, 'subject' | 'reply' | 'data' | 'headers'>;

/** What the log uses of the client of NATS; the simulation has just this. */
export interface Servers {
  readonly info?: Pick<ServerInfo, 'max_payload'>;
  request(
    subject: string,
    data: Uint8Array | string,
    options: { timeout: number; headers?: MsgHdrs },
  ): Promise<Pick<Msg, 'string'>>;
  publish(subject: string, data: string, options?: { reply: string }): void;
  subscribe(
    subject: string,
    options: { callback: (error: Error | null, message: ServersMessage) => void },
  ): { unsubscribe(): void };
  flush(): Promise<void>;
  isClosed(): boolean;
}

/** A connection that is kept up for ever. */
export interface LogConnection {
  readonly nc: Servers;
  /** Whether a request that is sent now goes out now. Otherwise the client would keep it, and send it whenever it can. */
  readonly isUp: boolean;
  /** Resolves to whether it is up, at the latest at `endMs` of `performance.now()`. */
  up(endMs: number): Promise<boolean>;
  close(): Promise<void>;
}

export type StreamState = Pick<
  StreamInfo['state'],
  'messages' | 'bytes' | 'first_seq' | 'first_ts' | 'last_seq' | 'subjects'
>;

export interface StreamFacts {
  readonly created: string;
  readonly config: Pick<StreamInfo['config'], 'name' | 'num_replicas' | 'metadata'>;
  readonly state: StreamState;
  readonly cluster?: StreamInfo['cluster'];
}

export type ConsumerFacts = Pick<ConsumerInfo, 'num_ack_pending' | 'num_redelivered'>;

/** What the log asks of the servers about its streams, once they are made. */
export interface StreamManager {
  readonly streams: {
    info(stream: string, options?: { subjects_filter: string }): Promise<StreamFacts>;
    update(stream: string, changed: { metadata: Record<string, string> }): Promise<unknown>;
    purge(stream: string, options: { filter: string }): Promise<unknown>;
    getMessage(
      stream: string,
      query: { seq: number } | { last_by_subj: string },
    ): Promise<{ readonly data: Uint8Array } | null>;
  };
  readonly consumers: {
    info(stream: string, consumer: string): Promise<ConsumerFacts>;
    unpin(stream: string, consumer: string, group: string): Promise<unknown>;
  };
}
