import { JetStreamApiCodes, JetStreamApiError } from '@nats-io/jetstream';
import type { ConsumerConfig, ConsumerInfo, JetStreamManager } from '@nats-io/jetstream';
import { ForebayError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { ACK_WAIT_MS } from './held-messages.js';
import { earlierNamesOfStream, eventSubjects, namesOfStream } from './stream-names.js';
import type { StreamNames } from './stream-names.js';

/** The group of a consumer that hands messages to one instance. */
export const GROUP = 'forebay';
const NANOSECONDS = 1_000_000;
/** Longer than an instance waits between two requests for messages. */
const PINNED_MS = ACK_WAIT_MS + 5000;
/** All instances together. */
const ACK_PENDING_MAX = 50_000;
/** In order: fewer than one instance may hold, so that it has room for an older one that comes late. */
const ORDERED_PENDING_MAX = 1024;

export interface OpenedConsumer {
  /** With that of the consumer. */
  readonly names: StreamNames;
  /** Whether all instances that it hands messages to can read compressed ones. */
  readonly readsCompressed: boolean;
}

interface FoundConsumer extends OpenedConsumer {
  /** `null`: it is to be made. */
  readonly info: ConsumerInfo | null;
}

/**
 * Finds the consumer of a stream. Earlier builds take compressed messages for damaged ones, so theirs has another name, and
 * stays as long as it is there. The servers refuse a second one beside it, so no earlier build starts beside the new one.
 */
export async function findConsumer(
  jsm: JetStreamManager,
  names: StreamNames,
  streamId: string,
): Promise<FoundConsumer> {
  const earlier = earlierNamesOfStream(names, streamId);
  const earlierInfo = await infoOf(jsm, earlier);
  if (earlierInfo !== null) return { names: earlier, readsCompressed: false, info: earlierInfo };
  const own = namesOfStream(names, streamId);
  return { names: own, readsCompressed: true, info: await infoOf(jsm, own) };
}

/** Makes the consumer, or checks it. @throws ForebayError `LOG_UNUSABLE` */
export async function openConsumer(
  jsm: JetStreamManager,
  stream: StreamNames,
  streamId: string,
  inOrder: boolean,
  reporter: Reporter,
): Promise<OpenedConsumer> {
  const { info, ...found } = await findConsumer(jsm, stream, streamId);
  const { events, consumer } = found.names;
  const config = consumerConfig(found.names, inOrder);
  if (info === null) {
    await jsm.consumers.add(events, { ...config, durable_name: consumer });
    return found;
  }
  const there = info.config;
  if ((there.priority_policy ?? 'none') !== (config.priority_policy ?? 'none'))
    throw new ForebayError('LOG_UNUSABLE', {
      message: `The stream ${events} is delivered ${config.priority_policy === undefined ? 'in order' : 'without an order'} by other instances: for another --log-order stop all of them, and remove its consumer ${consumer}`,
    });
  const changed = (
    ['ack_wait', 'max_ack_pending', 'max_deliver', 'priority_timeout', 'filter_subject'] as const
  ).filter((key) => config[key] !== undefined && there[key] !== config[key]);
  if (changed.length === 0) return found;
  await jsm.consumers.update(events, consumer, config);
  reporter.info(`Changed the consumer ${consumer}: ${changed.join(', ')}`);
  return found;
}

async function infoOf(
  jsm: JetStreamManager,
  { events, consumer }: StreamNames,
): Promise<ConsumerInfo | null> {
  return jsm.consumers.info(events, consumer).catch((error: unknown) => {
    if (error instanceof JetStreamApiError && error.code === JetStreamApiCodes.ConsumerNotFound) return null;
    throw error;
  });
}

function consumerConfig({ events, consumer }: StreamNames, inOrder: boolean): Partial<ConsumerConfig> {
  return {
    name: consumer,
    // ids stay where they are
    filter_subject: eventSubjects(events),
    ack_policy: 'explicit',
    deliver_policy: 'all',
    ack_wait: ACK_WAIT_MS * NANOSECONDS,
    max_deliver: -1,
    max_ack_pending: inOrder ? ORDERED_PENDING_MAX : ACK_PENDING_MAX,
    ...(inOrder && {
      priority_policy: 'pinned_client',
      priority_groups: [GROUP],
      priority_timeout: PINNED_MS * NANOSECONDS,
    }),
  };
}
