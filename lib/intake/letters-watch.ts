import type { DeadLetterStore } from '../seams/dead-letters.js';
import type { Accounts } from './accounts.js';

/** How long after dead letters were added, or a client was refused for its own, they are looked at, in milliseconds. */
const LOOK_MS = 2000;

/**
 * Knows what the dead letters take. Nobody says when some are sent again or dropped, so they are looked at now and then:
 * if they have become fewer, so have those of each client.
 */
export class LettersWatch {
  /** With those of earlier runs, once they were looked at. */
  bytes = 0;
  readonly #letters: Pick<DeadLetterStore, 'look'>;
  readonly #accounts: Accounts;
  #timer: NodeJS.Timeout | null = null;
  #isClosed = false;

  constructor(letters: Pick<DeadLetterStore, 'look'>, accounts: Accounts) {
    this.#letters = letters;
    this.#accounts = accounts;
  }

  /** @param bytes about */
  added(bytes: number): void {
    this.bytes += bytes;
    this.lookLater();
  }

  lookLater(): void {
    if (this.#isClosed) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      void this.#look();
    }, LOOK_MS).unref();
  }

  close(): void {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #look(): Promise<void> {
    const { bytes: before } = this;
    const now = await this.#letters.look().catch(() => before); // the next look may be luckier
    this.bytes += now - before;
    if (now < before)
      for (const account of this.#accounts.all)
        account.letterBytes = Math.floor((account.letterBytes * now) / before);
  }
}
