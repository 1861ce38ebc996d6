import { asError, ForebayError, systemCode } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { PendingBatch } from '../../seams/batch.js';
import type { BatchEnd, BatchPart, Group, PartEnded } from '../../seams/event-log.js';
import { BatchFile } from './batch-file.js';
import type { Fsync } from './batch-file.js';
import type { BatchNames } from './batch-name.js';
import { writeMarkedLine } from './checksum.js';
import { finishFile, flushLate } from './closing.js';
import type { DirectoryLock } from './directory-lock.js';
import type { DirectorySync } from './directory-sync.js';
import type { FileSystem } from './file-system.js';
import type { Reserve } from './reserve.js';
import type { WriteCache } from './write-cache.js';

export interface GroupWriterOptions {
  readonly fs: FileSystem;
  readonly fsync: Fsync;
  readonly reporter: Reporter;
  readonly lock: DirectoryLock;
  readonly names: BatchNames;
  readonly directorySync: DirectorySync;
  readonly reserve: Reserve;
  readonly cache: WriteCache;
  /** Goes into the first line of each file. */
  readonly runMark: Buffer;
  readonly path: (name: string) => string;
  /** Acknowledged bytes of each sealed file whose failed end is not cut off yet. */
  readonly uncut: Map<string, number>;
  /** Called when events may be acknowledged. */
  readonly appended: (file: BatchFile, events: number, bytes: number) => void;
  /** Takes each batch when it is sealed, in the order of names. */
  readonly sealed: (batch: PendingBatch) => void;
}

/** A disk that failed may work again soon. */
const RETRY_AFTER_MS = 1000;

/**
 * Writes groups into batch files: one file for each batch, appended to and flushed before its events are acknowledged,
 * sealed when the batch ends. After a failed write or flush, its trace is cut off before its events are refused. The
 * file is given up with the events acknowledged before, and the next events get a new one.
 */
export class GroupWriter {
  /** Batches that ended, by the limit that ended them. */
  readonly sealedBy: Record<BatchEnd | 'failure', number> = {
    size: 0,
    bytes: 0,
    time: 0,
    stop: 0,
    failure: 0,
  };
  readonly #options: GroupWriterOptions;
  /** The file of the batch that has not ended yet. */
  #file: BatchFile | null = null;
  /** Files being created or written, by name: they are not part of the backlog yet. */
  readonly #unsealed = new Map<string, BatchFile | null>();
  /** Sealed files that are not closed yet. */
  readonly #closing = new Set<Promise<void>>();
  readonly #flushTimer: NodeJS.Timeout | undefined;

