/**
 * Makes the names of new files durable (N3): one flush of the directory at a time, shared by all waiting files.
 *
 * A failed flush leaves all names in doubt that were created before it, and the next one may succeed without them. So
 * flushes never overlap, and each file whose name existed at a failure is given up, whichever file asked for the
 * flush.
 */
export class DirectorySync {
  readonly #flushNames: () => Promise<void>;
  #failures = 0;
  #running: Promise<void> = Promise.resolve();
  /** The next flush, if someone waits for it. */
  #next: Promise<void> | null = null;

  /** @param flushNames flushes the directory that was opened at start: by now its path may lead to another one */
  constructor(flushNames: () => Promise<void>) {
    this.#flushNames = flushNames;
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
      const flush = this.#flushNames();
      this.#next = null;
      this.#running = flush.catch(() => {
        this.#failures++;
      });
      return flush;
    });
    return this.#next;
  }

  /** Resolves when no flush runs. Called when no more are asked for. */
  async ended(): Promise<void> {
    await this.#running;
  }
}
