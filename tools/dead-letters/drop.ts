import { asError } from '../../lib/base/errors.js';
import type { Done } from '../log/operations.js';
import type { LetterFiles } from './letter-files.js';
import type { Letter } from './letter-lines.js';

/** Deletes dead letters, file by file. A file that cannot be changed does not stop the others. Other lines stay. */
export async function drop(
  letterFiles: LetterFiles,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
): Promise<Done & { readonly counts: { readonly events: number } }> {
  const failures: string[] = [];
  let events = 0;
  let files = 0;
  for (const name of names) {
    try {
      const taken = await letterFiles.take(name, isWanted);
      if (taken === null) continue;
      events += await letterFiles.keepOnly(taken, (letter) => !isWanted(letter));
      files++;
    } catch (error) {
      failures.push(asError(error).message);
    }
  }
  return { counts: { events, files }, failures };
}
