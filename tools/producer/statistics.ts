import { valueAtPercent } from './percentile-file.js';
import { LATE_MS, sumOf } from './tally.js';
import type { Tally } from './tally.js';

/** The results of a run, as `--json` prints them. */
export interface Statistics {
  /** Events that were sent, each counted once: `accepted + backpressure + errors`. */
  readonly totalSent: number;
  readonly accepted: number;
  readonly backpressure: number;
  /** Part of `backpressure`: the server had reached its bound of open connections. */
  readonly connectionsMax: number;
  readonly errors: number;
  readonly durationMs: number;
  /** Sent events a second, over the whole duration. */
  readonly throughput: number;
  /** From when an event was due until it was accepted, in milliseconds; `null`: none was accepted. */
  readonly latencyMs: Readonly<Record<'p50' | 'p90' | 'p99' | 'p99.9' | 'max', number>> | null;
  readonly late: {
    /** Events that left more than `thresholdMs` after they were due. */
    readonly events: number;
    readonly thresholdMs: number;
    readonly delayMsMax: number;
  };
  /** Events that were due, and had not left a second after time ended the run. */
  readonly neverSent: number;
  /**
   * How late the producer itself was, from when an event was due, or from when a place was free for it: in
   * milliseconds; `null`: none was sent.
   */
  readonly ownDelayMs: Readonly<Record<'p50' | 'p90' | 'p99' | 'max', number>> | null;
  /** The share of its time in which the busiest worker thread was not waiting, from 0 to 1. */
  readonly busy: number;
  /** Whether the producer was the bottleneck, not the server. */
  readonly isProducerBehind: boolean;
  /** Errors by kind, in events. */
  readonly errorsByKind: Readonly<Record<string, number>>;
  /** How many times an event was sent again, by the kind of answer before. */
  readonly sentAgainByKind: Readonly<Record<string, number>>;
}

/** A thread with a larger share cannot keep up. It looks as if a slow server held all places. */
export const BUSY_MAX = 0.9;

export function statisticsOf(tally: Tally, durationMs: number, neverSent: number, busy = 0): Statistics {
  const {
    sent,
    accepted,
    backpressure,
    connectionsMax,
    errors,
    sentAgain,
    latencyUs,
    ownDelayUs,
    late,
    delayMsMax,
  } = tally;
  const atPercent = (percent: number): number => valueAtPercent(latencyUs, percent) / 1000;
  const ownAtPercent = (percent: number): number => valueAtPercent(ownDelayUs, percent) / 1000;
  return {
    totalSent: sent,
    accepted,
    backpressure,
    connectionsMax,
    errors: sumOf(errors),
    durationMs: Math.round(durationMs),
    throughput: Math.round((sent * 1000) / Math.max(1, durationMs)),
    latencyMs:
      latencyUs.count === 0
        ? null
        : {
            p50: atPercent(50),
            p90: atPercent(90),
            p99: atPercent(99),
            'p99.9': atPercent(99.9),
            max: latencyUs.max / 1000,
          },
    late: { events: late, thresholdMs: LATE_MS, delayMsMax: Math.round(delayMsMax * 1000) / 1000 },
    neverSent,
    ownDelayMs:
      ownDelayUs.count === 0
        ? null
        : {
            p50: ownAtPercent(50),
            p90: ownAtPercent(90),
            p99: ownAtPercent(99),
            max: ownDelayUs.max / 1000,
          },
    busy: Math.round(busy * 1000) / 1000,
    isProducerBehind:
      durationMs >= BEHIND_DURATION_MS &&
      sent >= BEHIND_EVENTS &&
      ((ownDelayUs.count > 0 && ownAtPercent(90) > LATE_MS) || (busy > BUSY_MAX && late > sent / 10)),
    errorsByKind: Object.fromEntries(errors),
    sentAgainByKind: Object.fromEntries(sentAgain),
  };
}

/**
 * A shorter run (in milliseconds), or one of fewer events, says nothing about the producer: it may have started
 * slowly.
 */
const BEHIND_DURATION_MS = 1000;
const BEHIND_EVENTS = 100;

const RULE = '='.repeat(40);

/** The statistics for people. */
export function statisticsText(statistics: Statistics): string {
  const { latencyMs, late, neverSent, errorsByKind, sentAgainByKind } = statistics;
  const latencies = Object.entries(latencyMs ?? {}).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
  const again = Object.entries(sentAgainByKind);
  const lines = [
    RULE,
    'Producer Statistics',
    RULE,
    `Total sent: ${statistics.totalSent}`,
    `Accepted (202): ${statistics.accepted}`,
    `Backpressure (429): ${statistics.backpressure}`,
    `Errors: ${statistics.errors}`,
    `Duration: ${statistics.durationMs} ms`,
    `Throughput: ${statistics.throughput} events/sec`,
    RULE,
    `Latency of accepted events, from when each was due (ms): ${latencies.join(', ') || 'none'}`,
    `Left more than ${late.thresholdMs} ms late: ${late.events} events; the greatest delay: ${late.delayMsMax.toFixed(1)} ms`,
    ...(neverSent > 0 ? [`Due and never sent: ${neverSent} events`] : []),
    ...adviceOn(statistics),
    ...again.map(([kind, times]) => `Sent again after ${kind}: ${times}`),
    ...Object.entries(errorsByKind).map(([kind, times]) => `Error ${kind}: ${times}`),
  ];
  return `${lines.join('\n')}\n`;
}

/** Names what limited the run, and what to do about it. */
function adviceOn(statistics: Statistics): string[] {
  const { connectionsMax, isProducerBehind } = statistics;
  if (connectionsMax > 0) {
    const why = `Refused at the connection: ${connectionsMax} events. The server allows no more connections (--connections-per-peer, --connections-max)`;
    return [`${why}: use fewer --workers or --connections, or more events a request (--bulk).`];
  }
  return isProducerBehind ? [behindText(statistics)] : [];
}

function behindText({ ownDelayMs, busy }: Statistics): string {
  const [p90, max] = [ownDelayMs?.p90 ?? 0, ownDelayMs?.max ?? 0];
  const why =
    busy > BUSY_MAX
      ? `its thread was busy for ${Math.round(busy * 100)} % of the time`
      : `a place was free, and yet events left late (p90 ${p90.toFixed(1)} ms, max ${max.toFixed(1)} ms)`;
  return `The producer itself was the bottleneck: ${why}. The server may take more: try --workers, --bulk or an idler machine.`;
}
