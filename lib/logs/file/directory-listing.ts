import { join } from 'node:path';
import { compareBatchNames, isBatchName } from './batch-name.js';
import { batchFileName } from './compressed/batch-file-name.js';
import type { BatchFileName } from './compressed/batch-file-name.js';
import { batchOf, DEAD_LETTERS, deadLetterFiles } from './aside/letter-files.js';
import { lookThrough } from './directory-entries.js';
import { SIZES_AT_ONCE, sizesOf } from './plain-files.js';
import type { Entry } from './directory-entries.js';
import { LOCK_FILE } from './directory-lock.js';
import { PROBE_FILE } from './disk-probe.js';
import { asError } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import type { FileSystem } from './file-system.js';
import { diskBytes } from './disk-blocks.js';
import { QUARANTINE } from './aside/quarantine.js';
import { isCopyName } from './ids/copy-name.js';
import { ID_WINDOW } from './ids/segment-name.js';
import { RESERVE_FILE } from './reserve.js';
import { RETAINED } from './retained/retained-name.js';
import { count } from '../../base/words.js';
import { isWorkerDirectory } from './worker-name.js';

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

/** The survey keeps at most this many sizes, of 150 bytes: reading them again takes a tenth of the time of replay. */
const SIZES_KEPT = 10_000;

/** At most this many foreign files are named. */
const FOREIGN_NAMED = 5;

/** What a server finds in a log directory at its start. */
export interface Survey {
  /** How many batch files an earlier run left. */
  readonly batches: number;
  /** The newest of them. */
  readonly newest: string | null;
  /** Their size on disk, in bytes. */
  readonly bytes: number;
  /** The sizes of some of them in bytes, by name. They do not change: nobody appends to a file of an earlier run. */
  readonly sizes: Map<string, number>;
  /** Copies that killed runs have left. */
  readonly copies: readonly string[];
  /** Compressed files of which the file as it was appended is still there. They count nowhere. */
  readonly pairs: readonly BatchFileName[];
  /** Remarks for the operator, in words. */
  readonly remarks: readonly { readonly code: ErrorCode; readonly text: string }[];
}

export async function survey(fs: FileSystem, dir: string): Promise<Survey> {
  const { newest: newestBatch, foreign, ...found } = await batchesIn(fs, dir);
  const remarks: { code: ErrorCode; text: string }[] = [];
  if (foreign.files > 0) remarks.push({ code: 'FOREIGN_FILE', text: foreignText(foreign) });
  const letters = await deadLetterFiles(fs, dir).catch((error: unknown) => {
    const text = `Could not look for dead letters in ${join(dir, DEAD_LETTERS)}: ${asError(error).message}`;
    remarks.push({ code: 'DISK_FAILED', text });
    return [];
  });
  if (letters.length > 0) {
    const text = `There are dead letters of ${count(letters.length, 'batch', 'batches')} in ${join(dir, DEAD_LETTERS)}`;
    remarks.push({ code: 'DEAD_LETTERS', text });
  }
  // their names are not given again either, if possible
  let newest = newestBatch;
  for (const name of letters.map(batchOf)) {
    if (isBatchName(name) && (newest === null || compareBatchNames(name, newest) > 0)) newest = name;
  }
  return { ...found, newest, remarks };
}

interface Foreign {
  files: number;
  readonly some: string[];
}

async function batchesIn(
  fs: FileSystem,
  dir: string,
): Promise<Omit<Survey, 'remarks'> & { readonly foreign: Foreign }> {
  return lookThrough(fs, dir, async (entries) => {
    let newest: string | null = null;
    let batches = 0;
    let bytes = 0;
    let names: string[] = [];
    let compressed: BatchFileName[] = [];
    const sizes = new Map<string, number>();
    const copies: string[] = [];
    const pairs: BatchFileName[] = [];
    const foreign: Foreign = { files: 0, some: [] };
    const measure = async (): Promise<void> => {
      for (const [index, size] of (await sizesOf(fs, dir, names)).entries()) {
        bytes += diskBytes(size ?? 0);
        const name = names[index];
        if (name !== undefined && size !== null && sizes.size < SIZES_KEPT) sizes.set(name, size);
      }
      names = [];
    };
    const add = async (file: string): Promise<void> => {
      batches++;
      if (names.push(file) >= SIZES_AT_ONCE) await measure();
    };
    // how many there may be, memory does not know: each is looked for by its name
    const findPairs = async (): Promise<void> => {
      const others = await sizesOf(
        fs,
        dir,
        compressed.map(({ name }) => name),
      );
      for (const [index, file] of compressed.entries()) {
        if (others[index] === null) await add(`${file.name}${file.ending}`);
        else pairs.push(file);
      }
      compressed = [];
    };
    for await (const entry of entries) {
      const { name } = entry;
      if (isCopyName(name) && entry.isFile()) copies.push(name);
      if (isOurs(name) || isWorkerDirectory(entry)) continue;
      const file = batchFileOf(entry);
      if (file === null) {
        foreign.files++;
        if (foreign.some.length < FOREIGN_NAMED) foreign.some.push(join(dir, name));
        continue;
      }
      if (newest === null || compareBatchNames(file.name, newest) > 0) newest = file.name;
      if (file.ending === '') await add(name);
      else if (compressed.push(file) >= SIZES_AT_ONCE) await findPairs();
    }
    await findPairs();
    await measure();
    return { newest, batches, bytes, sizes, copies, pairs, foreign };
  });
}

function foreignText({ files, some }: Foreign): string {
  const what = files === 1 ? 'Not a batch file' : 'Not batch files';
  const more = files > some.length ? ` and ${files - some.length} more` : '';
  return `${what}, left alone: ${some.join(', ')}${more}`;
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
    const keepFirst = (): void => {
      files = files.toSorted(order).slice(0, most);
    };
    for await (const file of batches) {
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

function batchFileOf(entry: Entry): BatchFileName | null {
  const file = batchFileName(entry.name);
  return file !== null && entry.isFile() ? file : null;
}
