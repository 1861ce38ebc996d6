import { basename, join } from 'node:path';
import { aboutLetter } from '../append-log/dead-letters.js';
import type { LetterAbout } from '../append-log/dead-letters.js';
import { batchOf, DEAD_LETTERS, deadLetterFiles } from '../append-log/directory-listing.js';
import { unlink } from '../append-log/file-ending.js';
import { callVoid, flushDirectory, readAll, statsOf, writeAll } from '../append-log/file-system.js';
import { asError, ForebayError, systemCode } from '../errors.js';
import { refuseOtherUser } from '../log-tool/log-directory.js';
import { flush, withFile } from '../log-tool/tool-file-system.js';
import type { ToolFileSystem } from '../log-tool/tool-file-system.js';

/** A dead letter as it stands in its file. */
export interface Letter extends LetterAbout {
  /** The whole line, with its line feed. */
  readonly line: Buffer;
  /** The event's own text. */
  readonly event: Buffer;
}

/** What a file is called while its letters are taken out: a server that makes one of its name makes another. */
export const TAKEN = '.taken';
const NEW = '.new';
const LOCK = '.lock';

const LINE_FEED = 0x0a;

/** The files of dead letters of a log directory. */
export class LetterFiles {
  readonly dir: string;
  readonly #fs: ToolFileSystem;
  readonly #logDir: string;

  constructor(fs: ToolFileSystem, logDir: string) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.dir = join(logDir, DEAD_LETTERS);
  }

  /**
   * The names of all files, or of those that are asked for, also of ones that a redrive has begun with.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, also where one is missing
   */
  async names(wanted: readonly string[]): Promise<string[]> {
    let all: string[];
    try {
      all = await deadLetterFiles(this.#fs, this.#logDir);
      if (all.length === 0 && (await statsOf(this.#fs, this.#logDir)) === null)
        throw new Error(`there is no log directory ${this.#logDir}`);
    } catch (error) {
      const message = `${this.dir} cannot be read: ${asError(error).message}`;
      throw new ForebayError('LOG_DIR_UNUSABLE', { message, cause: error });
    }
    for (const name of wanted) {
      if (!all.includes(name))
        throw new ForebayError('LOG_DIR_UNUSABLE', { message: `There is no file ${name} in ${this.dir}` });
    }
    return wanted.length === 0 ? all : all.filter((name) => wanted.includes(name));
  }

  /** The letters of a file; a last line that is cut off is being written, and left out. `null`: it is gone. */
  async read(name: string): Promise<{ letters: Letter[]; strange: number } | null> {
    let bytes: Buffer;
    try {
      bytes = await readAll(this.#fs, join(this.dir, name), null);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    }
    const letters: Letter[] = [];
    let strange = 0;
    let start = 0;
    for (let end = bytes.indexOf(LINE_FEED); end !== -1; end = bytes.indexOf(LINE_FEED, start)) {
      const letter = letterIn(bytes.subarray(start, end + 1));
      if (letter === null) strange++;
      else letters.push(letter);
      start = end + 1;
    }
    return { letters, strange: strange + (start < bytes.length ? 1 : 0) };
  }

  /**
   * Runs one change at a time: two tools would take each other's files.
   *
   * @param command for the error
   * @throws ForebayError `LOG_DIR_LOCKED`, `LOG_DIR_UNUSABLE`
   */
  async exclusively<T>(command: string, work: () => Promise<T>): Promise<T> {
    await refuseOtherUser(this.#fs, this.dir, command);
    return withFile(this.#fs, join(this.dir, LOCK), 'a', async (fd) => {
      if (!this.#fs.tryLock(fd)) {
        const message = `Another run of this tool changes ${this.dir}`;
        throw new ForebayError('LOG_DIR_LOCKED', { message });
      }
      return work();
    });
  }

  /**
   * Takes a file away from the server, so that what is read is all there is.
   *
   * @returns its name from then on, and its letters; `null` where none of them is wanted
   * @throws Error where its batch file is still there, so that the server may write it anew, or where a line of it
   *   cannot be read: it would be lost
   */
  async take(
    name: string,
    isWanted: (letter: Letter) => boolean,
  ): Promise<{ taken: string; letters: Letter[] } | null> {
    const batch = join(this.#logDir, batchOf(name));
    if ((await statsOf(this.#fs, batch)) !== null)
      throw new Error(`${name} is left alone: the batch is still being delivered`);
    const found = await this.read(name);
    if (found?.letters.some(isWanted) !== true) return null;
    if (found.strange > 0) throw new Error(`${join(this.dir, name)} holds lines that are no dead letters`);
    return { taken: await this.#rename(name), letters: found.letters };
  }

  async #rename(name: string): Promise<string> {
    if (name.endsWith(TAKEN)) return name;
    let taken = `${name}${TAKEN}`;
    for (let number = 2; (await statsOf(this.#fs, join(this.dir, taken))) !== null; number++)
      taken = `${name}.${number}${TAKEN}`;
    await this.#move(name, taken);
    return taken;
  }

  /** What is left of a file that was taken: nothing of it stays without letters. */
  async keepOnly(name: string, letters: readonly Letter[]): Promise<void> {
    const path = join(this.dir, name);
    if (letters.length === 0) {
      await unlink(this.#fs, `${path}${NEW}`); // of a run that was killed
      await unlink(this.#fs, path);
      await flushDirectory(this.#fs, this.dir);
      return;
    }
    const bytes = Buffer.concat(letters.map(({ line }) => line));
    await withFile(this.#fs, `${path}${NEW}`, 'w', async (fd) => {
      await writeAll(this.#fs, fd, bytes, 0);
      await flush(this.#fs, fd);
    });
    await this.#move(`${name}${NEW}`, name);
  }

  async #move(from: string, to: string): Promise<void> {
    await callVoid((done) => {
      this.#fs.rename(join(this.dir, from), join(this.dir, basename(to)), done);
    });
    await flushDirectory(this.#fs, this.dir);
  }
}

/** `null` for a line that no server has written. */
function letterIn(line: Buffer): Letter | null {
  const letter = aboutLetter(line);
  if (letter === null) return null;
  try {
    JSON.parse(letter.event.toString('utf8'));
    return { ...letter.about, line, event: letter.event };
  } catch {
    return null;
  }
}
