import { join } from 'node:path';
import { aboutLetter } from './dead-letters.js';
import type { LetterLook } from '../../../seams/dead-letters.js';
import { DEAD_LETTERS, newestDeadLetterFiles } from './letter-files.js';
import { readAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';

/** At most this much is read: the start of each of the newest files. */
const FILES_MAX = 5;
const FILE_BYTES_MAX = 65_536;
const EVENT_LENGTH_MAX = 500;
const LINE_FEED = 0x0a;

/**
 * The newest dead letters of a log directory: newest file first, and in the order of each file.
 *
 * @throws the system's error
 */
export async function newestLetters(fs: FileSystem, logDir: string): Promise<LetterLook[]> {
  const names = await newestDeadLetterFiles(fs, logDir, FILES_MAX);
  const start = async (name: string): Promise<Buffer> =>
    readAll(fs, join(logDir, DEAD_LETTERS, name), FILE_BYTES_MAX);
  // a file that is gone meanwhile, or cannot be read, hides no other
  const files = await Promise.all(names.map((name) => start(name).catch(() => Buffer.alloc(0))));
  return files.flatMap(lettersIn);
}

/** Includes a letter whose event is cut off here, as it is only shown. */
export function lettersIn(bytes: Buffer): LetterLook[] {
  const letters: LetterLook[] = [];
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    const feed = bytes.indexOf(LINE_FEED, start);
    end = feed === -1 ? bytes.length : feed + 1;
    const letter = aboutLetter(bytes.subarray(start, end));
    if (letter === null) continue;
    const event = letter.event.toString('utf8', 0, 4 * EVENT_LENGTH_MAX);
    const isCut =
      feed === -1 || event.length > EVENT_LENGTH_MAX || letter.event.length > 4 * EVENT_LENGTH_MAX;
    letters.push({ ...letter.about, event: event.slice(0, EVENT_LENGTH_MAX), isCut });
  }
  return letters;
}
