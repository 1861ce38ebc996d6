import type { AppendLog } from '../logs/file/append-log.js';
import type { SealedBatch } from '../seams/batch.js';
import type { RecentLines } from '../base/reporter.js';
import type { Backlog } from '../logs/file/backlog.js';
import type { Batcher } from './batcher.js';
import type { BatchWriter } from './committer.js';
import type { Deliverer } from './delivery.js';

/** The log and the stages around it, in the order of the data. */
export interface Stages {
  readonly batcher: Batcher;
  readonly writer: BatchWriter;
  readonly log: AppendLog;
  readonly backlog: Backlog;
  readonly deliverer: Deliverer;
}

/** What goes on with batches. */
export interface RecentBatches {
  readonly recent: RecentLines;
  /** Those that have had a place at the sink and are not off the disk, oldest first. */
  readonly active: readonly SealedBatch[];
}
