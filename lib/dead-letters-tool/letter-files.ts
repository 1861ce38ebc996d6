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

/** A line of a file of dead letters. */
export interface Line {
  /** Its number in the file, from 1. */
  readonly number: number;
  /** The whole line, with its line feed. */
  readonly line: Buffer;
}

/** A dead letter. */
export interface Letter extends LetterAbout, Line {
  /** The event's own text. */
  readonly event: Buffer;
}

/** What a file of dead letters holds. */
export interface LetterFile {
  readonly letters: readonly Letter[];
  /** Lines that no server has written whole. */
  readonly strange: readonly Line[];
}

/** What a file is called while its letters are taken out: a server that makes one of its name makes another. */
export const TAKEN = '.taken';
const NEW = '.new';
const LOCK = '.lock';

const LINE_FEED = 0x0a;

/** At most this many lines are named. */
const LINES_NAMED_MAX = 10;

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

  /** What a file holds; a last line that is cut off may be being written. `null`: it is gone. */
  async read(name: string): Promise<LetterFile | null> {
    let bytes: Buffer;
    try {
      bytes = await readAll(this.#fs, join(this.dir, name), null);
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return null;
      throw error;
    }
    const letters: Letter[] = [];
    const strange: Line[] = [];
    for (let start = 0, number = 1; start < bytes.length; number++) {
      const lineFeed = bytes.indexOf(LINE_FEED, start);
      const end = lineFeed === -1 ? bytes.length : lineFeed + 1;
      const line = { number, line: bytes.subarray(start, end) };
      const letter = lineFeed === -1 ? null : letterIn(line);
      if (letter === null) strange.push(line);
      else letters.push(letter);
      start = end;
    }
    return { letters, strange };
  }

  /**
   * Reads files one after the other, one at a time in memory.
   *
   * @param failures gets what cannot be read, in words; it keeps nothing else from being read
   */
  async *readEach(
    names: readonly string[],
    failures: string[],
  ): AsyncGenerator<{ name: string; letters: readonly Letter[] }, void, undefined> {
    for (const name of names) {
      let found: LetterFile | null;
      try {
        found = await this.read(name);
      } catch (error) {
        failures.push(`${name} cannot be read: ${asError(error).message}`);
        continue;
      }
      if (found === null) continue;
      const { letters, strange } = found;
      if (strange.length > 0) {
        const are = strange.length === 1 ? 'is' : 'are';
        failures.push(
          `${join(this.dir, name)}: ${linesText(strange)} cannot be read, or ${are} being written`,
        );
      }
      yield { name, letters };
    }
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
   * @returns its name from then on, and what it holds; `null` if none of its letters is wanted
   * @throws Error if its batch file is still there, so that the server may write it again
   */
  async take(
    name: string,
    isWanted: (letter: Letter) => boolean,
  ): Promise<(LetterFile & { readonly taken: string }) | null> {
    const batch = join(this.#logDir, batchOf(name));
    if ((await statsOf(this.#fs, batch)) !== null)
      throw new Error(`${name} is left alone: the batch is still being delivered`);
    const found = await this.read(name);
    if (found?.letters.some(isWanted) !== true) return null;
    return { ...found, taken: await this.#rename(name) };
  }

  async #rename(name: string): Promise<string> {
    if (name.endsWith(TAKEN)) return name;
    let taken = `${name}${TAKEN}`;
    for (let number = 2; (await statsOf(this.#fs, join(this.dir, taken))) !== null; number++)
      taken = `${name}.${number}${TAKEN}`;
    await this.#move(name, taken);
    return taken;
  }

  /** Leaves these lines of a file that was taken, in their order; a file without lines is deleted. */
  async keepOnly(name: string, lines: readonly Line[]): Promise<void> {
    const path = join(this.dir, name);
    if (lines.length === 0) {
      await unlink(this.#fs, `${path}${NEW}`); // of a run that was killed
      await unlink(this.#fs, path);
      await flushDirectory(this.#fs, this.dir);
      return;
    }
    const bytes = Buffer.concat(inOrder(lines).map(({ line }) => line));
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

/** Lines in the order of their file. */
export function inOrder(lines: readonly Line[]): Line[] {
  return lines.toSorted((a, b) => a.number - b.number);
}

/** `line 3`, `lines 3, 7`; of many the first ones. */
export function linesText(lines: readonly Pick<Line, 'number'>[]): string {
  const named = lines.slice(0, LINES_NAMED_MAX).map(({ number }) => number);
  const more = lines.length - named.length;
  return `${lines.length === 1 ? 'line' : 'lines'} ${named.join(', ')}${more === 0 ? '' : `, and ${more} more`}`;
}

/** `null` for a line that no server has written. */
function letterIn(line: Line): Letter | null {
  const letter = aboutLetter(line.line);
  if (letter === null) return null;
  try {
    JSON.parse(letter.event.toString('utf8'));
    return { ...letter.about, ...line, event: letter.event };
  } catch {
    return null;
  }
}
