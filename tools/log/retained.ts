import { join } from 'node:path';
import { systemCode } from '../../lib/base/errors.js';
import { count } from '../../lib/base/words.js';
import { timeOf } from '../../lib/logs/file/batch-name.js';
import { statsOf } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { lookAtRetained } from '../../lib/logs/file/retained/retained-listing.js';
import { RETAINED } from '../../lib/logs/file/retained/retained-name.js';
import { timeText } from './id-window.js';
import { unusable } from './log-directory.js';

/** What is retained of delivered batches. */
export interface RetainedSums {
  readonly files: number;
  readonly bytes: number;
  /** When the first and the last of these files began: the times that `replay --from` and `--to` go by. */
  readonly first: string | null;
  readonly last: string | null;
}

/** Adds up the retained files by their names and sizes; `null` if there are none. Opens none. @throws ForebayError `LOG_DIR_UNUSABLE` */
export async function sumOfRetained(fs: FileSystem, logDir: string): Promise<RetainedSums | null> {
  const look = lookAtRetained(fs, logDir, async (retained) => {
    let [files, bytes, firstMs, lastMs] = [0, 0, Infinity, -Infinity];
    for await (const { file, batch } of retained) {
      const stats = await statsOf(fs, join(logDir, RETAINED, file));
      if (stats === null) continue; // its time is over
      files++;
      bytes += stats.size;
      firstMs = Math.min(firstMs, timeOf(batch));
      lastMs = Math.max(lastMs, timeOf(batch));
    }
    return files === 0 ? null : { files, bytes, first: timeText(firstMs), last: timeText(lastMs) };
  });
  return look.catch((error: unknown) => {
    // it is no folder, so nothing is retained: a server that wants to says so
    if (systemCode(error) === 'ENOTDIR') return null;
    throw unusable(join(logDir, RETAINED), error);
  });
}

/** The same as a line of text. */
export function retainedText({ files, bytes, first, last }: RetainedSums): string {
  return `${RETAINED}/: ${count(files, 'delivered batch file')}, ${count(bytes, 'byte')}, ${first} to ${last}`;
}
