/** The events of a part, as its name and its key have them. */
export interface Range {
  /** How many events come before it. */
  readonly from: number;
  /** Exclusive. */
  readonly to: number;
}

const RANGE = /#(\d+)-(\d+)/;

/** `#101-200` is from the 101st event to the 200th. */
export function rangeText({ from, to }: Range): string {
  return `#${from + 1}-${to}`;
}

/** The first range in a name; `null` if it has none. */
export function rangeIn(name: string): Range | null {
  const found = RANGE.exec(name);
  return found === null ? null : { from: Number(found[1]) - 1, to: Number(found[2]) };
}

/** Whether two names of batches of the same file have an event in common; a name without a range has all. */
export function overlap(one: string, other: string): boolean {
  const [a, b] = [rangeIn(one), rangeIn(other)];
  return a === null || b === null || (a.from < b.to && b.from < a.to);
}
