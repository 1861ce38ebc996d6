import { join } from 'node:path';
import { aboutLetter } from './dead-letters.js';
import type { LetterAbout } from './dead-letters.js';
import { DEAD_LETTERS, newestDeadLetterFiles } from './directory-listing.js';
import { readAll } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { LookPace } from './look-pace.js';

/** A dead letter with the begin of its event. */
export interface LetterLook extends LetterAbout {
  /** The begin of the event's own text. */
  readonly event: string;
  readonly isCut: boolean;
}

/** So much is looked at: of the newest files each its begin. */
const FILES_MAX = 5;
const FILE_BYTES_MAX = 65_536;
const EVENT_LENGTH_MAX = 500;
/** A listing of 10,000 files takes some 50 ms: it is not asked for at each look. */
const KEPT_MS = 5000;
const LINE_FEED = 0x0a;

/** Looks at the newest dead letters, at most once in 5 seconds, whoever asks; seldom where there are very many. */
export class NewestLetters {
  readonly #fs: FileSystem;
  readonly #logDir: string;
  #letters: Promise<readonly LetterLook[]> = Promise.resolve([]);
  readonly #pace = new LookPace(KEPT_MS);

  constructor(fs: FileSystem, logDir: string) {
    this.#fs = fs;
    this.#logDir = logDir;
  }

  /** Newest file first; in a file, as they stand there. */
  async read(): Promise<readonly LetterLook[]> {
    if (this.#pace.isDue) {
      this.#letters = this.#pace.look(async () => this.#look());
      this.#letters.catch(() => undefined);
    }
    return this.#letters;
  }

  async #look(): Promise<LetterLook[]> {
    const names = await newestDeadLetterFiles(this.#fs, this.#logDir, FILES_MAX);
    // one that is gone meanwhile, or cannot be read, hides no other
    const files = await Promise.all(names.map((name) => this.#start(name).catch(() => Buffer.alloc(0))));
    return files.flatMap(lettersIn);
  }

  async #start(name: string): Promise<Buffer> {
    return readAll(this.#fs, join(this.#logDir, DEAD_LETTERS, name), FILE_BYTES_MAX);
  }
}

/** Also one whose event does not end here, as it is only looked at. */
function lettersIn(bytes: Buffer): LetterLook[] {
  const letters: LetterLook[] = [];
  for (let start = 0, end = 0; start < bytes.length; start = end) {
    const feed = bytes.indexOf(LINE_FEED, start);
    end = feed === -1 ? bytes.length : feed + 1;
    const letter = aboutLetter(bytes.subarray(start, end));
    if (letter === null) continue;
    const event = letter.event.toString('utf8', 0, 4 * EVENT_LENGTH_MAX);
    const isCut = feed === -1 || event.length > EVENT_LENGTH_MAX || letter.event.length > 4 * EVENT_LENGTH_MAX;
    letters.push({ ...letter.about, event: event.slice(0, EVENT_LENGTH_MAX), isCut });
  }
  return letters;
}
