import { asError, ForebayError, systemCode } from '../../base/errors.js';
import type { Reporter } from '../../base/reporter.js';
import type { PendingBatch } from '../../seams/batch.js';
import type { BatchEnd, BatchPart, Group, PartEnded } from '../../seams/event-log.js';
import { BatchFile } from './batch-file.js';
import type { Fsync } from './batch-file.js';
import type { BatchNames } from './batch-name.js';
import { finishFile, flushLate } from './closing.js';
import type { DirectoryLock } from './directory-lock.js';
import type { DirectorySync } from './directory-sync.js';
import type { FilePace } from './file-pace.js';
import { linesOf, partsInFiles } from './file-part.js';
import type { FilePart } from './file-part.js';
import { identityAt } from './file-identity.js';
import type { FileSystem } from './file-system.js';
import type { IdSegments } from './ids/id-segments.js';
import { isFull } from './reserve.js';
import type { Reserve } from './reserve.js';
import type { RetainedFiles } from './retained/retained-files.js';
import { batchMark, runMark } from './run-mark.js';
import type { WriteCache } from './write-cache.js';

export interface GroupWriterOptions {
  readonly fs: FileSystem;
  readonly fsync: Fsync;
  readonly reporter: Reporter;
  readonly lock: DirectoryLock;
  readonly names: BatchNames;
  readonly directorySync: DirectorySync;
  readonly reserve: Reserve;
  readonly retained: Pick<RetainedFiles, 'giveWay'>;
  readonly cache: WriteCache;
  /** Keeps the ids of sealed files; `null`: no source has a window. */
  readonly ids: Pick<IdSegments, 'add'> | null;
  /** The random id of this run. */
  readonly runId: string;
  readonly pace: FilePace;
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
 * Writes groups into batch files: each is appended to and flushed before its events are acknowledged, and sealed when its
 * batch ends, or a later one while batches come fast (file-pace.ts). After a failed write or flush, its trace is cut off before its
 * events are refused. The file is given up with the events acknowledged before, and the next events get a new one.
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
  /** Goes into the first line of a file, and of each batch in a file of several. */
  readonly #runMark: Buffer;
  readonly #batchMark: Buffer;
  /** The file that goes on: its batch has not ended, or more batches are to come. */
  #file: BatchFile | null = null;
  /** Files being created or written, by name: they are not part of the backlog yet. */
  readonly #unsealed = new Map<string, BatchFile | null>();
  /** Sealed files that are not closed yet. */
  readonly #closing = new Set<Promise<void>>();
  readonly #flushTimer: NodeJS.Timeout | undefined;
  /** Seals the open file if no more batches come. */
  #restTimer: NodeJS.Timeout | null = null;
  #isWriting = false;

