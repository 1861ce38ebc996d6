import { join } from 'node:path';
import { aboutLetter } from './dead-letters.js';
import type { LetterAbout } from './dead-letters.js';
import { DEAD_LETTERS, deadLetterFiles } from './directory-listing.js';
import { call, callVoid, readToEnd } from './file-system.js';
import type { FileSystem } from './file-system.js';

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
/** A listing of 10,000 files takes some 10 ms of the disk's time: it is not asked for at each look. */
const KEPT_MS = 5000;
const LINE_FEED = 0x0a;

/** Looks at the newest dead letters, at most once in 5 seconds, whoever asks. */
export class NewestLetters {
  readonly #fs: FileSystem;
  readonly #logDir: string;
  #letters: Promise<readonly LetterLook[]> | null = null;
  #atMs = -Infinity;

  constructor(fs: FileSystem, logDir: string) {
    this.#fs = fs;
    this.#logDir = logDir;
  }

  /** Newest file first; in a file, as they stand there. */
  async read(): Promise<readonly LetterLook[]> {
    if (this.#letters === null || performance.now() - this.#atMs > KEPT_MS) {
      this.#atMs = performance.now();
      this.#letters = this.#look();
      this.#letters.catch(() => (this.#letters = null));
    }
    return this.#letters;
  }

  async #look(): Promise<LetterLook[]> {
    const names = (await deadLetterFiles(this.#fs, this.#logDir)).slice(-FILES_MAX).toReversed();
    // one that is gone meanwhile, or cannot be read, hides no other
    const files = await Promise.all(names.map((name) => this.#begin(name).catch(() => Buffer.alloc(0))));
    return files.flatMap(lettersIn);
  }

  async #begin(name: string): Promise<Buffer> {
    const fd = await call<number>((done) => {
      this.#fs.open(join(this.#logDir, DEAD_LETTERS, name), 'r', done);
    });
    try {
      return await readToEnd(this.#fs, fd, FILE_BYTES_MAX);
    } finally {
      await callVoid((done) => {
        this.#fs.close(fd, done);
      });
    }
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
