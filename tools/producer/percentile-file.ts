import type { RecordableHistogram } from 'node:perf_hooks';

/**
 * The percentile text of an HdrHistogram, in the format of its `outputPercentileDistribution`, which plotters read:
 * one line for each of a series of percentiles, five per halving of the distance to 100 %. A line has the value, the
 * percentile as a share of 1, the number of values up to it, and 1 / (1 - percentile), which the last line omits.
 */

/** Lines between 0 and 50 %, between 50 and 75 %, and so on. */
const TICKS_PER_HALF = 5;

/** Sub-buckets of an HdrHistogram with 3 digits: with 2,048, each value is right within 0.1 %. */
const SUB_BUCKETS = 2048;

/** @param unit how many units of the histogram make one of the file */
export function percentileText(histogram: RecordableHistogram, unit: number): string {
  const lines = ['       Value     Percentile TotalCount 1/(1-Percentile)', ''];
  const total = histogram.count;
  let level = 0;
  let upTo = 0;
  while (upTo < total) {
    const value = valueAtPercent(histogram, level);
    upTo = countWithin(histogram, value);
    const isLast = upTo >= total;
    const part = isLast ? 1 : level / 100;
    const columns = [fixed(value / unit, 12, 3), part.toFixed(12), String(upTo).padStart(10)];
    if (!isLast) columns.push(fixed(1 / (1 - part), 14, 2));
    lines.push(columns.join(' '));
    level += 100 / (TICKS_PER_HALF * 2 ** (Math.floor(Math.log2(100 / (100 - level))) + 1));
  }
  const [mean, deviation, max] =
    total === 0 ? [0, 0, 0] : [histogram.mean / unit, histogram.stddev / unit, histogram.max / unit];
  lines.push(`#[Mean    = ${fixed(mean, 12, 3)}, StdDeviation   = ${fixed(deviation, 12, 3)}]`);
  lines.push(`#[Max     = ${fixed(max, 12, 3)}, Total count    = ${String(total).padStart(12)}]`);
  lines.push(
    `#[Buckets = ${fixed(bucketsUpTo(3_600_000_000), 12, 0)}, SubBuckets     = ${fixed(SUB_BUCKETS, 12, 0)}]`,
  );
  return `${lines.join('\n')}\n`;
}

/**
 * The smallest value that is at least as large as this percentage of all values. Node.js rounds the rank, so with few
 * values its p99 holds for less than 99 of 100.
 */
export function valueAtPercent(histogram: RecordableHistogram, percent: number): number {
  const total = histogram.count;
  // floating point may add a little to a whole number
  return valueAt(histogram, Math.max(1, Math.ceil((percent / 100) * total - 1e-6)), total);
}

/** The value at a rank, from 1. */
function valueAt(histogram: RecordableHistogram, rank: number, total: number): number {
  return histogram.percentile(Math.min(100, (100 * rank) / total));
}

/** The number of values that are at most this large. Node.js returns values at percentiles only. */
export function countWithin(histogram: RecordableHistogram, value: number): number {
  const total = histogram.count;
  let [low, high] = [0, total];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (valueAt(histogram, middle, total) <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

function bucketsUpTo(highest: number): number {
  return 1 + Math.ceil(Math.log2(highest / SUB_BUCKETS));
}

function fixed(number: number, width: number, digits: number): string {
  return number.toFixed(digits).padStart(width);
}
