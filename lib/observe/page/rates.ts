import type { Histogram } from '../../base/histogram.js';

/** Events, by what became of them: put on disk, delivered, refused (in all, and by two of the bounds), not put on disk. */
type Counted = Readonly<
  Record<'in' | 'out' | 'refused' | 'backlogFull' | 'connectionsFull' | 'failed', number>
>;

/** What is counted without end, at one moment. */
export interface Totals extends Counted {
  /** On any clock that never goes back. */
  readonly atMs: number;
  /** Requests by how long they waited for their `202`, in buckets. */
  readonly ack: readonly number[];
}

/** Rates per second, latencies in milliseconds; `null` if no request was answered. */
export interface Rates extends Counted {
  readonly p50Ms: number | null;
  readonly p99Ms: number | null;
}

/** Rates are means over this many seconds: batches come in pieces, and a mean over one second would jump with them. */
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
    const counts = now.ack.map((count, bucket) => count - (first.ack[bucket] ?? 0));
    const ms = (share: number): number | null => {
      const value = quantile({ bounds: this.#bounds, counts }, share);
      return value === null ? null : value * 1000;
    };
    const rate = (key: keyof Counted): number => Math.max(0, now[key] - first[key]) / seconds;
    return {
      in: rate('in'),
      out: rate('out'),
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
 * The value below which a share of all values lies, as far as the buckets show it: inside of one they count as spread
 * evenly. In the last bucket, which has no end, it is its start.
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
