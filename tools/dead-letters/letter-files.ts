import { join } from 'node:path';
import { batchOf, DEAD_LETTERS, deadLetterFiles } from '../../lib/logs/file/aside/letter-files.js';
import { unlink } from '../../lib/logs/file/closing.js';
import { hasBatchFile } from '../../lib/logs/file/compressed/forms.js';
import { call, callVoid, flushDirectory, statsOf, writeAll } from '../../lib/logs/file/file-system.js';
import { FILE_BOUNDS } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { asError, ForebayError, systemCode } from '../../lib/base/errors.js';
import { count } from '../../lib/base/words.js';
import { recorded } from '../log/operations.js';
import { refuseOtherUser } from '../log/other-user.js';
import type { Done, Operation } from '../log/operations.js';
import { flush, withFile } from '../log/tool-file-system.js';
import type { ToolFileSystem } from '../log/tool-file-system.js';
import { blankLines, inOrder, lettersIn, LineNumbers, runsOf } from './letter-lines.js';
import type { Letter, LetterPart, Line } from './letter-lines.js';
import type { Edit, LetterStore } from './letter-store.js';

/** Memory for a file at once: about as much as a request of a redrive. */
const BOUNDS: FileBounds = { ...FILE_BOUNDS, piece: 2 ** 20 };

/** Suffix of a file while letters are taken out of it. A server that needs its name creates a new file. */
export const TAKEN = '.taken';
const NEW = '.new';
const LOCK = '.lock';

/** The files of dead letters of a log directory. */
export class LetterFiles implements LetterStore {
  readonly place: string;
  readonly noun = 'line';
  readonly #fs: ToolFileSystem;
  readonly #logDir: string;
  readonly #bounds: FileBounds;

