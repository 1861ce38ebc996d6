import type { EventCounts } from './event-counts.js';
import type { Histogram } from './base/histogram.js';
import type { SinkState } from './delivery/settler.js';
import type { Stages } from './core/stages.js';
import type { Compression } from './seams/compression.js';
import type { LogReplicas } from './seams/event-log.js';
import type { Pause } from './seams/pause.js';
import type { RetainedUsage } from './seams/retention.js';

/** The counts of the pipeline, as of now. Times are in seconds, sizes in bytes. */
export interface Statistics {
  readonly events: EventCounts;
  /** Events that could not be put on disk: their clients got the error. */
  readonly failedEvents: number;
  /** Files whose end was cut off by a crash; nothing of that was acknowledged. */
  readonly tornFiles: number;
  /** How often ids of an id window could not be kept: their events may be stored again after a restart. */
  readonly idFailures: number;
  /** What compression has done since the start; `null`: nothing is compressed. */
  readonly compression: Pick<Compression, 'files' | 'savedBytes' | 'failures'> | null;
  readonly queuedEvents: number;
  readonly queuedBytes: number;
  /** Approximate time that the disk needs for the queue, in seconds. */
  readonly queueDrainSeconds: number;
  readonly pendingBytes: number;
  /** How long the oldest pending event has been on disk; 0 if there is none. */
  readonly oldestPendingSeconds: number;
  /**
   * Time to deliver everything pending at the rate of the last half minute; `Infinity` if nothing is delivered. While
   * delivery is paused, at the rate of before.
   */
  readonly drainSeconds: number;
  /** Batches sealed, by the limit that ended them. */
  readonly sealedBy: Readonly<Record<string, number>>;
  /** Events per group: written and flushed together. */
  readonly groupEvents: Histogram;
  /** How long writing and flushing a group took. */
  readonly groupSeconds: Histogram;
  /** From the end of a request's events to their being on disk. */
  readonly ackSeconds: Histogram;
  /** From the first event of a batch to its confirmation by the sink, once for each of its events. */
  readonly deliverySeconds: Histogram;
  /** Failed attempts to read, deliver or delete a batch, at the sink or at the disk. */
  readonly deliveryFailures: number;
  readonly sink: SinkState;
  /** The pause of delivery; `null`: it goes on. */
  readonly paused: Pause | null;
  /** The state of a replicated log, as of its last look; `null` if the log is not replicated, or nobody has answered. */
  readonly replicas: LogReplicas | null;
  /** What the log keeps of settled batches; `null`: it keeps none. */
  readonly retained: RetainedUsage | null;
  /** Attempts to append to it after which it was unknown for a while whether the events are in it. */
  readonly doubtful: number;
}

export const NO_EVENTS: EventCounts = {
  accepted: 0,
  delivered: 0,
  deadLettered: 0,
  quarantined: 0,
  pending: 0,
  unreadBatches: 0,
  duplicates: 0,
};

/** The stages, and the id windows of sources; `null`: no source has one. */
interface Counting extends Stages {
  readonly ids: { readonly duplicates: number } | null;
}

export function eventCounts({ log, committer, delivery, ids }: Counting): EventCounts {
  return {
    accepted: committer.accepted + log.recoveredEvents,
    delivered: delivery.delivered,
    deadLettered: delivery.deadLettered,
    quarantined: log.quarantined,
    pending: log.pendingEvents,
    unreadBatches: log.unreadBatches,
    duplicates: ids?.duplicates ?? 0,
  };
}

function compressed({ files, savedBytes, failures }: Compression): Statistics['compression'] {
  return { files, savedBytes, failures };
}

export function statistics(stages: Counting, ackSeconds: Histogram, paused: Pause | null): Statistics {
  const { log, batcher, committer, delivery } = stages;
  const bornMs = delivery.oldestBornMs ?? log.oldestBornMs;
  return {
    events: eventCounts(stages),
    failedEvents: committer.failed,
    tornFiles: log.torn,
    idFailures: log.ids?.failures ?? 0,
    compression: log.compression ? compressed(log.compression) : null,
    queuedEvents: batcher.queuedEvents,
    queuedBytes: batcher.queuedBytes,
    queueDrainSeconds: batcher.drainMs / 1000,
    pendingBytes: log.pendingBytes,
    oldestPendingSeconds: bornMs === null ? 0 : (performance.now() - bornMs) / 1000,
    drainSeconds: log.pendingBytes === 0 ? 0 : delivery.drain.msFor(log.pendingBytes) / 1000,
    sealedBy: log.sealedBy,
    groupEvents: committer.groupEvents,
    groupSeconds: committer.groupSeconds,
    ackSeconds,
    deliverySeconds: delivery.deliverySeconds,
    deliveryFailures: delivery.failures,
    sink: delivery.sinkState,
    paused,
    replicas: log.replicas ?? null,
    retained: log.retained ?? null,
    doubtful: log.doubtful ?? 0,
  };
}
