import { compareBatchNames } from './batch-name.js';
import { batchFileName } from './compressed/batch-file-name.js';
import type { BatchFileName } from './compressed/batch-file-name.js';
import { DEAD_LETTERS } from './aside/letter-files.js';
import { lookThrough } from './directory-entries.js';
import type { Entry } from './directory-entries.js';
import { LOCK_FILE } from './directory-lock.js';
import { PROBE_FILE } from './disk-probe.js';
import type { FileSystem } from './file-system.js';
import { QUARANTINE } from './aside/quarantine.js';
import { isCopyName } from './ids/copy-name.js';
import { ID_WINDOW } from './ids/segment-name.js';
import { NEW_PAUSE_FILE, PAUSE_FILE } from './pause-file.js';
import { RESERVE_FILE } from './reserve.js';
import { RETAINED } from './retained/retained-name.js';

/** The file where the tools record changes by hand, and its predecessor, which grew too large. */
export const OPERATIONS = 'operations.jsonl';
export const EARLIER_OPERATIONS = 'operations.1.jsonl';

/** How far a replay of retained files has come. */
export const REPLAY_FILE = 'replay.jsonl';

/** Forebay's own names in a log directory, besides batch files. */
const OURS: ReadonlySet<string> = new Set([
  LOCK_FILE,
  PROBE_FILE,
  RESERVE_FILE,
  PAUSE_FILE,
  NEW_PAUSE_FILE,
  QUARANTINE,
  DEAD_LETTERS,
  ID_WINDOW,
  RETAINED,
  OPERATIONS,
  EARLIER_OPERATIONS,
  REPLAY_FILE,
  '.gitignore',
]);

/** Whether it is a name that Forebay gives in a log directory, other than that of a batch file. */
export function isOurs(name: string): boolean {
  return OURS.has(name) || isCopyName(name);
}

/**
 * The oldest batch files, in the order of delivery. Its memory does not grow with the directory.
 *
 * @param wanted which count
 * @param most their maximum number
 */
export async function oldestBatches(
  fs: FileSystem,
  dir: string,
  wanted: (file: BatchFileName) => boolean,
  most: number,
): Promise<BatchFileName[]> {
  return firstBatches(fs, dir, wanted, most, (a, b) => compareBatchNames(a.name, b.name));
}

/** The newest ones, newest first. */
export async function newestBatches(
  fs: FileSystem,
  dir: string,
  wanted: (file: BatchFileName) => boolean,
  most: number,
): Promise<BatchFileName[]> {
  return firstBatches(fs, dir, wanted, most, (a, b) => compareBatchNames(b.name, a.name));
}

async function firstBatches(
  fs: FileSystem,
  dir: string,
  wanted: (file: BatchFileName) => boolean,
  most: number,
  order: (a: BatchFileName, b: BatchFileName) => number,
): Promise<BatchFileName[]> {
  return lookAtBatches(fs, dir, async (batches) => {
    let files: BatchFileName[] = [];
    let last: BatchFileName | null = null;
    const keepFirst = (): void => {
      files = files.toSorted(order).slice(0, most);
      last = files[most - 1] ?? null;
    };
    for await (const file of batches) {
      if (last !== null && order(file, last) > 0) continue;
      if (wanted(file) && files.push(file) >= 2 * most) keepFirst();
    }
    keepFirst();
    return files;
  });
}

/**
 * Goes through the batch files of a log directory, in no order. One that is being compressed may be missing, or there twice.
 *
 * @param look must start from nothing at each call
 */
export async function lookAtBatches<T>(
  fs: FileSystem,
  dir: string,
  look: (files: AsyncIterable<BatchFileName>) => Promise<T>,
): Promise<T> {
  return lookThrough(fs, dir, async (entries) => look(batchFilesOf(entries)));
}

async function* batchFilesOf(entries: AsyncIterable<Entry>): AsyncGenerator<BatchFileName, void, undefined> {
  for await (const entry of entries) {
    const file = batchFileOf(entry);
    if (file !== null) yield file;
  }
}

/** `null`: it is no batch file. */
export function batchFileOf(entry: Entry): BatchFileName | null {
  const file = batchFileName(entry.name);
  return file !== null && entry.isFile() ? file : null;
}
