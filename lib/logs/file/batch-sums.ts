/** How many batch files there are, and what they take. */
export interface BatchSums {
  readonly batches: number;
  /** Those of them that an earlier run left. */
  readonly leftovers: number;
  /** What they take of the disk, in bytes. */
  readonly bytes: number;
}

export const NOTHING: BatchSums = { batches: 0, leftovers: 0, bytes: 0 };

export function minus(a: BatchSums, b: BatchSums): BatchSums {
  return { batches: a.batches - b.batches, leftovers: a.leftovers - b.leftovers, bytes: a.bytes - b.bytes };
}
