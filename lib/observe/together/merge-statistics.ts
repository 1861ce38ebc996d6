import type { LetterLook } from '../../seams/dead-letters.js';
import type { LogSpace } from '../../seams/event-log.js';
import type { RetainedUsage } from '../../seams/retention.js';
import type { EventCounts } from '../../event-counts.js';
import { Histogram } from '../../base/histogram.js';
import type { Buckets } from '../metrics/family.js';
import { mergeBuckets } from '../metrics/merge-families.js';
import type { Statistics } from '../../statistics.js';

type SinkState = Statistics['sink'];
type NonEmpty<T> = readonly [T, ...T[]];

/** From the best to the worst. */
const BREAKER_STATES = ['closed', 'half-open', 'open'] as const;

/** The counts of several pipelines as those of one: what is counted adds up, of ages and states the worst remains. */
export function mergeStatistics(all: NonEmpty<Statistics>): Statistics {
  const sum = (of: (each: Statistics) => number): number => added(all.map(of));
  const most = (of: (each: Statistics) => number): number => Math.max(...all.map(of));
  const histogram = (of: (each: Statistics) => Buckets): Histogram => asHistogram(mergeBuckets(all.map(of)));
  const reasons = new Set(all.flatMap(({ sealedBy }) => Object.keys(sealedBy)));
  return {
    events: mergeCounts(all.map(({ events }) => events)),
    failedEvents: sum((each) => each.failedEvents),
    tornFiles: sum((each) => each.tornFiles),
    idFailures: sum((each) => each.idFailures),
    compression: mergeCompression(all.flatMap(({ compression }) => compression ?? [])),
    queuedEvents: sum((each) => each.queuedEvents),
    queuedBytes: sum((each) => each.queuedBytes),
    queueDrainSeconds: most((each) => each.queueDrainSeconds),
    pendingBytes: sum((each) => each.pendingBytes),
    oldestPendingSeconds: most((each) => each.oldestPendingSeconds),
    drainSeconds: most((each) => each.drainSeconds),
    sealedBy: Object.fromEntries(
      [...reasons].map((reason) => [reason, sum((each) => each.sealedBy[reason] ?? 0)]),
    ),
    groupEvents: histogram((each) => each.groupEvents),
    groupSeconds: histogram((each) => each.groupSeconds),
    ackSeconds: histogram((each) => each.ackSeconds),
    deliverySeconds: histogram((each) => each.deliverySeconds),
    deliveryFailures: sum((each) => each.deliveryFailures),
    sink: mergeSinks(all.map(({ sink }) => sink)),
    retained: mergeRetained(all.flatMap(({ retained }) => retained ?? [])),
    paused: all.find(({ paused }) => paused !== null)?.paused ?? null,
    replicas: all.find(({ replicas }) => replicas !== null)?.replicas ?? null,
    doubtful: sum((each) => each.doubtful),
  };
}

function mergeCompression(all: readonly NonNullable<Statistics['compression']>[]): Statistics['compression'] {
  if (all.length === 0) return null;
  return {
    files: added(all.map(({ files }) => files)),
    savedBytes: added(all.map(({ savedBytes }) => savedBytes)),
    failures: added(all.map(({ failures }) => failures)),
  };
}

export function mergeCounts(all: readonly EventCounts[]): EventCounts {
  const sum = (key: keyof EventCounts): number => added(all.map((each) => each[key]));
  return {
    accepted: sum('accepted'),
    delivered: sum('delivered'),
    deadLettered: sum('deadLettered'),
    quarantined: sum('quarantined'),
    pending: sum('pending'),
    unreadBatches: sum('unreadBatches'),
    duplicates: sum('duplicates'),
  };
}

export function mergeSinks(all: readonly SinkState[]): SinkState {
  const sum = (of: (each: SinkState) => number): number => added(all.map(of));
  const waits = all.flatMap(({ nextAttemptMs }) => nextAttemptMs ?? []);
  const attempts = (key: keyof SinkState['attempts']): number => sum((each) => each.attempts[key]);
  return {
    breaker: BREAKER_STATES.findLast((state) => all.some(({ breaker }) => breaker === state)) ?? 'closed',
    misconfigured: all.some(({ misconfigured }) => misconfigured),
    nextAttemptMs: waits.length === 0 ? null : Math.min(...waits),
    openings: sum(({ openings }) => openings),
    failuresInARow: Math.max(0, ...all.map(({ failuresInARow }) => failuresInARow)),
    lastError: all.find(({ lastError }) => lastError !== null)?.lastError ?? null,
    attempts: {
      taken: attempts('taken'),
      refused: attempts('refused'),
      failed: attempts('failed'),
      running: attempts('running'),
    },
    concurrency: sum(({ concurrency }) => concurrency),
    deadLettersFull: all.some(({ deadLettersFull }) => deadLettersFull),
    batchesAside: sum(({ batchesAside }) => batchesAside),
    isolatedEvents: sum(({ isolatedEvents }) => isolatedEvents),
  };
}

function mergeRetained(all: readonly RetainedUsage[]): RetainedUsage | null {
  const sum = (of: (each: RetainedUsage) => number | null): number | null => {
    const known = all.flatMap((each) => of(each) ?? []);
    return known.length < all.length ? null : added(known);
  };
  const oldest = all.flatMap(({ oldestMs }) => oldestMs ?? []);
  const deleted = (why: keyof RetainedUsage['deleted']): number =>
    added(all.map((each) => each.deleted[why]));
  if (all.length === 0) return null;
  return {
    files: sum(({ files }) => files),
    bytes: sum(({ bytes }) => bytes),
    oldestMs: oldest.length === 0 ? null : Math.min(...oldest),
    deleted: { age: deleted('age'), size: deleted('size'), disk: deleted('disk') },
    unkept: added(all.map(({ unkept }) => unkept)),
  };
}

/** The directories are on one disk: what it has is not added up. */
export function mergeSpaces(all: readonly LogSpace[]): LogSpace {
  type Size = Exclude<keyof LogSpace, 'newestLetters'>;
  const known = (key: Size): number[] => all.flatMap((each) => each[key] ?? []);
  const sum = (key: Size): number | null => (known(key).length < all.length ? null : added(known(key)));
  const least = (key: Size): number | null => (known(key).length === 0 ? null : Math.min(...known(key)));
  return {
    deadLetterFiles: sum('deadLetterFiles'),
    deadLetterBytes: sum('deadLetterBytes'),
    quarantineFiles: sum('quarantineFiles'),
    quarantineBytes: sum('quarantineBytes'),
    freeBytes: least('freeBytes'),
    sizeBytes: least('sizeBytes'),
    freeInodes: least('freeInodes'),
    inodes: least('inodes'),
    newestLetters: all.flatMap(({ newestLetters }) => newestLetters ?? []).toSorted(newestFirst),
  };
}

function newestFirst(a: LetterLook, b: LetterLook): number {
  return a.time < b.time ? 1 : -1;
}

function asHistogram({ bounds, counts, sum }: Buckets): Histogram {
  const histogram = new Histogram(bounds);
  for (const [bucket, count] of counts.entries()) histogram.counts[bucket] = count;
  histogram.sum = sum;
  return histogram;
}

function added(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0);
}
