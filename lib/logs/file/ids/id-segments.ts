import { join } from 'node:path';
import { asError, ForebayError } from '../../../base/errors.js';
import { Outage } from '../../../base/outage.js';
import type { Reporter } from '../../../base/reporter.js';
import type { IdStore } from '../../../seams/id-store.js';
import { Subdirectory } from '../aside/subdirectory.js';
import type { SubdirectoryOwner } from '../aside/subdirectory.js';
import type { Fsync } from '../batch-file.js';
import { unlink } from '../closing.js';
import { readAll } from '../file-system.js';
import type { FileIds } from './file-ids.js';
import { readSegment } from './id-record.js';
import type { IdRecord } from './id-record.js';
import { checkOf, newSecret, openSecret, SECRET_FILE } from './id-secret.js';
import { LeftCopies, removeCopies } from './left-copies.js';
import { SegmentFile } from './segment-file.js';
import type { SegmentSums } from './segment-file.js';
import { giveRecords, readSegmentFile, windowFiles } from './segment-reading.js';
import type { SegmentReading } from './segment-reading.js';
import { ID_WINDOW, SegmentNames } from './segment-name.js';

/** A segment ends at this many ids, or at this share of the longest window, so that it can be dropped in time. */
const SEGMENT_IDS = 65_536;
const SEGMENT_SHARE = 1 / 16;
/** Ids wait for each other at most this long for one flush, in milliseconds, unless a deletion waits for them. */
const GATHER_MS = 100;

export interface IdSegmentsOptions extends SubdirectoryOwner {
  readonly reporter: Reporter;
  readonly fsync: Fsync;
  /** The longest window, in milliseconds. */
  readonly windowMs: number;
  /** The names of the sources. */
  readonly sources: readonly string[];
  /** How many ids of each the window holds at most. */
  readonly idsMax: number;
}

/** Segments may hold this many times the ids of the window. */
const MANY = 2;

interface Waiting {
  readonly record: IdRecord;
  readonly written: Promise<void>;
  readonly tell: () => void;
}

/**
 * Keeps the ids of sealed batch files, so that they outlive the files. A batch file has its ids itself (id-mark.ts), so no
 * event waits for this. Before it is deleted its ids are in a segment, flushed: many files share a flush. If a segment
 * cannot be written, files are deleted all the same: their events may be stored twice after a restart, and the log says so.
 */
export class IdSegments implements IdStore {
  /** Writes that failed. */
  failures = 0;
  readonly #options: IdSegmentsOptions;
  readonly #dir: Subdirectory;
  readonly copies: LeftCopies;
  readonly #failing: Outage;
  #secret = newSecret();
  #names = new SegmentNames(null);
  /** Segments that are no longer written, oldest first. */
  readonly #sealed: SegmentSums[] = [];
  #open: SegmentFile | null = null;
  /** Records that are not written yet, by the name of their file. */
  readonly #waiting = new Map<string, Waiting>();
  #queue: Waiting[] = [];
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  /** The batch files that are in segments of earlier runs, and records of those that are in none. */
  readonly #recorded = new Set<string>();
  #found: IdRecord[] = [];

  constructor(options: IdSegmentsOptions) {
    this.#options = options;
    this.#dir = new Subdirectory(options, ID_WINDOW);
    this.copies = new LeftCopies(options);
    this.#failing = new Outage(options.reporter, null);
  }

  /** Whether ids are flushed before their file is deleted. */
  get flushes(): boolean {
    return this.#options.fsync !== 'never';
  }

  get secret(): Uint8Array {
    return this.#secret;
  }

  /** The names of the batch files whose ids are in segments. */
  get recorded(): ReadonlySet<string> {
    return this.#recorded;
  }

  get #reading(): SegmentReading {
    return { ...this.#options, dir: this.#dir.path, secret: this.#secret, flushes: this.flushes };
  }

  /** Opens the secret and reads the segments of earlier runs. Never rejects. */
  async open(): Promise<void> {
    const { fs, confirmLock } = this.#options;
    const { path } = this.#dir;
    try {
      await this.#dir.ensure();
      const { segments: names, copies: left } = await windowFiles(fs, path);
      await removeCopies(fs, path, left, confirmLock);
      const { secret, isLeft } = await openSecret(fs, path);
      this.#secret = secret;
      this.#names = new SegmentNames(names.at(-1) ?? null);
      // a run may have been killed at a flush of these; the segments before it had ended
      const inDoubt = [...(isLeft ? [SECRET_FILE] : []), ...names.slice(-1)];
      // if that fails, what they hold is right all the same, and may not outlive a power cut
      const failed = (error: unknown): void => {
        this.#failed(error);
      };
      if (this.flushes) await this.copies.replaceAll(path, inDoubt, failed);
      for (const name of names) {
        const read = await readSegmentFile(this.#reading, name);
        if (read === null) continue;
        this.#sealed.push(read.sums);
        for (const { file } of read.records) this.#recorded.add(file);
      }
    } catch (error) {
      this.#failed(error);
    }
  }

  /** Ids of batch files that were found in no segment. They are written, too. */
  found(file: string, atMs: number, ids: FileIds): void {
    this.#found.push({ file, atMs, ids });
  }

  async recall(each: (source: string, words: Uint32Array, atMs: number) => void): Promise<void> {
    const give = ({ atMs, ids }: IdRecord): void => {
      for (const [source, words] of ids) each(source, words, atMs);
    };
    // one at a time: all together they would take as much memory again
    for (const { name, ids } of this.#sealed) if (ids > 0) await giveRecords(this.#reading, name, give);
    for (const record of this.#found) {
      give(record);
      this.#enqueue(this.#await(record));
    }
    this.#found = [];
    this.#recorded.clear();
    await this.#settled(); // what is written and dropped is so in one place
  }

  /**
   * The ids of a batch file that was sealed.
   *
   * @param flushed resolves to whether its events are flushed: before that their ids are not written, and after a failure
   *   never; `null`: they are
   */
  add(file: string, ids: FileIds, flushed: Promise<boolean> | null = null): void {
    const waiting = this.#await({ file, atMs: Date.now(), ids });
    if (flushed === null) this.#enqueue(waiting);
    else
      void flushed.then((isFlushed) => {
        if (isFlushed) this.#enqueue(waiting);
        else this.#tell(waiting);
      });
  }

  #await(record: IdRecord): Waiting {
    let tell = (): void => undefined;
    const written = new Promise<void>((resolve) => {
      tell = resolve;
    });
    const waiting = { record, written, tell };
    this.#waiting.set(record.file, waiting);
    return waiting;
  }

  #tell({ record, tell }: Waiting): void {
    this.#waiting.delete(record.file);
    tell();
  }

