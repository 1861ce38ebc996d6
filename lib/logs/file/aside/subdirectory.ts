import { join } from 'node:path';
import { systemCode } from '../../../base/errors.js';
import { callVoid, makeMissing } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import type { DirectorySync } from '../directory-sync.js';
import type { Reserve } from '../reserve.js';

/** The needs of the owner of such a directory. */
export interface SubdirectoryOwner {
  readonly fs: FileSystem;
  readonly logDir: string;
  /** Makes names in the log directory durable, for everyone who creates files there. */
  readonly logNames: DirectorySync;
  /** Room on a full disk. */
  readonly reserve: Reserve;
  /** Throws if another server may have the lock. */
  readonly confirmLock: () => Promise<void>;
}

/** Errors of `rmdir` for a directory that is missing or not empty; for a link, a mount point, or another user's. */
const KEPT = new Set(['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY', 'EPERM', 'EACCES']);

/**
 * A directory in the log directory, created with a durable name when something is put into it.
 *
 * After a failed flush of its name, another flush may succeed without writing it. So an empty directory is created
 * again before its name is flushed; a directory that is not empty had its name flushed before its first file.
 */
export class Subdirectory {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #logNames: DirectorySync;
  readonly #confirmLock: () => Promise<void>;
  #isDurable = false;
  /** One call at a time: the directory must not go while another call puts a file into it. */
  #turn: Promise<void> = Promise.resolve();

  constructor({ fs, logDir, logNames, confirmLock }: Omit<SubdirectoryOwner, 'reserve'>, name: string) {
    this.#fs = fs;
    this.path = join(logDir, name);
    this.#logNames = logNames;
    this.#confirmLock = confirmLock;
  }

  /** Resolves when the directory exists. Someone may have moved it away since the last call. */
  async ensure(): Promise<void> {
    const ensured = this.#turn.then(() => this.#ensure());
    this.#turn = ensured.catch(() => undefined);
    await ensured;
  }

  async #ensure(): Promise<void> {
    if (!this.#isDurable) {
      // another server with the lock may have made it durable already, and would not do so again
      await this.#confirmLock();
      await callVoid((done) => {
        this.#fs.rmdir(this.path, done);
      }).catch((error: unknown) => {
        if (!KEPT.has(systemCode(error) ?? '')) throw error;
      });
    }
    this.#isDurable = false;
    const flushName = this.#logNames.forNewName();
    const isNew = (await makeMissing(this.#fs, this.path)) !== undefined;
    if (isNew) await flushName();
    this.#isDurable = true;
  }
}
