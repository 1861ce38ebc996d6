/** What compression needs to know of delivery. */
export interface CompressionUse {
  /** How long it takes until all that waits is delivered, in milliseconds: what goes soon is not compressed. */
  readonly drainMs: () => number;
  /** Whether less than half of what may wait does: then there is time for it. */
  readonly isRoomy: () => boolean;
  /** Called when a batch takes less of the log than before, in bytes. */
  readonly shrunk: (batch: string, fromBytes: number, toBytes: number) => void;
}

/** Compresses batches that wait. Whatever it does, each batch is in the log once, and whole. */
export interface Compression {
  /** Files that were compressed, the bytes that this has saved, and attempts that failed. */
  readonly files: number;
  readonly savedBytes: number;
  readonly failures: number;
  /** Called once. Before that nothing is compressed. */
  begin(use: CompressionUse): void;
}
