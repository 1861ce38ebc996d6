/**
 * `forebay.paused`: it is there as long as delivery is paused, and says since when, by whom and why, as one line of JSON. A
 * new one is written as `forebay.paused.new`, flushed, and renamed; the directory is flushed after that, and after the
 * deletion. So at any moment it is the old state or the new one. A `.new` that a crash leaves means nothing.
 *
 * A file that cannot be read, or has another text, is a pause as well: someone has asked for one, and waiting loses nothing.
 */
import { join } from 'node:path';
import { asError } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import { parsePause, pauseText, unreadablePause } from '../../seams/pause.js';
import type { Pause, PauseStore } from '../../seams/pause.js';
import { callVoid, readAll, statsOf } from './file-system.js';
import { unlink } from './closing.js';
import { writeNewFile } from './new-file.js';
import type { SubdirectoryOwner } from './aside/subdirectory.js';

export const PAUSE_FILE = 'forebay.paused';
export const NEW_PAUSE_FILE = 'forebay.paused.new';
/** Longer than any that a server writes. */
const BYTES_MAX = 8192;

export class PauseFile implements PauseStore {
  readonly #owner: SubdirectoryOwner;
  readonly #reporter: Reporter;
  readonly #path: string;
  readonly #newPath: string;
  /** Whether a flush has failed, maybe one of an earlier run: another one may succeed without what that one was for. */
  #isInDoubt = true;

  constructor(owner: SubdirectoryOwner, reporter: Reporter) {
    this.#owner = owner;
    this.#reporter = reporter;
    this.#path = join(owner.logDir, PAUSE_FILE);
    this.#newPath = join(owner.logDir, NEW_PAUSE_FILE);
  }

  async read(): Promise<Pause | null> {
    const { fs } = this.#owner;
    try {
      const stats = await statsOf(fs, this.#path);
      if (stats === null) return null;
      if (!stats.isFile()) throw new Error('it is no plain file'); // reading a pipe would never end
      return parsePause((await readAll(fs, this.#path, BYTES_MAX)).toString());
    } catch (error) {
      const { message } = asError(error);
      const text = `${this.#path} cannot be read (${message}), and counts as a pause: resume, or delete it and start again`;
      this.#reporter.warn('DELIVERY_PAUSED', text);
      return unreadablePause(this.#path, message, Date.now());
    }
  }

  async write(pause: Pause | null): Promise<void> {
    await this.#owner.confirmLock();
    if (pause !== null) await this.#put(pauseText(pause));
    else await this.#remove();
    this.#isInDoubt = false;
  }

  async #put(text: string): Promise<void> {
    await this.#owner.reserve.lend(async () => this.#replace(text));
  }

  async #replace(text: string): Promise<void> {
    const { fs } = this.#owner;
    await unlink(fs, this.#newPath);
    await writeNewFile(fs, this.#newPath, Buffer.from(text), async () => undefined);
    await this.#flushedAfter(async () =>
      callVoid((done) => {
        fs.rename(this.#newPath, this.#path, done);
      }),
    );
  }

  async #remove(): Promise<void> {
    const { fs } = this.#owner;
    // the next flush writes a new deletion only
    if (this.#isInDoubt) await this.#put(pauseText(unreadablePause(this.#path, 'it ends', Date.now())));
    await this.#flushedAfter(async () => unlink(fs, this.#path));
  }

  async #flushedAfter(change: () => Promise<unknown>): Promise<void> {
    const flushName = this.#owner.logNames.forNewName();
    this.#isInDoubt = true;
    await change();
    await flushName();
  }
}
