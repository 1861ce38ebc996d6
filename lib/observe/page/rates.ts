import type { Histogram } from '../../base/histogram.js';

/** What is counted without end, at one moment. */
export interface Totals {
  /** On any clock that only goes on. */
  readonly atMs: number;
  /** Events that were put on disk. */
  readonly taken: number;
  readonly delivered: number;
  readonly refused: number;
  /** Those of them for which the backlog had no room. */
  readonly backlogFull: number;
  /** Those of them whose connection was one too many. */
  readonly connectionsFull: number;
  readonly failed: number;
  /** Requests that waited so long for their `202`, by bucket. */
  readonly ack: readonly number[];
}

/** Rates per second, latencies in milliseconds; `null` where no request was answered. */
export interface Rates {
  readonly in: number;
  readonly out: number;
  readonly refused: number;
  readonly backlogFull: number;
  readonly connectionsFull: number;
  readonly failed: number;
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

type RateKey = Exclude<keyof Totals, 'atMs' | 'ack'>;

/** Over so many seconds: batches come in pieces, and a mean over one second would jump with them. */
const SECONDS = 5;

/** How fast things go now, from what was counted at the last few looks. */
export class RateWindow {
  readonly #bounds: readonly number[];
  readonly #looks: Totals[] = [];

  /** @param bounds those of the histogram of acknowledgements */
  constructor(bounds: readonly number[]) {
    this.#bounds = bounds;
  }

  /** Takes a look, one second after the last, and says how fast things went since the oldest that counts. */
  add(now: Totals): Rates {
    this.#looks.push(now);
    if (this.#looks.length > SECONDS + 1) this.#looks.shift();
    const first = this.#looks[0] ?? now;
    const seconds = Math.max(0.001, (now.atMs - first.atMs) / 1000);
    const rate = (key: RateKey): number => Math.max(0, now[key] - first[key]) / seconds;
    const counts = now.ack.map((count, bucket) => count - (first.ack[bucket] ?? 0));
    const ms = (share: number): number | null => {
      const value = quantile({ bounds: this.#bounds, counts }, share);
      return value === null ? null : value * 1000;
    };
    return {
      in: rate('taken'),
      out: rate('delivered'),
      refused: rate('refused'),
      backlogFull: rate('backlogFull'),
      connectionsFull: rate('connectionsFull'),
      failed: rate('failed'),
      p50Ms: ms(0.5),
      p99Ms: ms(0.99),
    };
  }
}

/**
 * The value below which such a share of all values lies, as well as the buckets tell: inside of one they count as spread
 * evenly. In the last bucket, which has no end, it is its begin.
 */
export function quantile(
  { bounds, counts }: Pick<Histogram, 'bounds' | 'counts'>,
  share: number,
): number | null {
  const wanted = share * counts.reduce((sum, count) => sum + count, 0);
  if (wanted === 0) return null;
  let below = 0;
  for (const [bucket, count] of counts.entries()) {
    if (below + count >= wanted && count > 0) {
      const from = bucket === 0 ? 0 : (bounds[bucket - 1] ?? 0);
      const to = bounds[bucket] ?? from;
      return from + ((wanted - below) / count) * (to - from);
    }
    below += count;
  }
  return bounds.at(-1) ?? null;
}
