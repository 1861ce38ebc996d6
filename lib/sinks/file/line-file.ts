import { constants } from 'node:fs';
import type { BigIntStats } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { tryLock } from '../../logs/file/native-lock.js';
import { systemCode } from '../../base/errors.js';

/** What the file sink asks of the system. It comes in as a parameter, so that a test can fail it or stop it anywhere. */
export type SinkFiles = Pick<typeof nodeFs, 'open' | 'unlink' | 'stat' | 'realpath'>;

export const nodeFiles: SinkFiles = nodeFs;

/**
 * A file of whole lines that one process appends to, flushed with each append.
 *
 * A crash in the middle of a write leaves a part of a line. Its append had not ended, so it is cut away when the file is
 * opened; a last line that only lacks its line break stays and gets one.
 *
 * Others may delete, replace or cut the file while it is open, and the promise is about the name: an append says whether
 * its lines are in the file that has the name. Lines go to the end, wherever it is then (`O_APPEND`): after the end of a
 * file that was cut there would be NUL bytes.
 */
export class LineFile {
  /** Its path, links followed. */
  readonly path: string;
  readonly #fs: SinkFiles;
  readonly #name: string;
  readonly #file: FileHandle;
  readonly #dev: bigint;
  readonly #ino: bigint;
  /** In bytes, as of the last look or append, without what a failed append left. */
  #size: number;
  /** Whether an append has failed and may have left bytes. */
  #dirty = false;

  /**
   * Opens it, or creates it with a durable name. If that fails the file is not there afterwards, unless it was before.
   *
   * @param name by which it is looked for at each append; links are followed
   * @throws Error if another process has it, or it is not a regular file
   */
  static async open(fs: SinkFiles, name: string): Promise<LineFile> {
    const { file, isNew } = await openOrCreate(fs, name);
    let isOurs = false;
    try {
      const stats = await file.stat({ bigint: true });
      // a pipe has no end to append to, a device keeps nothing
      if (!stats.isFile()) throw new Error('it is not a regular file');
      isOurs = lock(file);
      if (!isOurs) throw new Error('another process writes into it');
      const path = await fs.realpath(name);
      await flushDirectory(fs, dirname(path));
      return new LineFile(fs, name, path, file, stats, await endAtLine(file, Number(stats.size)));
    } catch (error) {
      // a name that a failed flush left in doubt must be created again: the next flush may pass it over
      if (isNew && isOurs) await fs.unlink(name).catch(() => undefined);
      await file.close();
      throw error;
    }
  }

  private constructor(
    fs: SinkFiles,
    name: string,
    path: string,
    file: FileHandle,
    { dev, ino }: BigIntStats,
    size: number,
  ) {
    this.#fs = fs;
    this.#name = name;
    this.path = path;
    this.#file = file;
    this.#dev = dev;
    this.#ino = ino;
    this.#size = size;
  }

  /** Whether its name still leads to it. If others have cut it or appended to it, it goes on at its end. */
  async look(): Promise<boolean> {
    const size = await this.#sizeByName();
    if (size === null) return false;
    if (this.#dirty && size > this.#size) await this.finish();
    else if (size !== this.#size) this.#size = await endAtLine(this.#file, size);
    return true;
  }

  /**
   * Appends, one call after another, after a look.
   *
   * @returns whether the lines are in the file that has the name; if not, it was deleted, replaced or cut meanwhile
   */
  async append(lines: Buffer): Promise<boolean> {
    this.#dirty = true;
    await this.#file.appendFile(lines);
    await this.#file.datasync();
    this.#dirty = false;
    this.#size += lines.length;
    return ((await this.#sizeByName()) ?? -1) >= this.#size;
  }

  /** Cuts away what a failed append left. */
  async finish(): Promise<void> {
    if (!this.#dirty) return;
    const { size } = await this.#file.stat();
    if (size > this.#size) await this.#file.truncate(this.#size);
    await this.#file.datasync();
    this.#dirty = false;
  }

  async close(): Promise<void> {
    await this.#file.close();
  }

  /** The size of the file that has the name; `null`: none, or another one. */
  async #sizeByName(): Promise<number | null> {
    try {
      const { dev, ino, size } = await this.#fs.stat(this.#name, { bigint: true });
      return dev === this.#dev && ino === this.#ino ? Number(size) : null;
    } catch (error) {
      if (NOTHING_THERE.has(systemCode(error) ?? '')) return null;
      throw error;
    }
  }
}

const NOTHING_THERE = new Set(['ENOENT', 'ENOTDIR']);

async function openOrCreate(fs: SinkFiles, path: string): Promise<{ file: FileHandle; isNew: boolean }> {
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
  try {
    return { file: await fs.open(path, flags | constants.O_EXCL, 0o640), isNew: true };
  } catch (error) {
    if (systemCode(error) !== 'EEXIST') throw error;
    return { file: await fs.open(path, flags, 0o640), isNew: false };
  }
}

/** `false` if another process has it: what a failed append of one left, the other would take for its own. */
function lock(file: FileHandle): boolean {
  try {
    return tryLock(file.fd, { shared: false });
  } catch {
    return true; // a file system without locks
  }
}

/** Flushes the names in a directory. */
async function flushDirectory(fs: SinkFiles, dir: string): Promise<void> {
  const handle = await fs.open(dir, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Makes the file end with a whole line. Returns its size in bytes. */
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
  await file.write('\n');
  return size + 1;
}

/** The position after the last line break, found from the end in steps. */
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
