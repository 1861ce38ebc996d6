import { setTimeout as sleep } from 'node:timers/promises';
import { JetStreamApiCodes, JetStreamApiError, StoreCompression } from '@nats-io/jetstream';
import type { JetStreamManager, StreamConfig, StreamInfo } from '@nats-io/jetstream';
import { asError, ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { openConsumer } from './delivery-consumer.js';
import type { OpenedConsumer } from './delivery-consumer.js';
import { idsRoom } from './ids/id-message.js';
import { allSubjects, streamIdOf } from './stream-names.js';
import type { StreamNames } from './stream-names.js';

export interface StreamBounds {
  readonly replicas: number;
  readonly backlogBytesMax: number;
  readonly deadLettersBytesMax: number;
  readonly ackTimeoutMs: number;
  /** One instance at a time is handed messages. */
  readonly inOrder: boolean;
  /** The largest message, in bytes. */
  readonly payloadMax: number;
  /** Ids that are remembered, at most; 0: no source has an id window. */
  readonly idsMax: number;
}

/** What they are called, and what identifies the stream of events. */
export interface OpenedStreams extends OpenedConsumer {
  readonly streamId: string;
}

const NANOSECONDS = 1_000_000;
const DUPLICATES_MS = 120_000;
const QUARANTINE_BYTES_MAX = 64 * 1024 * 1024;
const RETRY_MS = 500;
/** Servers that start one after the other find each other within this time, in milliseconds. */
const PEERS_MS = 30_000;
/** Too few servers for the replicas; no room for the bytes that are reserved. */
const NO_PEERS = 10005;
/** A server that is no part of a cluster is asked for more than one replica. */
const NO_CLUSTER = 10074;
const CHANGEABLE = [
  'max_bytes',
  'num_replicas',
  'duplicate_window',
  'max_msgs_per_subject',
  'allow_atomic',
  'allow_msg_ttl',
  'allow_direct',
  'compression',
] as const;
const NO_ROOM = new Set([10023, 10028, 10047]);
const INVALID = new Set([10052, 10025, 10012]);

/** Makes the streams and the consumer, or checks them. Waits for the servers. @throws ForebayError `LOG_UNUSABLE` */
export async function openStreams(
  jsm: JetStreamManager,
  names: StreamNames,
  bounds: StreamBounds,
  reporter: Reporter,
  stopping: AbortSignal,
  peersMs: number = PEERS_MS,
): Promise<OpenedStreams> {
  const startMs = performance.now();
  for (let isSaid = false; ; isSaid = true) {
    try {
      const info = await openStream(jsm, eventsConfig(names, bounds), reporter);
      await openStream(jsm, lettersConfig(names, bounds), reporter);
      await openStream(jsm, quarantineConfig(names, bounds), reporter);
      const streamId = streamIdOf(names.events, info.created);
      const { inOrder } = bounds;
      return { ...(await openConsumer(jsm, names, streamId, inOrder, reporter)), streamId };
    } catch (error) {
      const final = finalError(error, bounds, performance.now() - startMs > peersMs);
      if (final !== null) throw final;
      const text = `The NATS servers are not ready: ${asError(error).message}; waiting for them`;
      if (!isSaid) reporter.warn('LOG_SERVERS', text);
      await sleep(RETRY_MS, undefined, { signal: stopping });
    }
  }
}

/** An error that waiting cannot mend; `null` if it can. */
function finalError(error: unknown, bounds: StreamBounds, isLate: boolean): ForebayError | null {
  if (error instanceof ForebayError) return error;
  if (!(error instanceof JetStreamApiError)) return null;
  const { code, message } = error;
  const { replicas, backlogBytesMax, idsMax } = bounds;
  const ids = idsMax === 0 ? '' : ` and ${idsMax} ids (--id-window-max)`;
  if (code === NO_CLUSTER || (code === NO_PEERS && isLate))
    return unusable(
      `${replicas} servers with room for --backlog-max ${backlogBytesMax}${ids} are needed (--log-replicas): ${message}`,
    );
  if (NO_ROOM.has(code) && isLate)
    return unusable(`The servers have no room for --backlog-max ${backlogBytesMax}${ids}: ${message}`);
  return INVALID.has(code) ? unusable(`The servers refuse the stream: ${message}`) : null;
}

async function openStream(
  jsm: JetStreamManager,
  config: Partial<StreamConfig> & { name: string },
  reporter: Reporter,
): Promise<StreamInfo> {
  const info = await jsm.streams.info(config.name).catch((error: unknown) => {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.StreamNotFound) return null;
    throw error;
  });
  if (info === null) {
    const made = await jsm.streams.add(config);
    reporter.info(`Made the stream ${config.name} with ${made.config.num_replicas} replicas`);
    return made;
  }
  const there = info.config;
  for (const key of ['retention', 'storage', 'discard'] as const) {
    if (there[key] !== config[key])
      throw unusable(
        `The stream ${config.name} has ${key} ${there[key]}, which can lose events: it must be ${config[key]}`,
      );
  }
  const changed = CHANGEABLE.filter((key) => config[key] !== undefined && there[key] !== config[key]);
  const wrong = droppingSetting(there, config);
  if (wrong !== null) throw unusable(`The stream ${config.name} has ${wrong}`);
  if (changed.length === 0) return info;
  const updated = await jsm.streams.update(config.name, config);
  reporter.info(`Changed the stream ${config.name}: ${changed.join(', ')}`);
  return updated;
}

