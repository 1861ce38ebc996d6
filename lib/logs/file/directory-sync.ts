import { call, callVoid } from './file-system.js';
import type { FileSystem } from './file-system.js';

/**
 * Makes the names of new files durable (N3): one flush of the directory at a time, shared by all waiting files.
 *
 * A failed flush leaves all names in doubt that were created before it, and the next one may succeed without them. So
 * flushes never overlap, and each file whose name existed at a failure is given up, whichever file asked for the
 * flush.
 */
export class DirectorySync {
  readonly #fs: FileSystem;
  readonly #dir: string;
  #failures = 0;
  /** Kept open: opening and closing it each time costs as much as the flush. */
  #fd: number | null = null;
  #running: Promise<void> = Promise.resolve();
  /** The next flush, if someone waits for it. */
  #next: Promise<void> | null = null;

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  /** Called before a name is created. The returned function makes that name durable. */
  forNewName(): () => Promise<void> {
    const failuresBefore = this.#failures;
    return async () => {
      await this.#flush();
      if (this.#failures !== failuresBefore) throw new Error('a flush of the directory failed meanwhile');
    };
  }

  /** A running flush may have started before the name was created, so the next one counts. */
  #flush(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      const flush = this.#flushNow();
      this.#next = null;
      this.#running = flush.catch(() => {
        this.#failures++;
      });
      return flush;
    });
    return this.#next;
  }

  async #flushNow(): Promise<void> {
    this.#fd ??= await call<number>((done) => {
      this.#fs.open(this.#dir, 'r', done);
    });
    const fd = this.#fd;
    await callVoid((done) => {
      this.#fs.fsync(fd, done);
    });
  }

  /** Called when no more flushes are asked for. Never throws. */
  async close(): Promise<void> {
    await this.#running;
    const fd = this.#fd;
    if (fd === null) return;
    this.#fd = null;
    // nothing was written through it
    await callVoid((done) => {
      this.#fs.close(fd, done);
    }).catch(() => undefined);
  }
}
