import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { DEAD_LETTERS, namesIn, sizesOf } from './directory-listing.js';
import type { FileSystem } from './file-system.js';
import { QUARANTINE } from './quarantine.js';

/** What the log directory holds beside batches, and what its disk still takes, in bytes. */
export interface DiskUsage {
  readonly deadLetterFiles: number;
  readonly deadLetterBytes: number;
  readonly quarantineFiles: number;
  readonly quarantineBytes: number;
  /** `null` where the system does not say. */
  readonly freeBytes: number | null;
  readonly sizeBytes: number | null;
}

/** A listing of 10,000 files takes some 30 ms of the disk's time: it is not asked for at each look. */
const KEPT_MS = 5000;

/** Looks at the disk at most once in 5 seconds, whoever asks. */
export class DiskUsageReader {
  readonly #fs: FileSystem;
  readonly #dir: string;
  #usage: Promise<DiskUsage> | null = null;
  #atMs = -Infinity;

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  async read(): Promise<DiskUsage> {
    if (this.#usage === null || performance.now() - this.#atMs > KEPT_MS) {
      this.#atMs = performance.now();
      this.#usage = this.#look();
      this.#usage.catch(() => (this.#usage = null));
    }
    return this.#usage;
  }

  async #look(): Promise<DiskUsage> {
    const [letters, aside, disk] = await Promise.all([
      this.#sizesIn(DEAD_LETTERS),
      this.#sizesIn(QUARANTINE),
      statfs(this.#dir).catch(() => null),
    ]);
    return {
      deadLetterFiles: letters.files,
      deadLetterBytes: letters.bytes,
      quarantineFiles: aside.files,
      quarantineBytes: aside.bytes,
      freeBytes: disk === null ? null : disk.bavail * disk.bsize,
      sizeBytes: disk === null ? null : disk.blocks * disk.bsize,
    };
  }

  async #sizesIn(folder: string): Promise<{ files: number; bytes: number }> {
    const dir = join(this.#dir, folder);
    const names = (await namesIn(this.#fs, dir)).filter((name) => !name.startsWith('.'));
    const sizes = await sizesOf(this.#fs, dir, names);
    return { files: names.length, bytes: sizes.reduce((sum: number, size) => sum + (size ?? 0), 0) };
  }
}