/** A setting of a stream that is there by which it drops or hides messages; `null`: there is none. */
function droppingSetting(there: StreamConfig, wanted: Partial<StreamConfig>): string | null {
  if (there.max_age > 0 || there.max_msgs > 0) return 'a bound of age or number: it drops events';
  if (there.max_msgs_per_subject > 0 && wanted.max_msgs_per_subject === undefined)
    return 'a bound of messages of a subject: it drops events';
  if (there.no_ack === true) return 'no acknowledgements';
  if (there.sealed) return 'a seal';
  if (there.subject_transform !== undefined) return 'a transform of subjects';
  if (there.mirror !== undefined || (there.sources ?? []).length > 0) return 'another stream as its source';
  if ((there.consumer_limits?.inactive_threshold ?? 0) > 0) return 'a limit of time for its consumers';
  if ('persist_mode' in there && there.persist_mode === 'async') return 'asynchronous storage';
  return there.subjects.join() === wanted.subjects?.join()
    ? null
    : 'other subjects: it is not one of Forebay';
}

function eventsConfig(
  { events }: StreamNames,
  bounds: StreamBounds,
): Partial<StreamConfig> & { name: string } {
  return {
    ...common(events, bounds),
    retention: 'workqueue',
    max_bytes: bounds.backlogBytesMax,
    duplicate_window: duplicatesMs(bounds.ackTimeoutMs) * NANOSECONDS,
    ...(bounds.idsMax > 0 && {
      max_bytes: bounds.backlogBytesMax + idsRoom(events, bounds.idsMax),
      allow_atomic: true,
      allow_msg_ttl: true,
      allow_direct: true,
    }),
  };
}

/** How long the servers know what they have stored, in milliseconds: longer than a doubt lasts. */
export function duplicatesMs(ackTimeoutMs: number): number {
  return Math.max(DUPLICATES_MS, 3 * ackTimeoutMs);
}

/** The bound that counts is that of stream-letters.ts; the servers' own lets the letters of one batch pass. */
function lettersConfig(
  { letters }: StreamNames,
  bounds: StreamBounds,
): Partial<StreamConfig> & { name: string } {
  const { deadLettersBytesMax, payloadMax } = bounds;
  const max_bytes = deadLettersBytesMax + 16 * payloadMax;
  return { ...common(letters, bounds), retention: 'limits', max_bytes, max_msgs_per_subject: 1 };
}

function quarantineConfig(
  { quarantine }: StreamNames,
  bounds: StreamBounds,
): Partial<StreamConfig> & { name: string } {
  const max_bytes = quarantineBytesMax(bounds);
  return { ...common(quarantine, bounds), retention: 'limits', max_bytes };
}

/** The servers reserve it. It has room for what is damaged of a message, however large these may be. */
export function quarantineBytesMax({ payloadMax }: Pick<StreamBounds, 'payloadMax'>): number {
  return Math.max(QUARANTINE_BYTES_MAX, 2 * payloadMax);
}

function common(name: string, { replicas }: StreamBounds): Partial<StreamConfig> & { name: string } {
  return {
    name,
    subjects: [allSubjects(name)],
    storage: 'file',
    discard: 'new',
    num_replicas: replicas,
    // servers that are killed may not get a compressed block back, and stay out until the next start (decision 83)
    compression: StoreCompression.None,
  };
}

function unusable(message: string): ForebayError {
  return new ForebayError('LOG_UNUSABLE', { message });
}
