import { close, fdatasync, openSync, write } from 'node:fs';
import { promisify } from 'node:util';
import { NumberedEvent } from './numbered-event.js';

/**
 * The floor of what durability costs: one line appended to a file with `write`, then `fdatasync`. Both are the
 * asynchronous calls of `node:fs`, in the process of the benchmark.
 */
export class FlushedFile {
  readonly #fd: number;
  readonly #line = new NumberedEvent((event) => `${event}\n`);
  #written = 0;

  constructor(path: string) {
    this.#fd = openSync(path, 'ax');
  }

  /** Appends one line. Resolves to the milliseconds until it was flushed. */
  async append(): Promise<number> {
    this.#line.number = ++this.#written;
    const { bytes } = this.#line;
    return new Promise((resolve, reject) => {
      const start = performance.now();
      write(this.#fd, bytes, 0, bytes.length, null, (writeError, written) => {
        if (writeError !== null || written !== bytes.length) {
          reject(writeError ?? new Error('short write'));
          return;
        }
        fdatasync(this.#fd, (error) => {
          const latencyMs = performance.now() - start;
          if (error === null) resolve(latencyMs);
          else reject(error);
        });
      });
    });
  }

  async close(): Promise<void> {
    await promisify(close)(this.#fd);
  }
}
