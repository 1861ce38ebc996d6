import { COLUMNS } from './messages.js';
import type { Column, HistoryMessage, Point } from './messages.js';

/** A quarter of an hour, a point a second: some 65 KB, whatever happens. */
export const POINTS_MAX = 900;

/** The last 15 minutes, also for a page that is opened later. */
export class History {
  readonly #columns = new Map<Column, Float64Array>(
    COLUMNS.map((column) => [column, new Float64Array(POINTS_MAX)]),
  );
  /** How many there ever were. */
  #points = 0;

  add(point: Point): void {
    // NaN is `null` here: an array of numbers cannot hold that
    for (const [column, values] of this.#columns) values[this.#points % POINTS_MAX] = point[column] ?? NaN;
    this.#points++;
  }

  /**
   * How fast a column grew over the last points, per second; `null` if there are fewer, or one has no value.
   *
   * @param points at most `POINTS_MAX`
   */
  growth(column: Column, points: number): number | null {
    if (this.#points < points) return null;
    const values = this.#columns.get(column);
    const now = orNull(values?.[(this.#points - 1) % POINTS_MAX]);
    const before = orNull(values?.[(this.#points - points) % POINTS_MAX]);
    return now === null || before === null ? null : (now - before) / (points - 1);
  }

  /** The oldest value of a column that is still there; `null` if there is none. */
  oldest(column: Column): number | null {
    if (this.#points === 0) return null;
    const first = this.#points > POINTS_MAX ? this.#points % POINTS_MAX : 0;
    return orNull(this.#columns.get(column)?.[first]);
  }

  /** Oldest first. */
  message(): HistoryMessage {
    const next = this.#points % POINTS_MAX;
    const entries = [...this.#columns].map(([column, values]) => {
      const ordered =
        this.#points < POINTS_MAX
          ? [...values.subarray(0, next)]
          : [...values.subarray(next), ...values.subarray(0, next)];
      return [column, ordered.map(orNull)];
    });
    return Object.fromEntries(entries) as HistoryMessage;
  }
}

function orNull(value: number | undefined): number | null {
  return value === undefined || Number.isNaN(value) ? null : value;
}
