/**
 * The append log: a directory of batch files, the only place where events rest. docs/append-log.md has the format.
 *
 * There is no ledger: the batch files that exist are what is pending, in the order of their names, and deleting one is the
 * checkpoint. A deletion is not flushed: a power cut that takes it back sends the batch again, as at least once allows.
 */
import { join, sep } from 'node:path';
import { ForebayError, systemCode } from '../../base/errors.js';
import type { AppendLogOptions } from './append-log-options.js';
import type { LogLines } from '../../base/reporter.js';
import { StoredBatch } from '../../seams/batch.js';
import type { Batch, DeletedBatch, SealedBatch } from '../../seams/batch.js';
import { BatchFile } from './batch-file.js';
import type { BatchSums } from './batch-sums.js';
import type { Fsync } from './batch-file.js';
import { keyOf } from './batch-key.js';
import { BatchNames, compareBatchNames } from './batch-name.js';
import { BatchReader } from './batch-reader.js';
import { DeadLetters } from './aside/dead-letters.js';
import { oldestBatchNames } from './directory-listing.js';
import type { Survey } from './directory-listing.js';
import { finishFile, flushLate, unlink } from './closing.js';
import type { DirectoryLock } from './directory-lock.js';
import { openDirectory } from './directory-opening.js';
import { PROBE_FILE, probeDisk } from './disk-probe.js';
import { diskBytes } from './disk-blocks.js';
import { DrainRate } from './drain-rate.js';
import { nodeFileSystem } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { FILE_BOUNDS } from './large-file.js';
import type { Piece } from './large-file.js';
import { LogCounts } from './log-counts.js';
import { NameFlush } from './directory-sync.js';
import { Quarantine } from './aside/quarantine.js';
import { RecentBatches } from './write-cache.js';
import { Reserve } from './reserve.js';
import { newRunId, runMark } from './run-mark.js';
import { sealedFiles, sumsOfBatches } from './sealed-files.js';
import type { KnownFiles } from './sealed-files.js';

/** A disk that failed may work again soon. */
const RETRY_AFTER_MS = 1000;

export class AppendLog extends LogCounts {
  readonly dir: string;
  readonly fsync: Fsync;
  /** The directory as it is told, with a separator at its end: `./append-log/`. */
  readonly #prefix: string;
  /** Of this run, at random. */
  readonly runId = newRunId();
  /** Goes into the first line of each file. */
  readonly runMark = runMark(this.runId);
  /** Events that the sink refused. */
  readonly deadLetters: DeadLetters;
  readonly #recent: RecentBatches;
  readonly #drainRate = new DrainRate();
  readonly #fs: FileSystem;
  readonly #lines: LogLines;
  readonly lock: DirectoryLock;
  readonly #names: BatchNames;
  readonly #nameFlush: NameFlush;
  readonly #quarantine: Quarantine;
  readonly #reader: BatchReader;
  readonly #reserve: Reserve;
  /** Also the sizes of leftover files that were not listed yet. */
  readonly #known: KnownFiles;
  /** Files being made or written, by name: they are no part of the backlog yet. */
  readonly #unsealed = new Map<string, BatchFile | null>();
  /** Sealed files whose failed end is not cut off yet: how many of their bytes are acknowledged. */
  readonly #uncut = new Map<string, number>();
  /** Sealed files that are not closed yet. */
  readonly #closing = new Set<Promise<void>>();
  readonly #flushTimer: NodeJS.Timeout | undefined;
  #closed: Promise<void> | null = null;

  /**
   * Locks the directory, making it if there is none, and looks at what an earlier run left.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`
   */
  static async open(options: AppendLogOptions): Promise<AppendLog> {
    const { dir, lines, fs = nodeFileSystem } = options;
    const { lock, found } = await openDirectory(fs, dir);
    for (const { code, text } of found.remarks) lines.warn(code, text);
    const log = new AppendLog(options, fs, lock, found);
    await log.#reserve.tryToHold();
    return log;
  }

