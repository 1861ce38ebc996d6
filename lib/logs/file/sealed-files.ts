import { compareBatchNames, timeOf } from './batch-name.js';
import type { PendingBatch } from '../../seams/batch.js';
import type { BatchSums } from './batch-sums.js';
import type { BatchFileName } from './compressed/batch-file-name.js';
import { lookAtBatches } from './directory-listing.js';
import { SIZES_AT_ONCE, sizesOf } from './plain-files.js';
import { diskBytes } from './disk-blocks.js';
import type { FileSystem } from './file-system.js';

/** What is known of batch files beyond the directory's entries. */
export interface KnownFiles {
  /** Known sizes. Each is needed once. */
  readonly sizes: Map<string, number>;
  /** Acknowledged bytes of each file whose failed end is not cut off yet. */
  readonly uncut: ReadonlyMap<string, number>;
  /** The newest file of an earlier run. */
  readonly newestLeftover: string | null;
  /** When the log was opened, in milliseconds of `performance.now()`. */
  readonly openedMs: number;
}

/** The lines of a compressed file take about this many times its size, as far as is known before it is read. */
const READ_SHARE = 16;
/** No file is older than this. */
const FIRST_MS = Date.UTC(2020, 0, 1);

/**
 * When a file was created, on the clock that never jumps. With an impossible time in its name, it counts from this
 * start.
 */
function bornAt(timeMs: number, openedMs: number): number {
  const ageMs = Date.now() - timeMs;
  return ageMs < 0 || timeMs < FIRST_MS ? openedMs : performance.now() - ageMs;
}

/** The sealed batches of these files, without those that are deleted meanwhile. */
export async function sealedFiles(
  fs: FileSystem,
  dir: string,
  files: readonly BatchFileName[],
  { sizes: knownSizes, uncut, newestLeftover, openedMs }: KnownFiles,
): Promise<PendingBatch[]> {
  const names = files.map(({ name, ending }) => `${name}${ending}`);
  const acknowledged = acknowledgedBytesOf(names, uncut);
  const sizes = await sizesOf(fs, dir, names, knownSizes);
  for (const name of names) knownSizes.delete(name);
  return files.flatMap(({ name, ending }, index) => {
    const size = sizes[index] ?? null;
    if (size === null) return [];
    const acknowledgedBytes = acknowledged[index] ?? null;
    const logBytes = acknowledgedBytes ?? size;
    const isAcknowledged = acknowledgedBytes !== null;
    const leftover = isLeftover(name, newestLeftover);
    const bornMs = bornAt(timeOf(name), openedMs);
    const compressed = ending === '' ? undefined : { ending, readBytes: READ_SHARE * logBytes };
    return { name, events: null, logBytes, isAcknowledged, bornMs, leftover, past: null, compressed };
  });
}

/** The number of these files, and their size. Its memory does not grow with the directory. */
export async function sumsOfBatches(
  fs: FileSystem,
  dir: string,
  wanted: (file: BatchFileName) => boolean,
  { sizes: known, uncut, newestLeftover }: KnownFiles,
): Promise<BatchSums> {
  return lookAtBatches(fs, dir, async (files) => {
    let [batches, leftovers, bytes] = [0, 0, 0];
    let names: string[] = [];
    const measure = async (): Promise<void> => {
      const acknowledged = acknowledgedBytesOf(names, uncut);
      for (const [index, size] of (await sizesOf(fs, dir, names, known)).entries()) {
        const name = names[index];
        if (name === undefined || size === null) continue;
        batches++;
        if (isLeftover(name, newestLeftover)) leftovers++;
        bytes += diskBytes(acknowledged[index] ?? size);
      }
      names = [];
    };
    for await (const file of files) {
      if (wanted(file) && names.push(`${file.name}${file.ending}`) >= SIZES_AT_ONCE) await measure();
    }
    await measure();
    return { batches, leftovers, bytes };
  });
}

/** As of now: a failed end may be cut off while the size is read, which includes it then. */
function acknowledgedBytesOf(names: readonly string[], uncut: KnownFiles['uncut']): (number | undefined)[] {
  return names.map((name) => uncut.get(name));
}

function isLeftover(name: string, newestLeftover: string | null): boolean {
  return newestLeftover !== null && compareBatchNames(name, newestLeftover) <= 0;
}
