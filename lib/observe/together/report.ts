import type { LogSpace } from '../../seams/event-log.js';
import type { ErrorCode } from '../../base/errors.js';
import type { EventHead } from '../../door/newest-events.js';
import type { RequestCounts } from '../../door/request-counts.js';
import type { HealthAnswer, ProbeAnswer } from '../../door/probes.js';
import type { Family } from '../metrics/family.js';
import type { KnownBatches, ObservedForebay } from '../page/observed.js';
import type { Statistics } from '../../statistics.js';

/**
 * What is asked for. `probes` waits for nothing: a probe must be answered while the disk hangs. `counts`: metrics, and
 * what the page keeps for its history; `page`: also what changes with each batch, as someone looks.
 */
export type Depth = 'probes' | 'counts' | 'page';

/** What one process says of itself. Plain data: it goes from process to process. */
export interface Report {
  /** For `/metrics`; none before the start, or if it was not asked for. */
  readonly families: readonly Family[];
  /** For the page; `null` before the start, or if it was not asked for. */
  readonly page: PageReport | null;
  /** For `/health` and `/ready`. */
  readonly probes: Probes;
  /** How many pages are open. */
  readonly pagesOpen: number;
}

/** The answers to probes. */
export interface Probes {
  readonly health: HealthAnswer;
  readonly ready: ProbeAnswer;
}

export interface PageReport {
  readonly statistics: Statistics;
  readonly healthy: boolean;
  readonly bounds: Pick<ObservedForebay['settings'], 'queueSize' | 'queueBytes' | 'backlogBytesMax'>;
  readonly disk: LogSpace | null;
  readonly batches: KnownBatches;
  /** The most that the queue held lately. */
  readonly peak: { readonly events: number; readonly bytes: number };
  readonly counts: Pick<RequestCounts, 'acceptedEvents' | 'refusedEvents' | 'strayRequests'>;
  readonly connections: number;
  readonly sources: readonly {
    readonly name: string;
    readonly path: string;
    readonly heads: readonly EventHead[];
  }[];
  readonly refusal: { readonly code: ErrorCode; readonly message: string } | null;
}

/** A report, and whose it is. */
export interface ReportOf {
  /** The number of the worker; 0: what is left in other directories. */
  readonly worker: number;
  readonly report: Report;
}
