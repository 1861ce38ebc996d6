import { asError } from '../../lib/base/errors.js';
import type { Done } from '../log/operations.js';
import type { Letter } from './letter-lines.js';
import type { LetterStore } from './letter-store.js';

/** Deletes dead letters, file by file. A file that cannot be changed does not stop the others. Other lines stay. */
export async function drop(
  store: LetterStore,
  names: readonly string[],
  isWanted: (letter: Letter) => boolean,
): Promise<Done & { readonly counts: { readonly events: number } }> {
  const failures: string[] = [];
  let events = 0;
  let files = 0;
  for (const name of names) {
    try {
      const taken = await store.take(name, isWanted);
      if (taken === null) continue;
      events += await store.keepOnly(taken, (letter) => !isWanted(letter));
      files++;
    } catch (error) {
      failures.push(asError(error).message);
    }
  }
  return { counts: { events, files }, failures };
}
