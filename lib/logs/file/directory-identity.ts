import { join } from 'node:path';
import { ForebayError } from '../../base/errors.js';
import { identityAt, identityOf, isSame } from './file-identity.js';
import type { Identity } from './file-identity.js';
import { call, callVoid } from './file-system.js';
import type { FileSystem } from './file-system.js';

const RETRY_AFTER_MS = 5000;

/**
 * Whether a path still leads to the directory and the lock file that were opened at start. A cleaner may remove the
 * lock file, and then a second server takes the directory; or someone may replace the directory. Both stay open, so
 * that the system gives their inode numbers to no other file.
 */
export class DirectoryIdentity {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #lockFile: string;
  readonly #fd: number;
  readonly #opened: readonly [Identity, Identity];
  #isLost = false;

  private constructor(
    fs: FileSystem,
    dir: string,
    lockFile: string,
    fd: number,
    opened: [Identity, Identity],
  ) {
    this.#fs = fs;
    this.#dir = dir;
    this.#lockFile = lockFile;
    this.#fd = fd;
    this.#opened = opened;
  }

  /** @throws ForebayError `LOG_DIR_LOST` if the lock file was replaced while it was being locked; the system's error */
  static async of(fs: FileSystem, dir: string, lockFile: string, lockFd: number): Promise<DirectoryIdentity> {
    const fd = await call<number>((done) => {
      fs.open(dir, 'r', done);
    });
    try {
      const opened: [Identity, Identity] = [await identityOf(fs, fd), await identityOf(fs, lockFd)];
      const identity = new DirectoryIdentity(fs, dir, lockFile, fd, opened);
      await identity.confirm();
      return identity;
    } catch (error) {
      await close(fs, fd);
      throw error;
    }
  }

  /** Checks both. @throws ForebayError `LOG_DIR_LOST`; the system's error */
  async confirm(): Promise<void> {
    const [openedDir, openedLock] = this.#opened;
    // if the path is a link, the directory that it leads to
    const paths = [`${this.#dir}/.`, join(this.#dir, this.#lockFile)] as const;
    const [dir, lock] = await Promise.all([identityAt(this.#fs, paths[0]), identityAt(this.#fs, paths[1])]);
    const isDir = isSame(dir, openedDir);
    this.#isLost = !isDir || !isSame(lock, openedLock);
    if (!this.#isLost) return;
    const what = isDir ? `its ${this.#lockFile} was removed or replaced` : 'it was moved away or replaced';
    const message = `The log directory is not as it was opened: ${what}; nothing is written to it`;
    throw new ForebayError('LOG_DIR_LOST', { message, retryAfterMs: RETRY_AFTER_MS });
  }

  /** The same, but only if the last check found a difference: otherwise it costs nothing. */
  async confirmIfLost(): Promise<void> {
    if (this.#isLost) await this.confirm();
  }

  async close(): Promise<void> {
    await close(this.#fs, this.#fd);
  }
}

/** Nothing was written through it. Never throws. */
async function close(fs: FileSystem, fd: number): Promise<void> {
  await callVoid((done) => {
    fs.close(fd, done);
  }).catch(() => undefined);
}
