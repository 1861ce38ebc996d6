import { statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEAD_LETTERS, namesIn, sizesOf } from './directory-listing.js';
import type { FileSystem } from './file-system.js';
import { QUARANTINE } from './quarantine.js';

/** What the log directory holds beside batches, and what its disk still takes, in bytes; `null`: it is not known. */
export interface DiskUsage {
  readonly deadLetterFiles: number | null;
  readonly deadLetterBytes: number | null;
  readonly quarantineFiles: number | null;
  readonly quarantineBytes: number | null;
  readonly freeBytes: number | null;
  readonly sizeBytes: number | null;
}

const UNKNOWN: DiskUsage = {
  deadLetterFiles: null,
  deadLetterBytes: null,
  quarantineFiles: null,
  quarantineBytes: null,
  freeBytes: null,
  sizeBytes: null,
};

/** A listing of 10,000 files takes some 30 ms of the disk's time: it is not asked for at each look. */
const KEPT_MS = 5000;
/** A disk that hangs is not waited for. */
const WAIT_MS = 1000;

/** Looks at the disk at most once in 5 seconds, and never twice at a time, whoever asks. */
export class DiskUsageReader {
  readonly #fs: FileSystem;
  readonly #dir: string;
  #known = UNKNOWN;
  #looking: Promise<void> | null = null;
  #atMs = -Infinity;

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  /** What is known, at most 5 seconds old unless the disk hangs. Never rejects. */
  async read(): Promise<DiskUsage> {
    if (this.#looking === null && performance.now() - this.#atMs > KEPT_MS) {
      this.#atMs = performance.now();
      this.#looking = this.#look().finally(() => {
        this.#looking = null;
      });
    }
    if (this.#looking !== null) {
      const waiting = new AbortController();
      const tooLong = sleep(WAIT_MS, undefined, { signal: waiting.signal }).catch(() => undefined);
      await Promise.race([this.#looking, tooLong]);
      waiting.abort();
    }
    return this.#known;
  }

  async #look(): Promise<void> {
    const [letters, aside, disk] = await Promise.all([
      this.#sizesIn(DEAD_LETTERS).catch(() => null),
      this.#sizesIn(QUARANTINE).catch(() => null),
      statfs(this.#dir).catch(() => null),
    ]);
    this.#known = {
      deadLetterFiles: letters?.files ?? null,
      deadLetterBytes: letters?.bytes ?? null,
      quarantineFiles: aside?.files ?? null,
      quarantineBytes: aside?.bytes ?? null,
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
