import { constants } from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { systemCode } from '../errors.js';
import { flushDirectory, writeAll } from './sink-files.js';
import type { SinkFiles } from './sink-files.js';

/**
 * A file of whole lines that one process appends to, flushed with each append.
 *
 * A crash in the middle of a write leaves a line cut off. Its append had not ended, so it is cut away when the file is
 * opened; a last line that only misses its line break is left whole and gets one.
 */
export class LineFile {
  /** When it was made, as far as the file system knows, in milliseconds since 1970. */
  readonly createdMs: number;
  readonly isRegular: boolean;
  readonly #file: FileHandle;
  /** Where the next lines go, in bytes: behind the last that were appended. */
  #size: number;
  /** Whether an append has failed and may have left bytes behind. */
  #dirty = false;

  /**
   * Opens it, or makes it with a durable name. The flush makes whatever else was done to names in its directory
   * durable, too. Where that fails the file is not there afterwards, unless it was before.
   */
  static async open(fs: SinkFiles, path: string): Promise<LineFile> {
    const { file, isNew } = await openOrMake(fs, path);
    let isOurs = false;
    try {
      isOurs = lock(file);
      if (!isOurs) throw new Error('another process writes into it');
      await flushDirectory(fs, dirname(path));
      const stats = await file.stat();
      // 0 where a file system does not know it
      const createdMs = stats.birthtimeMs > 0 ? stats.birthtimeMs : stats.mtimeMs;
      return new LineFile(file, await endAtLine(file, stats.size), createdMs, stats.isFile());
    } catch (error) {
      // a name that a failed flush has left in doubt must be made anew: the next flush may pass it over
      if (isNew && isOurs) await fs.unlink(path).catch(() => undefined);
      await file.close();
      throw error;
    }
  }

  private constructor(file: FileHandle, size: number, createdMs: number, isRegular: boolean) {
    this.#file = file;
    this.#size = size;
    this.createdMs = createdMs;
    this.isRegular = isRegular;
  }

  /** In bytes, without what a failed append has left. */
  get size(): number {
    return this.#size;
  }

  /** One call after another. What could not be flushed is taken away before anything else is written. */
  async append(lines: Buffer): Promise<void> {
    // a shorter batch would not cover it
    if (this.#dirty) await this.#file.truncate(this.#size);
    this.#dirty = true;
    await writeAll(this.#file, lines, this.#size);
    await this.#file.datasync();
    this.#dirty = false;
    this.#size += lines.length;
  }

  /** Makes the file what it is to stay: without what a failed append has left. */
  async finish(): Promise<void> {
    if (!this.#dirty) return;
    await this.#file.truncate(this.#size);
    await this.#file.datasync();
    this.#dirty = false;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }
}

/** Not for appending: what a failed append has left is written over. */
async function openOrMake(fs: SinkFiles, path: string): Promise<{ file: FileHandle; isNew: boolean }> {
  const flags = constants.O_RDWR | constants.O_CREAT;
  try {
    return { file: await fs.open(path, flags | constants.O_EXCL, 0o640), isNew: true };
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    return { file: await fs.open(path, flags, 0o640), isNew: false };
  }
}

/** `false` where another process has it. Two would write over each other, as each knows where its own bytes end. */
function lock(file: FileHandle): boolean {
  try {
    return tryLock(file.fd);
  } catch {
    return true; // a file system without locks
  }
}

/** Makes the file end with a whole line. Gives its size back, in bytes. */
async function endAtLine(file: FileHandle, size: number): Promise<number> {
  const end = await lastLineStart(file, size);
  if (end === size) return size;
  const tail = Buffer.alloc(size - end);
  await file.read(tail, 0, tail.length, end);
  try {
    JSON.parse(tail.toString('utf8'));
  } catch {
    await file.truncate(end);
    return end;
  }
  await file.write('\n', size);
  return size + 1;
}

/** The position behind the last line break, found from the end in steps. */
async function lastLineStart(file: FileHandle, size: number): Promise<number> {
  const step = Buffer.alloc(65_536);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - step.length);
    const { bytesRead } = await file.read(step, 0, end - start, start);
    const at = step.subarray(0, bytesRead).lastIndexOf(10);
    if (at !== -1) return start + at + 1;
    end = start;
  }
  return 0;
}
