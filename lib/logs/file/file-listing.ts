import type { PendingBatch } from '../../seams/batch.js';
import { compareBatchNames } from './batch-name.js';
import type { BatchSums } from './batch-sums.js';
import type { BatchFileName } from './compressed/batch-file-name.js';
import { Pairs } from './compressed/pairs.js';
import { newestBatches, oldestBatches } from './directory-listing.js';
import { Exclusive } from './exclusive.js';
import type { FileSystem } from './file-system.js';
import { sealedFiles, sumsOfBatches } from './sealed-files.js';
import type { KnownFiles } from './sealed-files.js';

export interface FileListingOptions {
  readonly fs: FileSystem;
  readonly dir: string;
  readonly known: KnownFiles;
  /** Files that are being written. */
  readonly unsealed: () => Iterable<string>;
  /** No name that was given, and none in the directory, comes after this one. */
  readonly newest: () => string;
}

/** The sealed batch files in the log directory. */
export class FileListing {
  readonly pairs = new Pairs();
  readonly #options: FileListingOptions;
  /** A file that changes its form while the directory is read may be missed in both. */
  readonly #turns = new Exclusive();

  constructor(options: FileListingOptions) {
    this.#options = options;
  }

  /** Oldest first, at most `most`: only names after this one, and only those that are asked for. */
  async oldest(
    after: string | null,
    most: number,
    isAskedFor: (name: string) => boolean,
  ): Promise<PendingBatch[]> {
    const { fs, dir, known } = this.#options;
    return this.#turns.run(async () => {
      const isSealed = this.sealedAfter(after);
      const wanted = (file: BatchFileName): boolean => isSealed(file) && isAskedFor(file.name);
      return sealedFiles(fs, dir, await oldestBatches(fs, dir, wanted, most), known);
    });
  }

  /** The names of those that have their lines as they were appended, newest first, at most `most`. */
  async newestAppended(most: number, isAskedFor: (name: string) => boolean): Promise<string[]> {
    const { fs, dir } = this.#options;
    return this.#turns.run(async () => {
      const isSealed = this.sealedAfter(null);
      const wanted = (file: BatchFileName): boolean =>
        file.ending === '' && isSealed(file) && isAskedFor(file.name);
      return (await newestBatches(fs, dir, wanted, most)).map(({ name }) => name);
    });
  }

  /** The number of those after this name, and their size. */
  async sums(after: string | null, begins: () => void): Promise<BatchSums> {
    const { fs, dir, known } = this.#options;
    return this.#turns.run(async () => {
      begins();
      return sumsOfBatches(fs, dir, this.sealedAfter(after), known);
    });
  }

  /** Changes the form of a file while nobody reads the directory. */
  async change<T>(work: () => Promise<T>): Promise<T> {
    return this.#turns.run(work);
  }

  /** As of now: a file that is created while the directory is read may appear in it. */
  sealedAfter(after: string | null): (file: BatchFileName) => boolean {
    const { unsealed, newest } = this.#options;
    const open = new Set(unsealed());
    const last = newest();
    return (file) =>
      this.pairs.counts(file) &&
      !open.has(file.name) &&
      compareBatchNames(file.name, last) <= 0 &&
      (after === null || compareBatchNames(file.name, after) > 0);
  }

  /** Whether a file is sealed, and its failed end is cut off. */
  isSealed(name: string): boolean {
    return !this.#options.known.uncut.has(name) && this.sealedAfter(null)({ name, ending: '' });
  }

  isLeftover(name: string): boolean {
    const { newestLeftover } = this.#options.known;
    return newestLeftover !== null && compareBatchNames(name, newestLeftover) <= 0;
  }
}
