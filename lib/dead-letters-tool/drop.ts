import { asError } from '../errors.js';
import type { Done } from '../log-tool/operations.js';
import type { Letter, LetterFiles } from './letter-files.js';

/** Deletes dead letters, file by file; one that cannot be changed keeps no other. What is none stays. */
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
      const file = await letterFiles.take(name, isWanted);
      if (file === null) continue;
      const left = file.letters.filter((letter) => !isWanted(letter));
      await letterFiles.keepOnly(file.taken, [...left, ...file.strange]);
      events += file.letters.length - left.length;
      files++;
    } catch (error) {
      failures.push(asError(error).message);
    }
  }
  return { counts: { events, files }, failures };
}
