import { join } from 'node:path';
import { batchFileName } from '../../lib/logs/file/compressed/batch-file-name.js';
import { lookThrough } from '../../lib/logs/file/directory-entries.js';
import { statsOf } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { deadLetterFiles } from '../../lib/logs/file/aside/letter-files.js';
import { EARLIER_OPERATIONS, isOurs, OPERATIONS } from '../../lib/logs/file/directory-listing.js';
import { QUARANTINE } from '../../lib/logs/file/aside/quarantine.js';
import { workersWithDirectory } from '../../lib/logs/file/worker-directories.js';
import { isWorkerDirectory, workerDirectory } from '../../lib/logs/file/worker-name.js';
import { asError, ForebayError, systemCode } from '../../lib/base/errors.js';

/** The names in a log directory, sorted by kind. */
export interface LogDirectory {
  /** Batches, by the name of their file without the ending of a compressed one, in the order of delivery. */
  readonly batches: readonly string[];
  /** Directories, links and other things with the name of a batch file. */
  readonly notPlain: readonly string[];
  /** Files in which the tools record operations by hand. */
  readonly operations: readonly string[];
  /** All other names that do not belong to the log. */
  readonly foreign: readonly string[];
}

/**
 * Reads the names in a log directory. Opens no file.
 *
 * @throws ForebayError `LOG_DIR_UNUSABLE`
 */
export async function listDirectory(fs: FileSystem, dir: string): Promise<LogDirectory> {
  const look = lookThrough(fs, dir, async (entries) => {
    const batches = new Set<string>();
    const notPlain: string[] = [];
    const operations: string[] = [];
    const foreign: string[] = [];
    for await (const entry of entries) {
      const { name } = entry;
      const file = batchFileName(name);
      if (file !== null && entry.isFile()) batches.add(file.name);
      else if (file !== null) notPlain.push(name);
      else if (name === OPERATIONS || name === EARLIER_OPERATIONS) operations.push(name);
      else if (!isOurs(name) && !isWorkerDirectory(entry)) foreign.push(name);
    }
    return {
      batches: inOrder([...batches]),
      notPlain: inOrder(notPlain),
      operations: operations.toSorted(),
      foreign: foreign.toSorted(),
    };
  });
  return look.catch((error: unknown) => {
    throw unusable(dir, error);
  });
}

/** The log directories of workers within one, as paths. */
export async function workerDirectories(fs: FileSystem, logDir: string): Promise<string[]> {
  const workers = await workersWithDirectory(logDir, fs).catch((error: unknown) => {
    throw unusable(logDir, error);
  });
  return workers.map((worker) => join(logDir, workerDirectory(worker)));
}

/** The number of files with dead letters. */
export async function countDeadLetters(fs: FileSystem, logDir: string): Promise<number> {
  return (await deadLetterFiles(fs, logDir)).length;
}

/** A file in the quarantine. */
export interface QuarantineFile {
  readonly name: string;
  readonly bytes: number;
}

/** Files in the quarantine, by name. Empty if there is no quarantine. */
export async function listQuarantine(fs: FileSystem, logDir: string): Promise<QuarantineFile[]> {
  const dir = join(logDir, QUARANTINE);
  const look = lookThrough(fs, dir, async (entries) => {
    const files: QuarantineFile[] = [];
    for await (const { name } of entries) {
      const stats = await statsOf(fs, join(dir, name));
      if (stats !== null) files.push({ name: `${QUARANTINE}/${name}`, bytes: stats.size });
    }
    return files.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  });
  return look.catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return [];
    throw unusable(dir, error);
  });
}

/** The second in the name of a batch file, since 1970. */
export function secondOf(batchName: string): number {
  const time = batchName.replace(/^batch_(....)(..)(..)_(..)(..)(..)_.*$/, '$1-$2-$3T$4:$5:$6Z');
  return Date.parse(time) / 1000;
}

/** Sorts names by the order of delivery. Parses each name once: there may be a million. */
function inOrder(batchNames: readonly string[]): string[] {
  return batchNames
    .map((name) => ({ name, second: secondOf(name), n: Number(/(\d+)\.jsonl/.exec(name)?.[1]) }))
    .toSorted((a, b) => a.second - b.second || a.n - b.n)
    .map(({ name }) => name);
}

/** The error for a directory that cannot be used. */
export function unusable(dir: string, cause: unknown): ForebayError {
  if (cause instanceof ForebayError) return cause;
  const why = systemCode(cause) === 'ENOENT' ? 'there is none of this name' : asError(cause).message;
  return new ForebayError('LOG_DIR_UNUSABLE', {
    message: `The log directory ${dir} cannot be used: ${why}`,
    cause,
  });
}
