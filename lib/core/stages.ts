import type { RecentEvents } from '../base/reporter.js';
import type { PendingBatch } from '../seams/batch.js';
import type { EventLog } from '../seams/event-log.js';
import type { Batcher } from './batcher.js';
import type { Committer } from './committer.js';
import type { Delivery } from './delivery.js';

/** The log and the stages around it, in the order of the data. */
export interface Stages {
  readonly batcher: Batcher;
  readonly committer: Committer;
  readonly log: EventLog;
  readonly delivery: Delivery;
}

/** What goes on with batches. */
export interface RecentBatches {
  readonly recent: RecentEvents;
  /** Those that have a place at the sink or are being taken off the log, oldest first. */
  readonly active: readonly PendingBatch[];
}