  private constructor(options: AppendLogOptions, fs: FileSystem, lock: DirectoryLock, found: Survey) {
    super(found);
    this.dir = options.dir;
    this.#prefix = join(options.dir, sep);
    this.fsync = options.fsync;
    const bounds = options.fileBounds ?? FILE_BOUNDS;
    this.#recent = new RecentBatches(options.recentBytesMax ?? 0, bounds.wholeMax);
    this.#fs = fs;
    this.#lines = options.lines;
    this.lock = lock;
    this.#names = new BatchNames(found.newest);
    this.#nameFlush = new NameFlush(fs, options.dir);
    this.#reserve = new Reserve(fs, options.dir, this.#nameFlush);
    const confirmLock = async (): Promise<void> => lock.confirm();
    const names = { logDir: options.dir, logNames: this.#nameFlush };
    const parties = { ...names, fs, reserve: this.#reserve, confirmLock };
    this.#quarantine = new Quarantine(parties);
    const reading = { bounds, quarantine: this.#quarantine, confirmGone: async () => lock.confirm() };
    this.#reader = new BatchReader({ fs, dir: options.dir, lines: options.lines, ...reading });
    this.deadLetters = new DeadLetters(parties, options.deadLettersBytesMax ?? Infinity);
    const { sizes, newest: newestLeftover } = found;
    this.#known = { sizes, uncut: this.#uncut, newestLeftover, openedMs: performance.now() };
    if (typeof this.fsync === 'number') {
      this.#flushTimer = setInterval(() => {
        for (const file of this.#unsealed.values()) if (file !== null) void flushLate(file, this.#lines);
      }, this.fsync).unref();
    }
  }

  path(name: string): string {
    return `${this.#prefix}${name}`;
  }

  /** A new batch file, after all others in the order of delivery. @throws `LOG_DIR_LOST`; the system's error */
  async create(): Promise<BatchFile> {
    const name = this.#names.next();
    this.#unsealed.set(name, null); // before the name can be seen in the directory
    let file: BatchFile | null = null;
    try {
      await this.lock.confirmIfLost();
      const confirmName = this.#confirmName();
      file = await BatchFile.create(this.#fs, this.path(name), name, confirmName, this.fsync === 'always');
      if (this.fsync !== 'always') await this.lock.confirm();
      this.#unsealed.set(name, file);
      return file;
    } catch (error) {
      if (file !== null) await this.#finish(file);
      this.#unsealed.delete(name);
      const code = systemCode(error);
      if (code === 'EEXIST') return this.create(); // someone else has made a file of this name
      if (code === 'ENOENT') await this.lock.confirm();
      throw error;
    }
  }

  /** Tries what `create` and `append` do, and leaves nothing behind. @throws the system's error */
  async probe(bytes: number): Promise<void> {
    await this.lock.confirm();
    await this.#reserve.hold();
    await probeDisk(this.#fs, this.path(PROBE_FILE), this.#confirmName(), this.fsync === 'always', bytes);
  }

  /** How long it takes until so many bytes of `pendingBytes` are delivered, in milliseconds. */
  drainMs(bytes: number): number {
    return this.#drainRate.msFor(bytes);
  }

  /**
   * Appends events to a file. Resolves when they may be acknowledged.
   *
   * @throws ForebayError `LOG_FAILED`, `LOG_DIR_LOST` where they have left no trace, `IN_DOUBT` where they may have
   */
  async append(file: BatchFile, lines: Buffer, events: number): Promise<void> {
    try {
      if (this.#reserve.isOut) await this.#reserve.hold();
      await file.append(lines, events);
    } catch (cause) {
      await file.cut().catch(() => {
        throw new ForebayError('IN_DOUBT', { cause, retryAfterMs: RETRY_AFTER_MS });
      });
      if (cause instanceof ForebayError) throw cause;
      throw new ForebayError('LOG_FAILED', { cause, retryAfterMs: RETRY_AFTER_MS });
    }
    this.pendingEvents += events;
    this.pendingBytes += diskBytes(file.bytes) - diskBytes(file.bytes - lines.length);
    this.#recent.add(file, lines);
  }

  /**
   * Ends a file: nothing more is appended. Its acknowledged events are safe already, so nothing waits for the
   * file to be closed.
   *
   * @returns `null` where the file holds no acknowledged event; it is deleted then
   */
  seal(file: BatchFile): SealedBatch | null {
    const closing = this.#finish(file).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    if (file.events === 0) return null;
    this.#recent.seal(file);
    if (file.hasFailedEnd) this.#uncut.set(file.name, file.bytes);
    this.#unsealed.delete(file.name);
    const { name, bytes, events, bornMs } = file;
    return { name, acknowledgedBytes: bytes, events, fileBytes: bytes, bornMs, leftover: false, past: null };
  }

  /** Sealed batch files, oldest first: at most `most`, only names after this one, and only those that are asked for. */
  async list(
    after: string | null,
    most: number,
    isAskedFor = (_name: string): boolean => true,
  ): Promise<SealedBatch[]> {
    const isSealed = this.#sealedAfter(after);
    const wanted = (name: string): boolean => isSealed(name) && isAskedFor(name);
    const names = await oldestBatchNames(this.#fs, this.dir, wanted, most);
    return sealedFiles(this.#fs, this.dir, names, this.#known);
  }

  /** How many sealed batch files come after this name, and what they take. */
  async sums(after: string | null): Promise<BatchSums> {
    return sumsOfBatches(this.#fs, this.dir, this.#sealedAfter(after), this.#known);
  }

  /** As of now: a file that is made while the directory is read may show up in it. */
  #sealedAfter(after: string | null): (name: string) => boolean {
    const unsealed = new Set(this.#unsealed.keys());
    const newest = this.#names.last;
    return (name) =>
      !unsealed.has(name) &&
      compareBatchNames(name, newest) <= 0 &&
      (after === null || compareBatchNames(name, after) > 0);
  }

  /** Whether a batch is in memory still: to read it touches no file. */
  remembers({ name }: SealedBatch): boolean {
    return this.#recent.has(name);
  }

  /**
   * Reads a sealed batch. A torn end is dropped, damaged lines are set aside in the quarantine first.
   *
   * @throws the system's error where the file cannot be read or the damage not be set aside; `LOG_DIR_LOST`
   */
  async read(batch: SealedBatch): Promise<StoredBatch> {
    const { name, fileBytes } = batch;
    const recent = this.#recent.read(name);
    if (recent !== null) {
      return new StoredBatch({ name, key: keyOf(recent.runId, name, recent.bytes), ...recent }, fileBytes);
    }
    await this.lock.confirmIfLost();
    const read = await this.#reader.read(batch);
    const { events, bytes, pieces } = read;
    this.countRead(batch, read);
    return new StoredBatch({ name, key: keyOf(read.runId, name, bytes), events, bytes }, fileBytes, pieces);
  }

  /** Reads a piece of a large file that was read. It may have fewer events by now. @throws as `read` */
  async readPiece(batch: StoredBatch, piece: Piece): Promise<Batch> {
    await this.lock.confirmIfLost();
    return this.#reader.readPiece(batch, piece);
  }

  /** Keeps nothing of a batch in memory. */
  forget({ name }: SealedBatch): void {
    this.#recent.delete(name);
  }

  /** Deletes a batch file: its events are somewhere else now. One that is gone already is no error. @throws `LOG_DIR_LOST` */
  async delete({ name, events, fileBytes, deadLettered = 0 }: DeletedBatch): Promise<void> {
    // it may have left something behind that the server which has the lock would write again (new-copy.ts)
    if (deadLettered > 0 || !this.#recent.has(name)) await this.lock.confirm();
    else await this.lock.confirmIfLost();
    this.#recent.delete(name);
    if (!(await unlink(this.#fs, this.path(name)))) await this.lock.confirm();
    this.#uncut.delete(name);
    this.deadLetters.settled(name);
    this.pendingEvents -= events;
    const freed = diskBytes(fileBytes);
    this.pendingBytes -= freed;
    this.#drainRate.add(freed);
    void this.#reserve.tryToHold();
  }

  /** Closes what was sealed and gives the directory back. */
  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    clearInterval(this.#flushTimer);
    for (const part of [this.#quarantine, this.deadLetters, this.#reserve]) this.#closing.add(part.close());
    await Promise.all(this.#closing);
    await this.#nameFlush.close();
    await this.lock.release();
  }

  /** Makes the name of a file durable that is created now, in the directory that was opened. */
  #confirmName(): () => Promise<void> {
    const flush = this.#nameFlush.forNewName();
    return async () => void (await Promise.all([flush(), this.lock.confirm()]));
  }

  async #finish(file: BatchFile): Promise<void> {
    const flushes = typeof this.fsync === 'number';
    const { isCut, isDeleted } = await finishFile(file, this.path(file.name), flushes, this.#fs, this.#lines);
    if (isCut) this.#uncut.delete(file.name);
    if (isDeleted) this.#unsealed.delete(file.name);
  }
}
