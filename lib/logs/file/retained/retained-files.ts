/**
 * Settled batch files that are kept for a while instead of being deleted (`--retain`, `--retain-max`): in `retained/`, by a
 * rename instead of a deletion. They are not part of the log: never pending, and in the way of nothing. The oldest go first,
 * by age, by size, and if the disk has no room: an event is not refused while one of them could go. Nothing here may keep a
 * batch in the log: what cannot be kept is deleted, counted and reported.
 */
import { join } from 'node:path';
import { asError, systemCode } from '../../../base/errors.js';
import type { Reporter } from '../../../base/reporter.js';
import type { RetainedUsage, Retention } from '../../../seams/retention.js';
import { Subdirectory } from '../aside/subdirectory.js';
import type { SubdirectoryOwner } from '../aside/subdirectory.js';
import { unlink } from '../closing.js';
import { diskBytes } from '../disk-blocks.js';
import { callVoid, statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { isFull } from '../reserve.js';
import { LookPace } from '../look-pace.js';
import { isDiskLow } from './disk-room.js';
import { OldestFiles } from './oldest-files.js';
import { RETAINED, retainedName } from './retained-name.js';
import { RetainedCounts } from './retained-counts.js';

/** How often bounds are looked at, in milliseconds. The first time is after the start. */
const TICK_MS = 1000;
/** All files are counted again after this time, in milliseconds: someone may have moved some away. */
const LOOK_MS = 60_000;
/** On a full disk this much goes at once: at most this many files, or this many bytes. */
const GIVEN_FILES = 64;
const GIVEN_BYTES = 4 * 2 ** 20;
/** No name can say a later time. */
const LAST_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

export interface RetainedOptions extends Pick<
  SubdirectoryOwner,
  'fs' | 'logDir' | 'logNames' | 'confirmLock'
> {
  readonly reporter: Reporter;
  readonly retention: Retention | undefined;
}

const NONE: Retention = { ageMs: null, bytesMax: null };

export class RetainedFiles {
  readonly #options: RetainedOptions;
  readonly #fs: FileSystem;
  readonly #retention: Retention;
  readonly #dir: string;
  readonly #subdirectory: Subdirectory;
  readonly #oldest: OldestFiles;
  readonly #counts: RetainedCounts;
  readonly #pace = new LookPace(LOOK_MS);
  readonly #timer: NodeJS.Timeout;
  #isMade = false;
  #working: Promise<void> | null = null;
  #giving: Promise<boolean> | null = null;
  #isClosed = false;

  constructor(options: RetainedOptions) {
    const { fs, logDir, reporter } = options;
    this.#options = options;
    this.#fs = fs;
    this.#retention = options.retention ?? NONE;
    this.#dir = join(logDir, RETAINED);
    this.#subdirectory = new Subdirectory(options, RETAINED);
    this.#oldest = new OldestFiles(fs, logDir);
    this.#counts = new RetainedCounts(fs, logDir, reporter);
    this.#timer = setInterval(() => {
      this.#work();
    }, TICK_MS).unref();
  }

  get usage(): RetainedUsage {
    const { files, bytes, deleted, unkept } = this.#counts;
    return { files, bytes, oldestMs: this.#oldest.first?.settledMs ?? null, deleted, unkept };
  }

  /**
   * Takes a settled file off the log: keeps it, or deletes it if it has no events or is not to be kept. Nothing is flushed: if
   * a power cut undoes it, the batch is sent again.
   *
   * @returns whether it was there
   * @throws the system's error if it can be neither kept nor deleted
   */
  async take(name: string, events: number, fileBytes: number): Promise<boolean> {
    const path = join(this.#options.logDir, name);
    const { ageMs, bytesMax } = this.#retention;
    if (events > 0 && (ageMs !== null || bytesMax !== null)) {
      try {
        return await this.withRoom(async () => this.#keep(path, name, diskBytes(fileBytes)));
      } catch (error) {
        this.#counts.notKept(name, asError(error));
      }
    }
    return unlink(this.#fs, path);
  }

  /** Runs work on the disk, and again each time after retained files have made room. @throws the work's error */
  async withRoom<T>(work: () => Promise<T>): Promise<T> {
    for (;;) {
      try {
        return await work();
      } catch (error) {
        if (!isFull(error) || !(await this.giveWay())) throw error;
      }
    }
  }

  /** The disk is full: deletes some of the oldest files. @returns whether there were any */
  async giveWay(): Promise<boolean> {
    this.#giving ??= this.#give().finally(() => {
      this.#giving = null;
    });
    return this.#giving;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearInterval(this.#timer);
    this.#counts.stop();
    await this.#working;
    await this.#giving;
  }

  /** @returns whether the file was there */
  async #keep(path: string, name: string, bytes: number): Promise<boolean> {
    if (!this.#isMade) await this.#subdirectory.ensure();
    this.#isMade = true;
    const settledMs = Math.min(LAST_MS, Math.max(0, Date.now()));
    const file = await this.#freeName(name, settledMs);
    this.#counts.adds(file);
    try {
      await callVoid((done) => {
        this.#fs.rename(path, join(this.#dir, file), done);
      });
    } catch (error) {
      this.#counts.added(file, null);
      if (systemCode(error) !== 'ENOENT' || (await statsOf(this.#fs, path)) === null) {
        if (systemCode(error) === 'ENOENT') return false;
        throw error;
      }
      if ((await statsOf(this.#fs, this.#dir)) !== null) throw error;
      this.#isMade = false; // someone has moved the folder away
      return this.#keep(path, name, bytes);
    }
    this.#counts.added(file, bytes);
    this.#oldest.added(file);
    if ((this.#counts.bytes ?? 0) > (this.#retention.bytesMax ?? Infinity)) this.#work();
    return true;
  }

  /** A name may come again in a later run, also within a second if the clock was set back: nothing is overwritten. */
  async #freeName(name: string, settledMs: number): Promise<string> {
    for (let number = 1; ; number++) {
      const file = retainedName(name, settledMs, number);
      const plain = join(this.#dir, file.replace(/\.gz$/, ''));
      const there = await Promise.all([statsOf(this.#fs, plain), statsOf(this.#fs, `${plain}.gz`)]);
      if (there.every((stats) => stats === null)) return file;
    }
  }

  #work(): void {
    if (this.#isClosed || this.#working !== null) return;
    this.#working = this.#maintain()
      .catch((error: unknown) => {
        this.#counts.failed('be looked at', asError(error));
      })
      .finally(() => {
        this.#working = null;
      });
  }

  async #maintain(): Promise<void> {
    if (this.#pace.isDue) await this.#pace.look(async () => this.#counts.look());
    if (this.#counts.files !== 0) await this.#trim();
    this.#counts.report();
  }

  /** Deletes one file after the other until the bounds hold. */
  async #trim(): Promise<void> {
    const { ageMs, bytesMax } = this.#retention;
    while (!this.#isClosed) {
      const oldest = await this.#oldest.peek();
      if (oldest === null) return;
      let why: keyof RetainedUsage['deleted'];
      if ((this.#counts.bytes ?? 0) > (bytesMax ?? Infinity)) why = 'size';
      else if (ageMs !== null && oldest.settledMs + ageMs <= Date.now()) why = 'age';
      else if (await isDiskLow(this.#fs, this.#options.logDir)) why = 'disk';
      else return;
      if (!(await this.#deleteOldest(why))) return;
    }
  }

  async #give(): Promise<boolean> {
    const before = this.#counts.deletedBytes;
    let deleted = 0;
    for (let tries = 0; tries < GIVEN_FILES && this.#counts.deletedBytes < before + GIVEN_BYTES; tries++) {
      if ((await this.#oldest.peek().catch(() => null)) === null) break;
      if (await this.#deleteOldest('disk')) deleted++;
    }
    this.#counts.report();
    return deleted > 0;
  }

  /** @returns whether it is gone; if not, the log says why */
  async #deleteOldest(why: keyof RetainedUsage['deleted']): Promise<boolean> {
    const oldest = this.#oldest.shift();
    if (oldest === null) return true; // another call has it
    const path = join(this.#dir, oldest.file);
    try {
      await this.#options.confirmLock();
      const bytes = diskBytes((await statsOf(this.#fs, path))?.size ?? 0);
      if (await unlink(this.#fs, path)) this.#counts.deletedOne(why, bytes);
      return true;
    } catch (error) {
      this.#oldest.missed();
      this.#counts.failed('be deleted', asError(error));
      return false;
    }
  }
}
