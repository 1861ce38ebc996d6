import { write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { isatty } from 'node:tty';
import { systemCode } from '../../lib/base/errors.js';
import { harmless } from '../../lib/base/terminal-text.js';

/** Takes results. */
export interface Output {
  /** Whether the reader has gone: further writes are lost. */
  readonly closed: boolean;
  /**
   * Resolves when the system has taken all of it; a slow reader delays that. Does not fail once the reader has gone.
   *
   * @throws the system's error, for example of a full disk
   */
  write(chunk: string | Buffer): Promise<void>;
}

/** If another program has made a pipe non-blocking and it is full, the next try is after this many milliseconds. */
const FULL_PIPE_MS = 5;

/**
 * An open file, pipe or terminal. Text that steers a terminal is made harmless, whatever its origin. Does not use
 * Node's `process.stdout`: to a file it may silently write less than it was given, and a truncated copy of the events
 * must not look complete.
 */
export class DescriptorOutput implements Output {
  closed = false;
  readonly #fd: number;
  readonly #isTerminal: boolean;

  constructor(fd: number) {
    this.#fd = fd;
    this.#isTerminal = isatty(fd);
  }

  async write(chunk: string | Buffer): Promise<void> {
    const shown = this.#isTerminal ? harmless(chunk.toString()) : chunk;
    const bytes = typeof shown === 'string' ? Buffer.from(shown) : shown;
    for (let done = 0; done < bytes.length && !this.closed;) {
      done += await this.#writeSome(bytes.subarray(done));
    }
  }

  async #writeSome(bytes: Buffer): Promise<number> {
    try {
      return await new Promise((resolve, reject) => {
        write(this.#fd, bytes, 0, bytes.length, null, (error, written) => {
          if (error) reject(error);
          else resolve(written);
        });
      });
    } catch (error) {
      const code = systemCode(error);
      if (code === 'EAGAIN') await sleep(FULL_PIPE_MS);
      else if (code === 'EPIPE' || code === 'ECONNRESET') this.closed = true;
      else throw error;
      return 0;
    }
  }
}
