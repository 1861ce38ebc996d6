import type { StatsFs } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { DEAD_LETTERS, isDeadLetterFile } from './aside/letter-files.js';
import { filesIn } from './plain-files.js';
import { call } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { LookPace } from './look-pace.js';
import { newestLetters } from './aside/newest-letters.js';
import type { LogSpace } from '../../seams/event-log.js';
import { QUARANTINE } from './aside/quarantine.js';

const UNKNOWN: LogSpace = {
  deadLetterFiles: null,
  deadLetterBytes: null,
  quarantineFiles: null,
  quarantineBytes: null,
  freeBytes: null,
  sizeBytes: null,
  freeInodes: null,
  inodes: null,
  newestLetters: null,
};

/** Reading the sizes of 10,000 files takes about 100 ms, so they are kept for a while. */
const KEPT_MS = 5000;
/** How long to wait for a disk that hangs. */
const WAIT_MS = 1000;

/** Reads the disk at most once in 5 seconds for all callers, and less often if it has very many files. */
export class DiskUsageReader {
  readonly #fs: FileSystem;
  readonly #dir: string;
  #known = UNKNOWN;
  #looking: Promise<void> | null = null;
  readonly #pace = new LookPace(KEPT_MS);

  constructor(fs: FileSystem, dir: string) {
    this.#fs = fs;
    this.#dir = dir;
  }

  /** The last known values, at most 5 seconds old unless the disk hangs or has very many files. Never rejects. */
  async read(): Promise<LogSpace> {
    if (this.#pace.isDue) {
      this.#looking = this.#pace
        .look(async () => this.#look())
        .finally(() => {
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
      filesIn(this.#fs, join(this.#dir, DEAD_LETTERS), isDeadLetterFile).catch(() => null),
      filesIn(this.#fs, join(this.#dir, QUARANTINE), (name) => !name.startsWith('.')).catch(() => null),
      call<StatsFs>((done) => {
        this.#fs.statfs(this.#dir, done);
      }).catch(() => null),
    ]);
    const newest = letters?.files === 0 ? [] : await newestLetters(this.#fs, this.#dir).catch(() => null);
    this.#known = {
      deadLetterFiles: letters?.files ?? null,
      deadLetterBytes: letters?.bytes ?? null,
      quarantineFiles: aside?.files ?? null,
      quarantineBytes: aside?.bytes ?? null,
      freeBytes: disk === null ? null : disk.bavail * disk.bsize,
      sizeBytes: disk === null ? null : disk.blocks * disk.bsize,
      freeInodes: disk === null || disk.files === 0 ? null : disk.ffree,
      inodes: disk === null || disk.files === 0 ? null : disk.files,
      newestLetters: newest,
    };
  }
}
