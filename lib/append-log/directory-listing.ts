import type { Dir } from 'node:fs';
import { join } from 'node:path';
import { compareBatchNames, isBatchName } from './batch-name.js';
import { LOCK_FILE } from './directory-lock.js';
import { call, statsOf } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { QUARANTINE } from './quarantine.js';

const OURS = new Set([LOCK_FILE, QUARANTINE, '.gitignore']);

/** Keeps the system's threads busy, and memory small. */
const SIZES_AT_ONCE = 256;

/** What stands in a log directory when a server starts on it. */
export interface Survey {
  /** How many batch files an earlier run left. */
  readonly batches: number;
  /** The newest of them. */
  readonly newest: string | null;
  /** Their bytes. */
  readonly bytes: number;
  /** Entries that are neither batch files nor the log's own. */
  readonly foreign: readonly string[];
}

export async function survey(fs: FileSystem, dir: string): Promise<Survey> {
  let newest: string | null = null;
  let batches = 0;
  let bytes = 0;
  let names: string[] = [];
  const foreign: string[] = [];
  const measure = async (): Promise<void> => {
    for (const size of await sizesOf(fs, dir, names)) bytes += size ?? 0;
    names = [];
  };
  for await (const { name, isBatch } of entries(fs, dir)) {
    if (!isBatch) {
      foreign.push(name);
      continue;
    }
    batches++;
    if (newest === null || compareBatchNames(name, newest) > 0) newest = name;
    if (names.push(name) >= SIZES_AT_ONCE) await measure();
  }
  await measure();
  return { batches, newest, bytes, foreign };
}

/** The sizes of files, in bytes; 0 for one that does not tell, `null` for one that is gone. */
export async function sizesOf(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
): Promise<(number | null)[]> {
  const sizes: (number | null)[] = [];
  for (let at = 0; at < names.length; at += SIZES_AT_ONCE) {
    const some = names.slice(at, at + SIZES_AT_ONCE);
    sizes.push(...(await Promise.all(some.map((name) => sizeOf(fs, join(dir, name))))));
  }
  return sizes;
}

/** One bad file must hold up neither the start nor the others. */
async function sizeOf(fs: FileSystem, path: string): Promise<number | null> {
  try {
    return (await statsOf(fs, path))?.size ?? null;
  } catch {
    return 0;
  }
}

/**
 * The oldest batch names, in the order of delivery. Memory does not grow with the directory.
 *
 * @param wanted which names count
 * @param most at most so many
 */
export async function oldestBatchNames(
  fs: FileSystem,
  dir: string,
  wanted: (name: string) => boolean,
  most: number,
): Promise<string[]> {
  let names: string[] = [];
  const keepOldest = (): void => {
    names = names.toSorted(compareBatchNames).slice(0, most);
  };
  for await (const { name, isBatch } of entries(fs, dir)) {
    if (isBatch && wanted(name) && names.push(name) >= 2 * most) keepOldest();
  }
  keepOldest();
  return names;
}

async function* entries(
  fs: FileSystem,
  dir: string,
): AsyncGenerator<{ name: string; isBatch: boolean }, void, undefined> {
  const handle = await call<Dir>((done) => {
    fs.opendir(dir, done);
  });
  for await (const entry of handle) {
    if (!OURS.has(entry.name)) yield { name: entry.name, isBatch: entry.isFile() && isBatchName(entry.name) };
  }
}
