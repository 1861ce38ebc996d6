/**
 * What a killed run has left may be in memory of the system and not on the device. An id that is known is answered
 * without being stored, so its event must be durable before, and its segment before its batch file is deleted (N14).
 *
 * After a failed flush the system may take bytes and name of a file for written, so that another flush does nothing. So the
 * file is replaced by a copy: its bytes and its name are written by changes at which no flush has failed. At each moment
 * the name leads to the old file or to the copy, which hold the same.
 */
import type { Stats } from 'node:fs';
import { dirname, join } from 'node:path';
import { unlink } from '../closing.js';
import { identityAt, identityOf, isSame } from '../file-identity.js';
import { call, callVoid, flushDirectory, withOpen, writeAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { plainView } from '../file-view.js';
import { FILE_BOUNDS, partsOf } from '../large-file.js';
import type { Part } from '../large-file.js';
import { newCopyName } from './copy-name.js';

const MODE_BITS = 0o777;

/** Flushes a file. @throws the system's error */
export async function flushFile(fs: FileSystem, path: string): Promise<void> {
  await withOpen(fs, path, async (fd) => flushData(fs, fd));
}

/** A file of an earlier run. */
export interface LeftFile {
  readonly path: string;
  readonly fd: number;
  readonly stats: Stats;
}

export interface LeftCopiesOptions {
  readonly fs: FileSystem;
  /** Throws if another server may have the lock: only the one that has it replaces files. */
  readonly confirmLock: () => Promise<void>;
}

/** Puts copies in the place of files, one at a time. */
export class LeftCopies {
  readonly #options: LeftCopiesOptions;
  readonly #name = newCopyName();

  constructor(options: LeftCopiesOptions) {
    this.#options = options;
  }

  /**
   * The same as `replace` for files of a directory that nobody may be writing; their names are durable, too.
   *
   * @param failed is called if a file could not be replaced
   * @throws the system's error if the names could not be made durable
   */
  async replaceAll(dir: string, names: readonly string[], failed: (error: unknown) => void): Promise<void> {
    const { fs } = this.#options;
    for (const path of names.map((name) => join(dir, name)))
      await withOpen(fs, path, async (fd, stats) => this.replace({ path, fd, stats })).catch(failed);
    if (names.length > 0) await flushDirectory(fs, dir);
  }

  /**
   * Replaces a file by a copy with durable bytes. Its name is durable after a flush of the directory. Who may be writing it
   * must be locked out until this resolves: what came later would not be in the copy.
   *
   * @param look is called with all that is in the copy
   * @throws the system's error; then the file is as it was, or the copy is in its place
   */
  async replace({ path, fd, stats }: LeftFile, look: (part: Part) => void = () => undefined): Promise<void> {
    const { fs, confirmLock } = this.#options;
    const { size } = stats;
    const copy = join(dirname(path), this.#name);
    await unlink(fs, copy); // the last one failed, and so did its deletion
    const copyFd = await call<number>((done) => {
      fs.open(copy, 'wx', stats.mode & MODE_BITS, done);
    });
    try {
      let copied = 0;
      for await (const part of partsOf(plainView(fs, fd, size), FILE_BOUNDS)) {
        await writeAll(fs, copyFd, part.bytes, part.at);
        look(part);
        copied += part.bytes.length;
      }
      if (copied !== size) throw new Error(`${path} has become shorter`);
      await flushData(fs, copyFd);
      await confirmLock();
      // a server without the lock may have delivered and deleted it
      if (!isSame(await identityAt(fs, path), await identityOf(fs, fd)))
        throw new Error(`${path} is gone or replaced`);
      await callVoid((done) => {
        fs.rename(copy, path, done);
      });
    } catch (error) {
      await unlink(fs, copy).catch(() => undefined);
      throw error;
    } finally {
      // it is on the device, or of no use
      await callVoid((done) => {
        fs.close(copyFd, done);
      }).catch(() => undefined);
    }
  }
}

/** Deletes copies that killed runs have left. If that fails, they are deleted at the next start. Never rejects. */
export async function removeCopies(
  fs: FileSystem,
  dir: string,
  names: readonly string[],
  confirmLock: () => Promise<void>,
): Promise<void> {
  try {
    for (const name of names) {
      await confirmLock();
      await unlink(fs, join(dir, name));
    }
  } catch {
    // they are in nobody's way
  }
}

async function flushData(fs: FileSystem, fd: number): Promise<void> {
  await callVoid((done) => {
    fs.fdatasync(fd, done);
  });
}
