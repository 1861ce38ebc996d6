import type { FileSystem } from '../file-system.js';
import { firstRetained } from './retained-listing.js';
import { bySettled, parseRetained } from './retained-name.js';
import type { RetainedName } from './retained-name.js';

/** At most this many names are in memory, some 200 bytes each. When they are used up, the folder is read again. */
const NAMES_MAX = 2000;

/** The retained files, oldest first. Memory holds the first of them. */
export class OldestFiles {
  readonly #fs: FileSystem;
  readonly #logDir: string;
  readonly #namesMax: number;
  #files: RetainedName[] = [];
  /** Whether the folder holds no others. */
  #areAll = false;
  #listing: Promise<void> | null = null;
  /** Whether a file came while the folder was read: it may be missing. */
  #cameMeanwhile = false;

  constructor(fs: FileSystem, logDir: string, namesMax = NAMES_MAX) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.#namesMax = namesMax;
  }

  /** As far as memory knows. */
  get first(): RetainedName | null {
    return this.#files[0] ?? null;
  }

  /** A file has come: the newest. */
  added(file: string): void {
    this.#cameMeanwhile = true;
    if (!this.#areAll) return;
    const name = this.#files.length < this.#namesMax ? parseRetained(file) : null;
    if (name === null) this.#areAll = false;
    else this.#files.push(name);
  }

  /** The oldest one; reads the folder if none is known. @throws the system's error */
  async peek(): Promise<RetainedName | null> {
    while (this.#files.length === 0 && !this.#areAll) {
      this.#listing ??= this.#list().finally(() => {
        this.#listing = null;
      });
      await this.#listing;
    }
    return this.first;
  }

  /** Takes the oldest known one out; `null`: none is known. */
  shift(): RetainedName | null {
    return this.#files.shift() ?? null;
  }

  /** A file that was taken out is still there. */
  missed(): void {
    this.#areAll = false;
  }

  async #list(): Promise<void> {
    this.#cameMeanwhile = false;
    const { files, areAll } = await firstRetained(this.#fs, this.#logDir, bySettled, this.#namesMax);
    this.#files = files;
    this.#areAll = areAll && !this.#cameMeanwhile;
  }
}