  /** @param bounds how much of a file is in memory at once */
  constructor(fs: ToolFileSystem, logDir: string, bounds = BOUNDS) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.#bounds = bounds;
    this.place = join(logDir, DEAD_LETTERS);
  }

  /**
   * The names of all files, or of the requested ones, also of those that a redrive has started with.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, also if one is missing
   */
  async names(wanted: readonly string[]): Promise<string[]> {
    let all: string[];
    try {
      all = await deadLetterFiles(this.#fs, this.#logDir);
      if (all.length === 0 && (await statsOf(this.#fs, this.#logDir)) === null)
        throw new Error(`there is no log directory ${this.#logDir}`);
    } catch (error) {
      const message = `${this.place} cannot be read: ${asError(error).message}`;
      throw new ForebayError('LOG_DIR_UNUSABLE', { message, cause: error });
    }
    for (const name of wanted) {
      if (!all.includes(name))
        throw new ForebayError('LOG_DIR_UNUSABLE', { message: `There is no file ${name} in ${this.place}` });
    }
    return wanted.length === 0 ? all : all.filter((name) => wanted.includes(name));
  }

  whereText(names: readonly string[]): string {
    return `in ${count(names.length, 'file')} of ${this.place}`;
  }

  pathOf(name: string): string {
    return join(this.place, name);
  }

  /**
   * Reads files one after the other, with at most a part of one in memory.
   *
   * @param failures gets a text for each file that cannot be read; the others are read all the same
   */
  async *readEach(
    names: readonly string[],
    failures: string[],
  ): AsyncGenerator<{ name: string; letters: readonly Letter[] }, void, undefined> {
    for (const name of names) {
      const strange = new LineNumbers();
      try {
        for await (const part of this.#partsOf(name)) {
          for (const { number } of part.strange) strange.add(number);
          yield { name, letters: part.letters };
        }
      } catch (error) {
        failures.push(`${name} cannot be read: ${asError(error).message}`);
        continue;
      }
      if (strange.count === 0) continue;
      const are = strange.count === 1 ? 'is' : 'are';
      failures.push(`${this.pathOf(name)}: ${strange.text} cannot be read, or ${are} being written`);
    }
  }

  /** The parts of a file. A last line that is cut off may still be in writing. No parts if the file is gone. */
  async *#partsOf(name: string): AsyncGenerator<LetterPart, void, undefined> {
    let fd: number;
    try {
      fd = await call<number>((done) => {
        this.#fs.open(this.pathOf(name), 'r', done);
      });
    } catch (error) {
      if (systemCode(error) === 'ENOENT') return;
      throw error;
    }
    try {
      yield* lettersIn(this.#fs, fd, this.#bounds);
    } finally {
      await this.#close(fd);
    }
  }

  async #close(fd: number): Promise<void> {
    await callVoid((done) => {
      this.#fs.close(fd, done);
    });
  }

  /**
   * Runs one change at a time: two tools would take each other's files.
   *
   * @param command for the error
   * @throws ForebayError `LOG_DIR_LOCKED`, `LOG_DIR_UNUSABLE`
   */
  async exclusively<T>(command: string, work: () => Promise<T>): Promise<T> {
    await refuseOtherUser(this.#fs, this.place, command);
    return withFile(this.#fs, join(this.place, LOCK), 'a', async (fd) => {
      if (!this.#fs.tryLock(fd)) {
        const message = `Another run of this tool changes ${this.place}`;
        throw new ForebayError('LOG_DIR_LOCKED', { message });
      }
      return work();
    });
  }

  async recorded<T extends Done>(operation: Operation, work: () => Promise<T>): Promise<T> {
    return recorded(this.#fs, this.#logDir, operation, work);
  }

  /**
   * Takes a file away from the server, so that nothing is added to it.
   *
   * @returns its new name; `null` if none of its letters is wanted
   * @throws Error if its batch file still exists, so that the server may write it again
   */
  async take(name: string, isWanted: (letter: Letter) => boolean): Promise<string | null> {
    if (await hasBatchFile(this.#fs, this.#logDir, batchOf(name)))
      throw new Error(`${name} is left alone: the batch is still being delivered`);
    for await (const { letters } of this.#partsOf(name)) {
      if (letters.some(isWanted)) return this.#rename(name);
    }
    return null;
  }

  async #rename(name: string): Promise<string> {
    if (name.endsWith(TAKEN)) return name;
    let taken = `${name}${TAKEN}`;
    for (let number = 2; (await statsOf(this.#fs, join(this.place, taken))) !== null; number++)
      taken = `${name}.${number}${TAKEN}`;
    await this.#move(name, taken);
    return taken;
  }

  /**
   * Goes through the letters of a taken file, a part at a time. Removed letters are overwritten with spaces at once:
   * rewriting all others each time would take hours for a large file. The spaces leave the file at the end; if the
   * tool is killed before, its next run skips lines of spaces.
   */
  async edit(name: string, use: (letters: readonly Letter[], edit: Edit) => Promise<void>): Promise<void> {
    let hasBlanks = false;
    try {
      await withFile(this.#fs, this.pathOf(name), 'r+', async (fd) => {
        let removedBefore = 0;
        for await (const { letters, blanks } of lettersIn(this.#fs, fd, this.#bounds)) {
          const removed = blanks.map(({ number }) => number);
          const remove = async (gone: Iterable<Letter>): Promise<void> => {
            hasBlanks = true;
            for (const run of runsOf(gone)) {
              await writeAll(this.#fs, fd, blankLines(run), run[0]?.at ?? 0);
              for (const { number } of run) removed.push(number);
            }
            await flush(this.#fs, fd);
          };
          const numberLeft = ({ number }: Line): number =>
            number - removedBefore - removed.filter((each) => each < number).length;
          hasBlanks ||= blanks.length > 0;
          await use(letters, { remove, numberLeft });
          removedBefore += removed.length;
        }
      });
    } finally {
      if (hasBlanks) await this.keepOnly(name, () => true);
    }
  }

  /**
   * Keeps some letters of a taken file, in their order, and all lines that are not letters. Deletes a file without
   * lines.
   *
   * @returns how many letters were removed
   */
  async keepOnly(name: string, isKept: (letter: Letter) => boolean): Promise<number> {
    const path = this.pathOf(name);
    const next = `${path}${NEW}`;
    await unlink(this.#fs, next); // left by a run that was killed
    let removed = 0;
    let fd: number | null = null;
    try {
      let written = 0;
      for await (const { letters, strange } of this.#partsOf(name)) {
        const kept = letters.filter(isKept);
        removed += letters.length - kept.length;
        const bytes = Buffer.concat(inOrder([...kept, ...strange]).map(({ line }) => line));
        if (bytes.length === 0) continue;
        fd ??= await call<number>((done) => {
          this.#fs.open(next, 'wx', 0o640, done);
        });
        await writeAll(this.#fs, fd, bytes, written);
        written += bytes.length;
      }
      if (fd !== null) await flush(this.#fs, fd);
    } catch (error) {
      if (fd !== null) await unlink(this.#fs, next).catch(() => undefined);
      throw error;
    } finally {
      if (fd !== null) await this.#close(fd);
    }
    if (fd !== null) await this.#move(`${name}${NEW}`, name);
    else {
      await unlink(this.#fs, path);
      await flushDirectory(this.#fs, this.place);
    }
    return removed;
  }

  async #move(from: string, to: string): Promise<void> {
    await callVoid((done) => {
      this.#fs.rename(join(this.place, from), join(this.place, to), done);
    });
    await flushDirectory(this.#fs, this.place);
  }
}
