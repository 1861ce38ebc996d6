/** How long settled batches are kept, and how much of them; both `null`: not at all. */
export interface Retention {
  /** From when a batch is settled, in milliseconds. */
  readonly ageMs: number | null;
  /** What they may take of the disk, in bytes. */
  readonly bytesMax: number | null;
}

/** The settled batches that are kept. */
export interface RetainedUsage {
  /** Their files and their size on disk, in bytes; `null`: not counted yet. */
  readonly files: number | null;
  readonly bytes: number | null;
  /** When the oldest was settled, in milliseconds since 1970; `null`: there is none, or nobody knows. */
  readonly oldestMs: number | null;
  /** Files that were deleted, by the bound, or as the disk had no room. */
  readonly deleted: Readonly<Record<'age' | 'size' | 'disk', number>>;
  /** Files that were deleted when they were settled, as they could not be kept. */
  readonly unkept: number;
}
