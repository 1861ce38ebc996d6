import type { Dir } from 'node:fs';
import type { Callback } from './disk-calls.js';
import type { Random } from './random.js';
import { SimulatedFile } from './simulated-file.js';
import type { SimulatedDirectory } from './simulated-directory.js';

const AT_ONCE = 16;

interface Entry {
  readonly name: string;
  isFile(): boolean;
  isDirectory(): boolean;
}

/**
 * Reads a directory as `fs.opendir` does: in no order, some entries at a time. An entry that is made or deleted
 * meanwhile may show up or not; POSIX leaves it open.
 */
export class DirectoryReader {
  readonly #directory: SimulatedDirectory;
  readonly #random: Random;
  readonly #later: (run: Callback<void>) => void;
  readonly #names: Set<string>;

  constructor(directory: SimulatedDirectory, random: Random, later: (run: Callback<void>) => void) {
    this.#directory = directory;
    this.#random = random;
    this.#later = later;
    this.#names = new Set(random.shuffled(directory.names.keys()));
  }

  /** As much of `fs.Dir` as `for await` uses. */
  get dir(): Dir {
    const dir = { [Symbol.asyncIterator]: () => this.#entries() };
    return dir as unknown as Dir;
  }

  async *#entries(): AsyncGenerator<Entry, void, undefined> {
    const names = [...this.#names];
    while (names.length > 0) {
      await this.#wait();
      for (const name of names.splice(0, AT_ONCE)) {
        if (this.#directory.names.has(name) || this.#random.chance(0.5)) yield this.#entry(name);
      }
    }
    await this.#wait();
    for (const name of this.#directory.names.keys()) {
      if (!this.#names.has(name) && this.#random.chance(0.5)) yield this.#entry(name);
    }
  }

  #entry(name: string): Entry {
    const node = this.#directory.names.get(name);
    const isFile = node === undefined || node instanceof SimulatedFile;
    return { name, isFile: () => isFile, isDirectory: () => !isFile };
  }

  #wait(): Promise<void> {
    return new Promise((resolve, reject) => {
      this.#later((error) => {
        if (error === null) resolve();
        else reject(error);
      });
    });
  }
}
