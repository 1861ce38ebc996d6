import { compareBatchNames, timeOf } from './batch-name.js';
import type { SealedBatch } from './batch.js';
import { sizesOf } from './directory-listing.js';
import type { FileSystem } from './file-system.js';

/** What is known of batch files beside what the directory says. */
export interface KnownFiles {
  /** Sizes that need not be asked for. Each is needed once. */
  readonly sizes: Map<string, number>;
  /** How many bytes of a file are acknowledged, if its failed end is not cut off yet. */
  readonly uncut: ReadonlyMap<string, number>;
  /** The newest file of an earlier run. */
  readonly newestLeftover: string | null;
}

/** The sealed batches of these files, without those that are deleted meanwhile. */
export async function sealedFiles(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  { sizes: knownSizes, uncut, newestLeftover }: KnownFiles,
): Promise<SealedBatch[]> {
  const sizes = await sizesOf(fs, dir, names, knownSizes);
  for (const name of names) knownSizes.delete(name);
  return names.flatMap((name, index) => {
    const size = sizes[index] ?? null;
    if (size === null) return [];
    const acknowledgedBytes = uncut.get(name) ?? null;
    const fileBytes = acknowledgedBytes ?? size;
    const leftover = newestLeftover !== null && compareBatchNames(name, newestLeftover) <= 0;
    const bornMs = timeOf(name);
    return { name, acknowledgedBytes, events: null, fileBytes, bornMs, leftover, past: null };
  });
}
