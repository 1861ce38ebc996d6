import { join } from 'node:path';
import { compareBatchNames, isBatchName } from '../batch-name.js';
import { haveBatchFiles } from '../compressed/forms.js';
import type { FileSystem } from '../file-system.js';
import { lookAtFiles, SIZES_AT_ONCE, sizesOf } from '../plain-files.js';

/** The folder of the dead letters. */
export const DEAD_LETTERS = 'dead-letters';

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

/** Letters of a file that is still there. */
export interface UnsettledLetters {
  bytes: number;
  readonly names: readonly string[];
}

/** What is among the dead letters: their size, and which are of files that are still there. */
export interface LettersThere {
  readonly bytes: number;
  /** How many files; the size of some may be unknown. */
  readonly files: number;
  readonly unsettled: ReadonlyMap<string, UnsettledLetters>;
}

/** @param looksForUnsettled else none are found */
export async function lettersThere(
  fs: FileSystem,
  logDir: string,
  looksForUnsettled: boolean,
): Promise<LettersThere> {
  const unsettled = new Map<string, { bytes: number; names: string[] }>();
  let [number, bytes] = [0, 0];
  const measure = async (names: readonly string[]): Promise<void> => {
    number += names.length;
    const sizes = await sizesOf(fs, join(logDir, DEAD_LETTERS), names);
    const batches = looksForUnsettled ? names.map(batchOf) : [];
    const isThere = await haveBatchFiles(fs, logDir, batches);
    for (const [index, name] of names.entries()) {
      const size = sizes[index] ?? 0;
      bytes += size;
      const batch = batchOf(name);
      if (isThere[index] !== true) continue;
      const known = unsettled.get(batch) ?? { bytes: 0, names: [] };
      known.bytes += size;
      known.names.push(name);
      unsettled.set(batch, known);
    }
  };
  await lookAtFiles(fs, join(logDir, DEAD_LETTERS), async (files) => {
    let names: string[] = [];
    for await (const name of files) {
      if (!isDeadLetterFile(name) || names.push(name) < SIZES_AT_ONCE) continue;
      await measure(names);
      names = [];
    }
    await measure(names);
  });
  return { files: number, bytes, unsettled };
}

function compareDeadLetterFiles(a: string, b: string): number {
  return compareBatchNames(batchOf(a), batchOf(b)) || (a < b ? -1 : 1);
}
