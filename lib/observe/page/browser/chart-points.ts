import type { Column, Point } from '../messages.js';

/** One point for a number of seconds: the mean of a rate, the highest of a latency or of what waits. */
export function thinned(points: readonly Point[], seconds: number): Point[] {
  if (seconds <= 1) return [...points];
  const groups = new Map<number, Point[]>();
  for (const point of points) {
    const at = Math.floor((point.atSeconds ?? 0) / seconds);
    const group = groups.get(at);
    if (group === undefined) groups.set(at, [point]);
    else group.push(point);
  }
  return [...groups.values()].map((group) => {
    const columns = Object.keys(group[0] ?? {}) as Column[];
    return Object.fromEntries(
      columns.map((column) => {
        const values = group.map((point) => point[column]).filter((value) => value !== null);
        return [column, values.length === 0 ? null : RATES.has(column) ? mean(values) : Math.max(...values)];
      }),
    ) as Point;
  });
}

const RATES = new Set<Column>(['in', 'out', 'refused']);

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** With a point without values in each gap, across which no line is drawn. */
export function withGaps(points: readonly Point[], gapSeconds: number): Point[] {
  const drawn: Point[] = [];
  for (const point of points) {
    const before = drawn.at(-1)?.atSeconds ?? Infinity;
    if ((point.atSeconds ?? 0) - before > gapSeconds) {
      const nothing = Object.fromEntries(Object.keys(point).map((column) => [column, null])) as Point;
      drawn.push({ ...nothing, atSeconds: before + 1 });
    }
    drawn.push(point);
  }
  return drawn;
}
