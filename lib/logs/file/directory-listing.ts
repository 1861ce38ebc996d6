import { join } from 'node:path';
import { compareBatchNames, isBatchName } from './batch-name.js';
import { lookThrough } from './directory-entries.js';
import type { Entry } from './directory-entries.js';
import { LOCK_FILE } from './directory-lock.js';
import { PROBE_FILE } from './disk-probe.js';
import { asError, systemCode } from '../../base/errors.js';
import type { ErrorCode } from '../../base/errors.js';
import { statsOf } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { diskBytes } from './disk-blocks.js';
import { QUARANTINE } from './aside/quarantine.js';
import { RESERVE_FILE } from './reserve.js';
import { count } from '../../base/words.js';
import { isWorkerDirectory } from './worker-name.js';

/** The folder of the dead letters. */
export const DEAD_LETTERS = 'dead-letters';

/** The file where the tools record changes by hand, and its predecessor, which grew too large. */
export const OPERATIONS = 'operations.jsonl';
export const EARLIER_OPERATIONS = 'operations.1.jsonl';

/** Forebay's own names in a log directory, besides batch files. */
export const OURS: ReadonlySet<string> = new Set([
  LOCK_FILE,
  PROBE_FILE,
  RESERVE_FILE,
  QUARANTINE,
  DEAD_LETTERS,
  OPERATIONS,
  EARLIER_OPERATIONS,
  '.gitignore',
]);

/** Keeps the system's threads busy and memory small. */
export const SIZES_AT_ONCE = 256;

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
    const sizes = new Map<string, number>();
    const foreign: Foreign = { files: 0, some: [] };
    const measure = async (): Promise<void> => {
      for (const [index, size] of (await sizesOf(fs, dir, names)).entries()) {
        bytes += diskBytes(size ?? 0);
        const name = names[index];
        if (name !== undefined && size !== null && sizes.size < SIZES_KEPT) sizes.set(name, size);
      }
      names = [];
    };
    for await (const entry of entries) {
      const { name } = entry;
      if (OURS.has(name) || isWorkerDirectory(entry)) continue;
      if (!isBatch(entry)) {
        foreign.files++;
        if (foreign.some.length < FOREIGN_NAMED) foreign.some.push(join(dir, name));
        continue;
      }
      batches++;
      if (newest === null || compareBatchNames(name, newest) > 0) newest = name;
      if (names.push(name) >= SIZES_AT_ONCE) await measure();
    }
    await measure();
    return { newest, batches, bytes, sizes, foreign };
  });
}

function foreignText({ files, some }: Foreign): string {
  const what = files === 1 ? 'Not a batch file' : 'Not batch files';
  const more = files > some.length ? ` and ${files - some.length} more` : '';
  return `${what}, left alone: ${some.join(', ')}${more}`;
}

/**
 * The sizes of files, in bytes; 0 for a file whose size is unknown, `null` for one that is gone.
 *
 * @param known sizes that need not be read
 */
export async function sizesOf(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  known?: ReadonlyMap<string, number>,
): Promise<(number | null)[]> {
  const sizes: (number | null)[] = [];
  const size = async (name: string): Promise<number | null> =>
    known?.get(name) ?? sizeOf(fs, join(dir, name));
  for (let at = 0; at < names.length; at += SIZES_AT_ONCE) {
    sizes.push(...(await Promise.all(names.slice(at, at + SIZES_AT_ONCE).map(size))));
  }
  return sizes;
}

/** One bad file must not block the start or the other files. */
async function sizeOf(fs: FileSystem, path: string): Promise<number | null> {
  try {
    return (await statsOf(fs, path))?.size ?? null;
  } catch {
    return 0;
  }
}

/**
 * The oldest batch names, in the order of delivery. Its memory does not grow with the directory.
 *
 * @param wanted which names count
 * @param most their maximum number
 */
export async function oldestBatchNames(
  fs: FileSystem,
  dir: string,
  wanted: (name: string) => boolean,
  most: number,
): Promise<string[]> {
  return lookAtBatches(fs, dir, async (batches) => {
    let names: string[] = [];
    const keepOldest = (): void => {
      names = names.toSorted(compareBatchNames).slice(0, most);
    };
    for await (const name of batches) {
      if (wanted(name) && names.push(name) >= 2 * most) keepOldest();
    }
    keepOldest();
    return names;
  });
}

/**
 * Goes through the batch files of a log directory, in no order.
 *
 * @param look must start from nothing at each call
 */