  constructor(options: GroupWriterOptions) {
    const { fsync, reporter } = options;
    this.#options = options;
    if (typeof fsync !== 'number') return;
    this.#flushTimer = setInterval(() => {
      for (const file of this.#unsealed.values()) if (file !== null) void flushLate(file, reporter);
    }, fsync).unref();
  }

  /** When the open file was created, in milliseconds of `performance.now()`; `null` if it has no events. */
  get openBornMs(): number | null {
    return this.#file !== null && this.#file.events > 0 ? this.#file.bornMs : null;
  }

  /** Files that are not part of the backlog yet. */
  get unsealed(): Iterable<string> {
    return this.#unsealed.keys();
  }

  /** The parts belong to different files, so they are written and flushed in parallel. See `EventLog.append`. */
  async write(group: Group, ended: PartEnded): Promise<void> {
    const files = await Promise.all(
      group.map((part, index) => this.#writePart(part, index === 0 ? this.#file : null, ended)),
    );
    this.#file = null;
    for (const [index, file] of files.entries()) {
      const end = group[index]?.end ?? null;
      if (file === null) continue;
      if (file.failed) this.seal(file, 'failure');
      else if (end !== null) this.seal(file, end);
      else this.#file = file;
    }
  }

  /** @returns the part's file, or `null`. Never throws: an error goes to `ended`. */
  async #writePart(part: BatchPart, open: BatchFile | null, ended: PartEnded): Promise<BatchFile | null> {
    let file = open?.failed === true ? null : open;
    if (open !== file && open !== null) this.seal(open, 'failure');
    if (part.events === 0) return file;
    try {
      file ??= await this.create();
      await this.append(file, logLines(part, file.bytes === 0 ? this.#options.runMark : null), part.events);
    } catch (thrown) {
      const cause = asError(thrown);
      const isKnown = cause instanceof ForebayError;
      const error = isKnown ? cause : new ForebayError('LOG_FAILED', { cause, retryAfterMs: RETRY_AFTER_MS });
      ended(part, error, null);
      return file;
    }
    ended(part, null, file.name);
    return file;
  }

  /** Creates a batch file, after all others in the order of delivery. @throws `LOG_DIR_LOST`; the system's error */
  async create(): Promise<BatchFile> {
    const { fs, fsync, lock, names, path } = this.#options;
    const name = names.next();
    this.#unsealed.set(name, null); // before the name is visible in the directory
    let file: BatchFile | null = null;
    try {
      await lock.confirmIfLost();
      const confirm = async (): Promise<void> => lock.confirm();
      const options = { name, flushName: this.confirmName(), confirm, flushes: fsync === 'always' };
      file = await BatchFile.create(fs, path(name), options);
      this.#unsealed.set(name, file);
      return file;
    } catch (error) {
      if (file !== null) await this.#finish(file);
      this.#unsealed.delete(name);
      const code = systemCode(error);
      if (code === 'EEXIST') return this.create(); // someone else has created a file of this name
      if (code === 'ENOENT') await lock.confirm();
      throw error;
    }
  }

  /** Makes the name of a file durable that is about to be created, in the directory that was opened. */
  confirmName(): () => Promise<void> {
    const { lock, directorySync } = this.#options;
    const flush = directorySync.forNewName();
    return async () => void (await Promise.all([flush(), lock.confirm()]));
  }

  /**
   * Appends lines to a file. Resolves when their events may be acknowledged.
   *
   * @throws ForebayError `LOG_FAILED`, `LOG_DIR_LOST` if they left no trace, `IN_DOUBT` if they may have
   */
  async append(file: BatchFile, lines: Buffer, events: number): Promise<void> {
    const { reserve, cache, appended } = this.#options;
    try {
      if (reserve.isOut) await reserve.hold();
      await file.append(lines, events);
    } catch (cause) {
      // no trace is left, or nobody knows (N4)
      await file.cut().catch(() => {
        throw new ForebayError('IN_DOUBT', { cause, retryAfterMs: RETRY_AFTER_MS });
      });
      if (cause instanceof ForebayError) throw cause;
      throw new ForebayError('LOG_FAILED', { cause, retryAfterMs: RETRY_AFTER_MS });
    }
    appended(file, events, lines.length);
    cache.add(file, lines);
  }

  /** Ends a file: nothing more is appended. Its acknowledged events are safe, so nothing waits for its closing. */
  seal(file: BatchFile, end: BatchEnd | 'failure'): PendingBatch | null {
    const { cache, uncut, reporter, sealed } = this.#options;
    const closing = this.#finish(file).finally(() => this.#closing.delete(closing));
    this.#closing.add(closing);
    const { name, bytes, events, bornMs } = file;
    if (events === 0) return null; // it is deleted
    cache.seal(file);
    if (file.hasFailedEnd) uncut.set(name, bytes);
    this.#unsealed.delete(name);
    this.sealedBy[end]++;
    reporter.batch({ what: 'sealed', batch: name, events });
    const batch = {
      name,
      events,
      logBytes: bytes,
      isAcknowledged: true,
      bornMs,
      leftover: false,
      past: null,
    };
    sealed(batch);
    return batch;
  }

  /** Resolves when all sealed files are closed. */
  async close(): Promise<void> {
    clearInterval(this.#flushTimer);
    await Promise.all(this.#closing);
  }

  async #finish(file: BatchFile): Promise<void> {
    const { fs, fsync, reporter, path, uncut } = this.#options;
    const { isCut, isDeleted } = await finishFile(
      file,
      path(file.name),
      typeof fsync === 'number',
      fs,
      reporter,
    );
    if (isCut) uncut.delete(file.name);
    if (isDeleted) this.#unsealed.delete(file.name);
  }
}

/**
 * One buffer for one write. It is a copy even for a single request, whose whole memory would be held otherwise.
 *
 * @param run the mark of the run, for the first lines of a file
 */
function logLines({ ranges, bytes }: BatchPart, run: Buffer | null): Buffer {
  const joined = Buffer.allocUnsafe(bytes + (run?.length ?? 0));
  let at = 0;
  for (const { request, from, to } of ranges) {
    const { block } = request;
    for (let index = from; index < to; index++) {
      const mark = at === 0 ? run : null;
      at = writeMarkedLine(joined, at, block.bytes, block.startOf(index), block.startOf(index + 1), mark);
    }
  }
  return joined;
}
