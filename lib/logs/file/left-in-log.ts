import { join } from 'node:path';
import { deadLetterFiles } from './aside/letter-files.js';
import { QUARANTINE } from './aside/quarantine.js';
import { lookAtBatches } from './directory-listing.js';
import { nodeFileSystem } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { lookAtFiles } from './plain-files.js';

/** What a log directory holds that would be lost with it, in files. */
export interface LeftInLog {
  readonly dir: string;
  readonly batchFiles: number;
  readonly deadLetterFiles: number;
  readonly quarantineFiles: number;
}

/** Looks at a directory that no server uses. @throws the system's error */
export async function leftInLog(dir: string, fs: FileSystem = nodeFileSystem): Promise<LeftInLog> {
  return {
    dir,
    batchFiles: await lookAtBatches(fs, dir, numberOf),
    deadLetterFiles: (await deadLetterFiles(fs, dir)).length,
    quarantineFiles: await lookAtFiles(fs, join(dir, QUARANTINE), numberOf),
  };
}

async function numberOf(files: AsyncIterable<unknown>): Promise<number> {
  let number = 0;
  for await (const file of files) if (file !== null) number++;
  return number;
}