export async function lookAtBatches<T>(
  fs: FileSystem,
  dir: string,
  look: (names: AsyncIterable<string>) => Promise<T>,
): Promise<T> {
  return lookThrough(fs, dir, async (entries) => look(namesOf(entries, isBatch)));
}

/** The batch file, from the name of a batch in it, or of a file with its dead letters. */
export function batchOf(name: string): string {
  return name.replace(/(?<=\.jsonl)[#.].*$/, '');
}

/** The files of dead letters of a log directory, oldest batch first, without those that the tool is writing. */
export async function deadLetterFiles(fs: FileSystem, logDir: string): Promise<string[]> {
  return lookAtFiles(fs, join(logDir, DEAD_LETTERS), async (files) => {
    const names: string[] = [];
    for await (const name of files) if (isDeadLetterFile(name)) names.push(name);
    return names.toSorted(compareDeadLetterFiles);
  });
}

/** The newest of them, newest first. Neither memory nor the longest pause grows with the directory. */
export async function newestDeadLetterFiles(fs: FileSystem, logDir: string, most: number): Promise<string[]> {
  return lookAtFiles(fs, join(logDir, DEAD_LETTERS), async (files) => {
    let newest: string[] = [];
    for await (const name of files) {
      const oldest = newest[most - 1];
      if (oldest !== undefined && compareDeadLetterFiles(name, oldest) < 0) continue;
      if (isDeadLetterFile(name)) {
        newest = [...newest, name].toSorted((a, b) => compareDeadLetterFiles(b, a)).slice(0, most);
      }
    }
    return newest;
  });
}

/** The range of one batch of several, numbers by server and tool, `.taken` by the tool. Anything else is somebody's copy. */
const AFTER_BATCH = /^(?:\.\d+-\d+)?(?:\.\d+)*(?:\.taken)?$/;

/** Whether this is the name of a file of dead letters, not of another file among them. */
export function isDeadLetterFile(name: string): boolean {
  const batch = batchOf(name);
  return isBatchName(batch) && AFTER_BATCH.test(name.slice(batch.length));
}

/** The files of dead letters that may be of some batches of a file of several which is still there. */
export async function lettersOfUnsettled(fs: FileSystem, logDir: string): Promise<Map<string, string[]>> {
  const names = new Map<string, string[]>();
  await lookAtFiles(fs, join(logDir, DEAD_LETTERS), async (files) => {
    for await (const name of files) {
      const batch = batchOf(name);
      if (name === batch || !isDeadLetterFile(name)) continue;
      const known = names.get(batch);
      if (known !== undefined) known.push(name);
      else if ((await statsOf(fs, join(logDir, batch))) !== null) names.set(batch, [name]);
    }
  });
  return names;
}

function compareDeadLetterFiles(a: string, b: string): number {
  return compareBatchNames(batchOf(a), batchOf(b)) || (a < b ? -1 : 1);
}

/** How many plain files of these names a directory has, and their size. Its memory does not grow with the directory. */
export async function filesIn(
  fs: FileSystem,
  dir: string,
  isWanted: (name: string) => boolean,
): Promise<{ files: number; bytes: number }> {
  return lookAtFiles(fs, dir, async (entries) => {
    let files = 0;
    let bytes = 0;
    let names: string[] = [];
    const measure = async (): Promise<void> => {
      for (const size of await sizesOf(fs, dir, names)) bytes += size ?? 0;
      names = [];
    };
    for await (const name of entries) {
      if (!isWanted(name)) continue;
      files++;
      if (names.push(name) >= SIZES_AT_ONCE) await measure();
    }
    await measure();
    return { files, bytes };
  });
}

/** Goes through the names of the plain files in a directory; none if there is no such directory. */
async function lookAtFiles<T>(
  fs: FileSystem,
  dir: string,
  look: (names: AsyncIterable<string>) => Promise<T>,
): Promise<T> {
  try {
    return await lookThrough(fs, dir, async (entries) => look(namesOf(entries, (entry) => entry.isFile())));
  } catch (error) {
    if (systemCode(error) !== 'ENOENT') throw error;
    return look(namesOf([], () => false));
  }
}

async function* namesOf(
  entries: AsyncIterable<Entry> | Iterable<Entry>,
  isMeant: (entry: Entry) => boolean,
): AsyncGenerator<string, void, undefined> {
  for await (const entry of entries) if (isMeant(entry)) yield entry.name;
}

function isBatch(entry: Entry): boolean {
  return isBatchName(entry.name) && entry.isFile();
}
