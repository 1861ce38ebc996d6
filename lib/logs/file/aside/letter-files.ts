import { join } from 'node:path';
import { compareBatchNames, isBatchName } from '../batch-name.js';
import { statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { filesIn, lookAtFiles } from '../plain-files.js';

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

/** What is among the dead letters: their size, and which may be of files that are still there. */
export interface LettersThere {
  readonly bytes: number;
  /** By batch file. Those that are named like the file itself are left out: nobody looks for them. */
  readonly unsettled: ReadonlyMap<string, readonly string[]>;
}

/** @param looksForUnsettled else there are none */
export async function lettersThere(
  fs: FileSystem,
  logDir: string,
  looksForUnsettled: boolean,
): Promise<LettersThere> {
  const suffixed = new Map<string, string[]>();
  const { bytes } = await filesIn(fs, join(logDir, DEAD_LETTERS), (name) => {
    const isLetter = isDeadLetterFile(name);
    const batch = batchOf(name);
    if (!looksForUnsettled || !isLetter || name === batch) return isLetter;
    const known = suffixed.get(batch);
    if (known === undefined) suffixed.set(batch, [name]);
    else known.push(name);
    return true;
  });
  for (const batch of suffixed.keys())
    if ((await statsOf(fs, join(logDir, batch))) === null) suffixed.delete(batch);
  return { bytes, unsettled: suffixed };
}

function compareDeadLetterFiles(a: string, b: string): number {
  return compareBatchNames(batchOf(a), batchOf(b)) || (a < b ? -1 : 1);
}
