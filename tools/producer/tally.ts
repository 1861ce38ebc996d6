import { createHistogram } from 'node:perf_hooks';
import type { RecordableHistogram } from 'node:perf_hooks';

/** An event that leaves more than this after it was due is late, in milliseconds. Timers are a little late, too. */
export const LATE_MS = 10;

/** The range of latencies: a microsecond to an hour, in microseconds. */
const LATENCY_US_MAX = 3_600_000_000;

/**
 * Results of events. Each event counts once, by its last answer: `sent = accepted + backpressure + errors` once all
 * are answered. Plain data, so that a worker thread can post it.
 */
export interface Tally {
  /** Events that were sent at least once. */
  sent: number;
  /** Events answered by 202. */
  accepted: number;
  /** Events answered by 429. */
  backpressure: number;
  /** Part of `backpressure`: the server had reached its bound of open connections. */
  connectionsMax: number;
  /** Events with any other answer, or none, by kind (`status 500`, `timeout`, `ECONNRESET`). */
  readonly errors: Map<string, number>;
  /** Events that were sent again, by the kind of answer before. */
  readonly sentAgain: Map<string, number>;
  /** Events that left more than `LATE_MS` after they were due. */
  late: number;
  /** The greatest delay between due and sent, in milliseconds. */
  delayMsMax: number;
  /** From when an event was due until it was accepted, in whole microseconds. */
  readonly latencyUs: RecordableHistogram;
  /**
   * How late the producer itself was with an event, in whole microseconds: from when it was due, or from when a place
   * was free for it if that was later.
   */
  readonly ownDelayUs: RecordableHistogram;
}

/** @param figures kept digits of a value: with 2 it takes 27 KB, with 3 180 KB */
export function latencyHistogram(figures: 2 | 3): RecordableHistogram {
  return createHistogram({ lowest: 1, highest: LATENCY_US_MAX, figures });
}

export function newTally(): Tally {
  const counts = { sent: 0, accepted: 0, backpressure: 0, connectionsMax: 0, late: 0, delayMsMax: 0 };
  return {
    ...counts,
    errors: new Map(),
    sentAgain: new Map(),
    latencyUs: latencyHistogram(3),
    ownDelayUs: latencyHistogram(2),
  };
}

export function recordSent(tally: Tally, delayMs: number, events: number): void {
  tally.sent += events;
  if (delayMs > LATE_MS) tally.late += events;
  tally.delayMsMax = Math.max(tally.delayMsMax, delayMs);
}

export function recordAccepted(tally: Tally, latencyMs: number, events: number): void {
  tally.accepted += events;
  recordMs(tally.latencyUs, latencyMs, events);
}

export function recordMs(histogram: RecordableHistogram, ms: number, times: number): void {
  const us = Math.min(LATENCY_US_MAX, Math.max(1, Math.round(ms * 1000)));
  for (let time = 0; time < times; time += 1) histogram.record(us);
}

export function count(kinds: Map<string, number>, kind: string, times = 1): void {
  kinds.set(kind, (kinds.get(kind) ?? 0) + times);
}

export function sumOf(kinds: ReadonlyMap<string, number>): number {
  return [...kinds.values()].reduce((sum, times) => sum + times, 0);
}

/** Adds up the tallies of workers. */
export function addUp(tallies: readonly Tally[]): Tally {
  const sum = newTally();
  for (const tally of tallies) {
    sum.sent += tally.sent;
    sum.accepted += tally.accepted;
    sum.backpressure += tally.backpressure;
    sum.connectionsMax += tally.connectionsMax;
    for (const [kind, times] of tally.errors) count(sum.errors, kind, times);
    for (const [kind, times] of tally.sentAgain) count(sum.sentAgain, kind, times);
    sum.late += tally.late;
    sum.delayMsMax = Math.max(sum.delayMsMax, tally.delayMsMax);
    sum.latencyUs.add(tally.latencyUs);
    sum.ownDelayUs.add(tally.ownDelayUs);
  }
  return sum;
}
