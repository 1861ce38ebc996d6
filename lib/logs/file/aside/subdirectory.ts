import { systemCode } from '../../../base/errors.js';
import { callVoid, makeMissing } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import type { DirectorySync } from '../directory-sync.js';
import type { Reserve } from '../reserve.js';

/** What the owner of such a directory needs. */
export interface SubdirectoryOwner {
  readonly fs: FileSystem;
  readonly logDir: string;
  /** Makes names in the log directory durable, for all that make some. */
  readonly logNames: DirectorySync;
  /** Room on a full disk. */
  readonly reserve: Reserve;
  /** Throws if another server may have the lock. */
  readonly confirmLock: () => Promise<void>;
}

/** What `rmdir` says of a directory that is not there or not empty; of a link to one, a mount point, someone else's. */
const KEPT = new Set(['ENOENT', 'ENOTEMPTY', 'EEXIST', 'ENOTDIR', 'EBUSY', 'EPERM', 'EACCES']);

/**
 * A directory in the log directory, created when something is to be put into it, with a durable name.
 *
 * After a failed flush of its name another one may succeed without writing it. So one that is empty is created again
 * before its name is flushed; one that is not empty had its name flushed before its first file.
 */
export class Subdirectory {
  readonly path: string;
  readonly #fs: FileSystem;
  readonly #logNames: DirectorySync;
  #isDurable = false;
  /** One after another: the directory must not go while another call puts a file into it. */
  #turn: Promise<void> = Promise.resolve();

  /** @param logNames makes names in the log directory durable, for all that make some */
  constructor(fs: FileSystem, path: string, logNames: DirectorySync) {
    this.#fs = fs;
    this.path = path;
    this.#logNames = logNames;
  }

  /** Resolves when it is there. Someone may have moved it away since the last call. */
  async ensure(): Promise<void> {
    const ensured = this.#turn.then(() => this.#ensure());
    this.#turn = ensured.catch(() => undefined);
    await ensured;
  }

  async #ensure(): Promise<void> {
    if (!this.#isDurable) {
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
