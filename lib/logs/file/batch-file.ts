import { constants } from 'node:fs';
import type { BatchStart } from './batches-in-file.js';
import { call, callVoid, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';
import type { BatchPart } from '../../seams/event-log.js';
import { FileIds } from './ids/file-ids.js';

/** When written bytes are flushed to the device: before each acknowledgement, at an interval in milliseconds, or never. */
export type Fsync = 'always' | 'never' | number;

export interface BatchFileOptions {
  readonly name: string;
  /** Makes the name of the new file durable, in the directory that was opened. */
  readonly flushName: () => Promise<void>;
  /** Checks that the directory is the one that was opened. @throws ForebayError `LOG_DIR_LOST` */
  readonly confirm: () => Promise<void>;
  /** Whether an append is flushed before it is acknowledged. */
  readonly flushes: boolean;
  /** Whether it may hold several batches. */
  readonly isShared: boolean;
}

/**
 * The one batch file that is being written. It is never read while it is open. After a failed write or flush it is not
 * written again: the system may report the next flush as a success although the bytes are gone (fsync(2),
 * "fsyncgate"). Bytes that were appended before stay good.
 */
export class BatchFile {
  readonly name: string;
  readonly fd: number;
  /** When it was created, in milliseconds of `performance.now()`. */
  readonly bornMs = performance.now();
  /** The acknowledged bytes, from the start of the file. */
  bytes = 0;
  /** The events in these bytes. */
  events = 0;
  /** The batches that have ended, and the events of the one that has not. */
  batches = 0;
  openEvents = 0;
  /** Where each batch starts in its lines. */
  readonly starts: BatchStart[] = [];
  /** The ids of its events, as far as their sources have a window. */
  ids: FileIds | null = null;
  /** Whether a write or flush failed: nothing more is appended. */
  failed = false;
  /** Whether bytes that were not acknowledged may follow the others. */
  hasFailedEnd = false;
  readonly #fs: FileSystem;
  readonly #options: BatchFileOptions;
  #named = false;
  #unflushed = false;
  /** The running flush, if there is one: the file is not closed during it. */
  #flushing: Promise<void> = Promise.resolve();

  private constructor(fs: FileSystem, fd: number, options: BatchFileOptions) {
    this.#fs = fs;
    this.fd = fd;
    this.name = options.name;
    this.#options = options;
  }

  get isShared(): boolean {
    return this.#options.isShared;
  }

  static async create(fs: FileSystem, path: string, options: BatchFileOptions): Promise<BatchFile> {
    const dsync = options.flushes ? fs.dsync : 0;
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | dsync;
    const fd = await call<number>((done) => {
      fs.open(path, flags, 0o640, done);
    });
    // while it is open, a second server that somehow uses the directory leaves it alone
    fs.tryLock(fd);
    return new BatchFile(fs, fd, options);
  }

  /**
   * Appends lines. Resolves when they may be acknowledged: on the device, or only written.
   *
   * @param lines whole lines, each with its line break
   */
  async append(lines: Buffer, events: number): Promise<void> {
    try {
      const writing = writeAll(this.#fs, this.fd, lines, this.bytes);
      const { flushes, confirm } = this.#options;
      if (flushes && this.#fs.dsync !== 0) {
        await this.#withName(writing);
      } else {
        // during the first write, as nobody waits for the name here, whose flush checks the directory otherwise
        await (flushes || this.bytes > 0 ? writing : bothDone(writing, confirm()));
        this.#unflushed = true;
        if (flushes) await this.flush();
      }
    } catch (error) {
      this.failed = true;
      this.hasFailedEnd = true;
      throw error;
    }
    this.bytes += lines.length;
    this.events += events;
  }

  /** Keeps the ids of events that were appended. @param events of all parts */
  addIds(parts: readonly BatchPart[], events: number): void {
    for (const { ranges } of parts) {
      for (const { request, from, to } of ranges) {
        const { ids } = request.block;
        if (ids !== null) (this.ids ??= new FileIds(events)).add(ids, from, to);
      }
    }
  }

  /** Flushes what was appended, and the first time also the file's name. */
  async flush(): Promise<void> {
    if (!this.#unflushed) return;
    this.#unflushed = false;
    try {
      this.#flushing = this.#withName(this.#flushData());
      await this.#flushing;
    } catch (error) {
      this.failed = true;
      throw error;
    }
  }

  /** Cuts off bytes that were written and not acknowledged, so that they do not come back after a crash. */
  async cut(): Promise<void> {
    await callVoid((done) => {
      this.#fs.ftruncate(this.fd, this.bytes, done);
    });
    await this.#flushData();
    this.hasFailedEnd = false;
  }

  async close(): Promise<void> {
    await this.#flushing.catch(() => undefined);
    await callVoid((done) => {
      this.#fs.close(this.fd, done);
    });
  }

  /** Waits for a flush of the data, and the first time also for one of the file's name (N3). */
  async #withName(data: Promise<void>): Promise<void> {
    await (this.#named ? data : bothDone(data, this.#options.flushName()));
    this.#named = true;
  }

  async #flushData(): Promise<void> {
    await callVoid((done) => {
      this.#fs.fdatasync(this.fd, done);
    });
  }
}

/** Waits for both to end: a file is not closed while a flush of it still runs. */
async function bothDone(a: Promise<void>, b: Promise<void>): Promise<void> {
  for (const result of await Promise.allSettled([a, b])) {
    if (result.status === 'rejected') throw result.reason;
  }
}
