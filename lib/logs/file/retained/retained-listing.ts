import { join } from 'node:path';
import type { FileSystem } from '../file-system.js';
import { lookAtFiles } from '../plain-files.js';
import { parseRetained, RETAINED } from './retained-name.js';
import type { RetainedName } from './retained-name.js';

/** Goes through the retained files of a log directory, in no order; none if there is no folder. */
export async function lookAtRetained<T>(
  fs: FileSystem,
  logDir: string,
  look: (files: AsyncIterable<RetainedName>) => Promise<T>,
): Promise<T> {
  return lookAtFiles(fs, join(logDir, RETAINED), async (names) => look(parsed(names)));
}

async function* parsed(names: AsyncIterable<string>): AsyncGenerator<RetainedName, void, undefined> {
  for await (const name of names) {
    const file = parseRetained(name);
    if (file !== null) yield file;
  }
}

/** The first of many in an order. Memory does not grow with their number. */
export class FirstFiles {
  readonly #order: (a: RetainedName, b: RetainedName) => number;
  readonly #most: number;
  #files: RetainedName[] = [];
  /** Whether some are left out. */
  #isCut = false;

  constructor(order: (a: RetainedName, b: RetainedName) => number, most: number) {
    this.#order = order;
    this.#most = most;
  }

  add(file: RetainedName): void {
    if (this.#files.push(file) >= 2 * this.#most) this.#cut();
  }

  /** In order, and whether there are no others. */
  get result(): { readonly files: RetainedName[]; readonly areAll: boolean } {
    this.#cut();
    return { files: this.#files, areAll: !this.#isCut };
  }

  #cut(): void {
    this.#files.sort(this.#order);
    this.#isCut ||= this.#files.length > this.#most;
    this.#files.splice(this.#most);
  }
}

/** The first retained files in an order, at most `most`. */
export async function firstRetained(
  fs: FileSystem,
  logDir: string,
  order: (a: RetainedName, b: RetainedName) => number,
  most: number,
  isWanted = (_file: RetainedName): boolean => true,
): Promise<FirstFiles['result']> {
  return lookAtRetained(fs, logDir, async (files) => {
    const first = new FirstFiles(order, most);
    for await (const file of files) if (isWanted(file)) first.add(file);
    return first.result;
  });
}