  #enqueue(waiting: Waiting): void {
    this.#queue.push(waiting);
    this.#timer ??= setTimeout(() => this.#write(), GATHER_MS);
  }

  /** Called before a batch file is deleted. Resolves when its ids outlive it, or if that failed. */
  async confirm(file: string): Promise<void> {
    const waiting = this.#waiting.get(file);
    if (waiting === undefined) return;
    this.#write();
    await waiting.written;
  }

  /** Writes all that waits, and drops what is too old. */
  async #settled(): Promise<void> {
    this.#write();
    while (this.#running !== null) await this.#running;
  }

  /** Writes what waits, with what comes until the running write has ended. */
  #write(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    this.#running ??= this.#writeAll().finally(() => {
      this.#running = null;
      if (this.#queue.length > 0) this.#write(); // it came when the last was written
    });
  }

  async #writeAll(): Promise<void> {
    while (this.#queue.length > 0) {
      const all = this.#queue;
      this.#queue = [];
      try {
        await this.#append(all.map(({ record }) => record));
        this.#failing.end('The id window is written again');
      } catch (error) {
        await this.#endSegment();
        this.#failed(error);
      }
      for (const each of all) this.#tell(each);
    }
    await this.#drop();
  }

  async #append(records: readonly IdRecord[]): Promise<void> {
    const { fs, windowMs } = this.#options;
    const open = this.#open;
    if (open !== null && (open.ids >= SEGMENT_IDS || open.ageMs >= windowMs * SEGMENT_SHARE))
      await this.#endSegment();
    if (this.#open === null) {
      await this.#options.confirmLock();
      await this.#dir.ensure();
      const name = this.#names.next();
      this.#open = await SegmentFile.create(fs, join(this.#dir.path, name), name, this.flushes);
    }
    await this.#open.append(records, checkOf(this.#secret));
  }

  async #endSegment(): Promise<void> {
    const open = this.#open;
    if (open === null) return;
    this.#open = null;
    this.#sealed.push(open);
    await open.close();
  }

  /**
   * Deletes segments whose ids are too old. If there are many, those of a source that has enough newer ones go, too: what is
   * left of the oldest segment is written again.
   */
  async #drop(): Promise<void> {
    const { fs, windowMs, idsMax, sources, confirmLock } = this.#options;
    for (let first = this.#sealed[0]; first !== undefined; first = this.#sealed[0]) {
      const isOld = Date.now() - first.newestMs >= windowMs;
      const others = [...this.#sealed.slice(1), ...(this.#open === null ? [] : [this.#open])];
      const isMany = others.reduce((all, { ids }) => all + ids, 0) >= MANY * idsMax * sources.length;
      if (!isOld && !isMany) return;
      const isNeeded = (source: string): boolean =>
        sources.includes(source) && others.reduce((all, each) => all + each.idsOf(source), 0) < idsMax;
      if (!isOld && first.sources.some(isNeeded)) {
        if (!(await this.#writeAgain(first, isNeeded))) return;
      }
      this.#sealed.shift();
      try {
        await confirmLock();
        await unlink(fs, join(this.#dir.path, first.name));
      } catch (error) {
        this.#failed(error); // it is dropped at the next start
      }
    }
  }

  /** @returns whether it succeeded */
  async #writeAgain({ name }: SegmentSums, isNeeded: (source: string) => boolean): Promise<boolean> {
    try {
      const { records } = readSegment(await readAll(this.#options.fs, join(this.#dir.path, name), null));
      const needed = records.map((record) => ({ ...record, ids: record.ids.of(isNeeded) }));
      await this.#append(needed.filter(({ ids }) => ids.length > 0));
      return true;
    } catch (error) {
      await this.#endSegment();
      this.#failed(error);
      return false;
    }
  }

  #failed(thrown: unknown): void {
    this.failures++;
    const cause = asError(thrown);
    if (!this.#failing.met(new ForebayError('ID_WINDOW_FAILED', { cause }))) return;
    const text = `The id window in ${this.#dir.path} cannot be written: events that come again after a restart may be stored twice`;
    this.#options.reporter.error('ID_WINDOW_FAILED', text, cause);
  }

  /** Writes what waits. Never rejects. */
  async close(): Promise<void> {
    await this.#settled();
    await this.#endSegment();
  }
}
