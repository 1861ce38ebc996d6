/** The number of batch files, and their size. */
export interface BatchSums {
  readonly batches: number;
  /** How many of them an earlier run left. */
  readonly leftovers: number;
  /** Their size on disk, in bytes. */
  readonly bytes: number;
}

export const NOTHING: BatchSums = { batches: 0, leftovers: 0, bytes: 0 };

export function minus(a: BatchSums, b: BatchSums): BatchSums {
  return { batches: a.batches - b.batches, leftovers: a.leftovers - b.leftovers, bytes: a.bytes - b.bytes };
}