  constructor(options: GroupWriterOptions) {
    const { fsync, reporter, runId } = options;
    this.#options = options;
    this.#runMark = runMark(runId);
    this.#batchMark = batchMark(runId);
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

  /** Different files are written and flushed in parallel. See `EventLog.append`. */
  async write(group: Group, ended: PartEnded): Promise<void> {
    if (this.#file?.failed === true) this.#sealOpen('failure');
    this.#isWriting = true;
    const startMs = performance.now();
    let inFiles = partsInFiles(group, this.#file, this.#options.pace);
    while (inFiles.length > 0) {
      const again = await Promise.all(inFiles.map(async (part) => this.#writePart(part, ended)));
      const left = again.filter((part) => part !== null);
      this.#file = null;
      for (const { file, parts, isLast } of inFiles) {
        if (file === null) continue;
        // files are sealed in the order of their names, and new ones come after this
        if (file.failed || (!isLast && left.length > 0)) this.seal(file, 'failure');
        else if (isLast) this.seal(file, parts.at(-1)?.end ?? 'time');
        else this.#file = file;
      }
      inFiles = left;
    }
    this.#isWriting = false;
    this.#options.pace.took(performance.now() - startMs);
    this.#watchRest();
  }

  /** Never throws: an error goes to `ended`. @returns what is to be written again, as a full disk has room now */
  async #writePart(part: FilePart, ended: PartEnded): Promise<FilePart | null> {
    const tell = (error: ForebayError | null, batch: string | null): void => {
      for (const each of part.parts) if (each.events > 0) ended(each, error, batch);
    };
    if (part.events > 0) {
      try {
        part.file ??= await this.create(part.isShared);
        const mark = part.file.isShared ? this.#batchMark : this.#runMark;
        const { lines, starts } = linesOf(part, part.file, mark);
        await this.append(part.file, lines, part.events);
        part.file.starts.push(...starts);
        part.file.addIds(part.parts, part.events);
      } catch (thrown) {
        const cause = asError(thrown);
        const isKnown = cause instanceof ForebayError;
        const error = isKnown
          ? cause
          : new ForebayError('LOG_FAILED', { cause, retryAfterMs: RETRY_AFTER_MS });
        const hasTrace = error.code !== 'LOG_FAILED';
        if (!hasTrace && isFull(error.cause) && (await this.#options.retained.giveWay()))
          return { ...part, file: null };
        tell(error, null);
        return null;
      }
    }
    if (part.file !== null) this.#countBatches(part.file, part.parts);
    tell(null, part.file?.name ?? null);
    return null;
  }

  #countBatches(file: BatchFile, parts: readonly BatchPart[]): void {
    for (const { events, end } of parts) {
      file.openEvents += events;
      if (end !== null) this.#endBatch(file, end);
    }
  }

  #endBatch(file: BatchFile, end: BatchEnd | 'failure'): void {
    if (file.openEvents === 0) return;
    file.openEvents = 0;
    file.batches++;
    this.sealedBy[end]++;
  }

  /** Complete batches are not kept waiting for one that comes slowly: its rest goes into another file. */
  #watchRest(): void {
    const { pace } = this.#options;
    if (this.#restTimer !== null || (this.#file?.batches ?? 0) === 0) return;
    this.#restTimer = setTimeout(() => {
      this.#restTimer = null;
      if (!this.#isWriting && pace.restMs === 0) this.#sealOpen('time');
      else if (!this.#isWriting) this.#watchRest();
    }, Math.ceil(pace.restMs));
  }

  #sealOpen(end: BatchEnd | 'failure'): void {
    const file = this.#file;
    this.#file = null;
    if (file !== null) this.seal(file, end);
  }

  /** Creates a batch file, after all others in the order of delivery. @throws `LOG_DIR_LOST`; the system's error */
  async create(isShared = false): Promise<BatchFile> {
    const { fs, fsync, lock, names, path } = this.#options;
    const name = names.next();
    this.#unsealed.set(name, null); // before the name is visible in the directory
    try {
      await lock.confirmIfLost();
      const confirm = async (): Promise<void> => lock.confirm();
      const flushes = fsync === 'always';
      const options = { name, flushName: this.confirmName(), confirm, flushes, isShared };
      const file = await BatchFile.create(fs, path(name), options);
      this.#unsealed.set(name, file);
      return file;
    } catch (error) {
      const code = systemCode(error);
      // a failed call may have left an empty file: it is no batch that this run has sealed, and is left to the next start
      const isLeft = code !== 'EEXIST' && (await identityAt(fs, path(name)).catch(() => true)) !== null;
      if (!isLeft) this.#unsealed.delete(name);
      if (code === 'EEXIST') return this.create(isShared); // someone else has created a file of this name
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
    const { cache, uncut, ids, fsync, reporter, sealed } = this.#options;
    const finished = this.#finish(file);
    const closing = finished.then(() => void this.#closing.delete(closing));
    this.#closing.add(closing);
    const { name, bytes, events, bornMs } = file;
    if (events === 0) return null; // it is deleted
    cache.seal(file);
    // never before their events (N14)
    if (file.ids !== null) ids?.add(name, file.ids, typeof fsync === 'number' ? finished : null);
    if (file.hasFailedEnd) uncut.set(name, bytes);
    this.#unsealed.delete(name);
    // of a file that was appended to by itself nobody has counted events
    if (file.batches === 0) file.openEvents = events;
    this.#endBatch(file, end);
    reporter.batch({ what: 'sealed', batch: name, events, batches: file.batches });
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
    if (this.#restTimer !== null) clearTimeout(this.#restTimer);
    this.#sealOpen('stop');
    await Promise.all(this.#closing);
  }

  /** Never throws. @returns whether its events are flushed, if `fsync` is an interval */
  async #finish(file: BatchFile): Promise<boolean> {
    const { fs, fsync, reporter, path, uncut } = this.#options;
    const { isCut, isDeleted, isFlushed } = await finishFile(
      file,
      path(file.name),
      typeof fsync === 'number',
      fs,
      reporter,
    );
    if (isCut) uncut.delete(file.name);
    if (isDeleted) this.#unsealed.delete(file.name);
    return isFlushed;
  }
}
