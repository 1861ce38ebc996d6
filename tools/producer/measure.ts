import { NEVER_SENT } from './find-max.js';
import type { Measured } from './find-max.js';
import { RATE } from './load.js';
import { countWithin } from './percentile-file.js';
import type { ProducerSettings } from './producer-settings.js';
import type { Run } from './producer.js';
import { BUSY_MAX } from './statistics.js';

/** Warm-up of `--find-max` at each rate, in milliseconds: connections open, code is compiled. */
export const WARM_UP_MS = 1000;

/** The rate at which the search starts, of all workers together. */
export function startRateOf({ rate, workers }: ProducerSettings): number {
  return (rate?.[0]?.from ?? RATE) * workers;
}

/** A step has at least this many requests of each worker: with fewer, a single one would decide p99. */
const REQUESTS_MIN = 20;

/** The lowest rate of all workers together at which a step has enough requests. */
export function rateMinOf({ bulk, workers }: ProducerSettings, stepMs: number): number {
  return bulk === null ? 1 : (REQUESTS_MIN * bulk * workers * 1000) / stepMs;
}

/** The settings of a run at a rate of all workers together, including the warm-up. */
export function settingsAt(settings: ProducerSettings, rate: number, lengthMs: number): ProducerSettings {
  const workers = Math.min(settings.workers, rate);
  const each = rate / workers;
  return {
    ...settings,
    workers,
    rate: [{ from: each, to: each, durationMs: null }],
    durationMs: WARM_UP_MS + lengthMs,
  };
}

/** The measurement of a run. */
export function measuredOf(
  run: Run,
  rate: number,
  boundMs: number,
  lengthMs: number,
  isStopped: boolean,
): Measured {
  const { statistics, latencyUs } = run;
  const {
    totalSent,
    accepted,
    backpressure,
    connectionsMax,
    neverSent,
    errorsByKind,
    latencyMs,
    ownDelayMs,
    busy,
  } = statistics;
  const events = Math.max(1, totalSent + neverSent);
  const kinds = Object.entries({
    ...errorsByKind,
    429: backpressure - connectionsMax,
    '429, as --connections-max were open': connectionsMax,
    [NEVER_SENT]: neverSent,
  });
  const [refusal, times] = kinds.reduce((most, kind) => (kind[1] > most[1] ? kind : most), ['', 0]);
  return {
    rate,
    lengthMs,
    p99Ms: latencyMs?.p99 ?? null,
    inTime: countWithin(latencyUs, boundMs * 1000) / events,
    refused: (events - accepted) / events,
    refusal: times === 0 ? null : refusal,
    isProducerBehind: connectionsMax === 0 && ((ownDelayMs?.p99 ?? 0) > boundMs / 2 || busy > BUSY_MAX),
    isStopped,
  };
}
