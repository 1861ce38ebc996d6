/**
 * Settled batch files that are kept for a while instead of being deleted (`--retain`, `--retain-max`): in `retained/`, by a
 * rename instead of a deletion. They are not part of the log: never pending, and in the way of nothing. The oldest go first,
 * by age, by size, and if the disk has no room: an event is not refused while one of them could go. Nothing here may keep a
 * batch in the log: what cannot be kept is deleted, counted and reported.
 */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { asError, systemCode } from '../../../base/errors.js';
import type { Reporter } from '../../../base/reporter.js';
import type { RetainedUsage, Retention } from '../../../seams/retention.js';
import { Subdirectory } from '../aside/subdirectory.js';
import type { SubdirectoryOwner } from '../aside/subdirectory.js';
import type { Ending } from '../compressed/batch-file-name.js';
import type { Compressor } from '../compressed/compressor.js';
import { hasBatchFile, inAnyForm, unlinkBatch } from '../compressed/forms.js';
import { diskBytes } from '../disk-blocks.js';
import { Exclusive } from '../exclusive.js';
import { call, callVoid, statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { isFull } from '../reserve.js';
import { LookPace } from '../look-pace.js';
import { isDiskLow } from './disk-room.js';
import { OldestFiles } from './oldest-files.js';
import { RetainedCompression } from './retained-compression.js';
import { RETAINED, retainedName, uncompressed } from './retained-name.js';
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
  /** `null`: nothing is compressed. */
  readonly compressor: Compressor | null;
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
  readonly #compression: RetainedCompression | null;
  /** A file changes its form, or goes. */
  readonly #changes = new Exclusive();
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
    const { compressor } = options;
    const changes = this.#changes;
    const shrunk = (from: number, to: number): void => this.#counts.changed(to - from);
    this.#compression = compressor && new RetainedCompression({ ...options, compressor, changes, shrunk });
    this.#timer = setInterval(() => {
      this.#work();
    }, TICK_MS).unref();
  }

  get usage(): RetainedUsage {
    const { files, bytes, deleted, unkept } = this.#counts;
    return { files, bytes, oldestMs: this.#oldest.first?.settledMs ?? null, deleted, unkept };
  }

  /**
   * Takes a settled batch off the log: keeps its file, or deletes it if it has no events or is not to be kept. Nothing is
   * flushed: if a power cut undoes it, the batch is sent again.
   *
   * @param counting the form that counts if the file is there twice
   * @returns what became of it; `gone`: it was not there
   * @throws the system's error if it can be neither kept nor deleted
   */
  async take(
    name: string,
    events: number,
    fileBytes: number,
    counting: Ending | '' | null = null,
  ): Promise<'retained' | 'deleted' | 'gone'> {
    const { ageMs, bytesMax } = this.#retention;
    let isKept = false;
    if (events > 0 && (ageMs !== null || bytesMax !== null)) {
      const keep = async (ending: Ending | ''): Promise<void> =>
        this.#keep(`${name}${ending}`, diskBytes(fileBytes));
      try {
        await this.withRoom(async () => inAnyForm(counting ?? '', keep));
        isKept = true;
      } catch (error) {
        // what is missing may be the folder: a link to a volume that is not mounted
        const isGone =
          systemCode(error) === 'ENOENT' && !(await hasBatchFile(this.#fs, this.#options.logDir, name));
        if (!isGone) this.#counts.notKept(name, asError(error));
      }
    }
    if (isKept && counting === null) return 'retained';
    const path = join(this.#options.logDir, name);
    const wasThere = await unlinkBatch(this.#fs, path, counting !== null);
    if (isKept) return 'retained';
    return wasThere ? 'deleted' : 'gone';
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

  /** @throws the system's error; `ENOENT` if the file is gone */
  async #keep(name: string, bytes: number): Promise<void> {
    if (!this.#isMade) await this.#subdirectory.ensure();
    this.#isMade = true;
    const file = await this.#freeName(name);
    this.#counts.adds(file);
    try {
      await callVoid((done) => {
        this.#fs.rename(join(this.#options.logDir, name), join(this.#dir, file), done);
      });
    } catch (error) {
      this.#counts.added(file, null);
      if (systemCode(error) !== 'ENOENT' || (await statsOf(this.#fs, this.#dir)) !== null) throw error;
      this.#isMade = false; // someone has moved the folder away
      await this.#keep(name, bytes);
      return;
    }
    this.#counts.added(file, bytes);
    this.#oldest.added(file);
    this.#compression?.offer(file, bytes);
    if ((this.#counts.bytes ?? 0) > (this.#retention.bytesMax ?? Infinity)) this.#work();
  }

  /** A name may come again in a later run, also within a second if the clock was set back: nothing is overwritten. */
  async #freeName(name: string): Promise<string> {
    const settledMs = Math.min(LAST_MS, Math.max(0, Date.now()));
    for (let number = 1; ; number++) {
      const file = retainedName(name, settledMs, number);
      if (!(await hasBatchFile(this.#fs, this.#dir, uncompressed(file)))) return file;
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
    if (this.#pace.isDue)
      await this.#pace.look(async () => {
        await this.#counts.look((file, bytes) => this.#compression?.found(file, bytes));
        await this.#compression?.begin();
      });
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
    const path = join(this.#dir, uncompressed(oldest.file));
    try {
      await this.#options.confirmLock();
      await this.#changes.run(async () => {
        const bytes = await this.#sizeOf(path);
        if (await unlinkBatch(this.#fs, path, true)) this.#counts.deletedOne(why, diskBytes(bytes));
      });
      return true;
    } catch (error) {
      this.#oldest.missed();
      this.#counts.failed('be deleted', asError(error));
      return false;
    }
  }

  /** Of a file in any form; 0 if it is gone. */
  async #sizeOf(path: string): Promise<number> {
    return inAnyForm('', async (ending) => {
      const { size } = await call<Stats>((done) => {
        this.#fs.lstat(`${path}${ending}`, done);
      });
      return size;
    }).catch((error: unknown) => {
      if (systemCode(error) === 'ENOENT') return 0;
      throw error;
    });
  }
}
