/** Counts values by size. A value costs some 14 ns, because each request counts one. */
export class Histogram {
  /** Upper bounds of the buckets, ascending. The bucket after the last one has no bound. */
  readonly bounds: readonly number[];
  /** Values in each bucket. There is one bucket more than bounds. */
  readonly counts: number[];
  /** Sum of all values. */
  sum = 0;

  constructor(bounds: readonly number[]) {
    this.bounds = bounds;
    this.counts = Array.from({ length: bounds.length + 1 }, () => 0);
  }

  /** @param times how often the value was seen */
  observe(value: number, times: number = 1): void {
    const { bounds, counts } = this;
    let bucket = 0;
    while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + times;
    this.sum += value * times;
  }
}

/** From half a millisecond to a minute, in seconds. */
export const SECONDS = [
  0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 60,
] as const;

/** From a tenth of a second to a week, in seconds: a sink can be away for long. */
export const LONG_SECONDS = [
  0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 3600, 21_600, 86_400, 604_800,
] as const;

/** Numbers of events. */
export const EVENTS = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000] as const;
