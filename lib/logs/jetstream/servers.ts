import type { ConsumerInfo, StoredMsg, StreamInfo } from '@nats-io/jetstream';
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
  publish(
    subject: string,
    data: Uint8Array | string,
    options?: { readonly reply?: string; readonly headers?: MsgHdrs },
  ): void;
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

/** One message: by its number, the first of a subject from there on, or the last of a subject. */
export type MessageQuery =
  { readonly seq: number; readonly next_by_subj?: string } | { readonly last_by_subj: string };

export interface StreamFacts {
  readonly created: string;
  readonly config: Pick<StreamInfo['config'], 'name' | 'num_replicas' | 'metadata'>;
  readonly state: StreamState;
  readonly cluster?: StreamInfo['cluster'];
}

export type ConsumerFacts = Pick<ConsumerInfo, 'num_ack_pending' | 'num_redelivered'> & {
  readonly delivered: Pick<ConsumerInfo['delivered'], 'consumer_seq'>;
  readonly ack_floor: Pick<ConsumerInfo['ack_floor'], 'stream_seq'>;
};

/** A message that was asked for. */
export type FoundMessage = Pick<StoredMsg, 'seq' | 'subject' | 'data' | 'time'>;

/** What the log asks of the servers about its streams, once they are made. */
export interface StreamManager {
  readonly streams: {
    info(stream: string, options?: { subjects_filter: string }): Promise<StreamFacts>;
    update(stream: string, changed: { metadata: Record<string, string> }): Promise<unknown>;
    purge(stream: string, options: { filter: string; keep?: number }): Promise<unknown>;
    getMessage(stream: string, query: MessageQuery): Promise<FoundMessage | null>;
  };
  readonly consumers: {
    info(stream: string, consumer: string): Promise<ConsumerFacts>;
    unpin(stream: string, consumer: string, group: string): Promise<unknown>;
  };
}
