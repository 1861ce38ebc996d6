/**
 * The append log: a directory of batch files, the only place where events rest. docs/append-log.md has the format.
 *
 * There is no ledger: the existing batch files are what is pending, in the order of their names, and deleting a file
 * is the checkpoint. A deletion is not flushed: if a power cut undoes it, the batch is sent again, as at least once
 * allows.
 */
import { join, sep } from 'node:path';
import type { Readable } from 'node:stream';
import type { PendingBatch, SettledBatch, StoredBatch } from '../../seams/batch.js';
import type { BatchEnd, EventLog, Group, LogSpace, PartEnded } from '../../seams/event-log.js';
import type { Removal } from '../../base/batch-event.js';
import type { RetainedUsage } from '../../seams/retention.js';
import type { AppendLogOptions } from './append-log-options.js';
import { DeadLetters } from './aside/dead-letters.js';
import { Quarantine } from './aside/quarantine.js';
import { Backlog } from './backlog.js';
import { BatchNames, compareBatchNames } from './batch-name.js';
import { BatchReader } from './batch-reader.js';
import { cachedBatch, readBatch } from './cached-file.js';
import type { BatchSums } from './batch-sums.js';
import { blockBytes } from './checksum.js';
import { BacklogCompression } from './compressed/backlog-compression.js';
import { Compressor } from './compressed/compressor.js';
import { settlePairs } from './compressed/pairs.js';
import { CONTEXT_BYTES_MORE } from './context-mark.js';
import { BLOCK_BYTES, diskBytes } from './disk-blocks.js';
import { PROBE_FILE, probeDisk } from './disk-probe.js';
import { DiskUsageReader } from './disk-usage.js';
import type { Survey } from './survey.js';
import type { DirectoryLock } from './directory-lock.js';
import { openDirectory } from './directory-opening.js';
import { DirectorySync } from './directory-sync.js';
import { nodeFileSystem } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { FileListing } from './file-listing.js';
import { FilePace } from './file-pace.js';
import { GroupWriter } from './group-writer.js';
import { IdSegments } from './ids/id-segments.js';
import { openIds } from './ids/left-ids.js';
import { FILE_BOUNDS } from './large-file.js';
import { LogCounts } from './log-counts.js';
import { PauseFile } from './pause-file.js';
import { Reserve } from './reserve.js';
import { RetainedFiles } from './retained/retained-files.js';
import { BATCH_MARK_BYTES, newRunId } from './run-mark.js';
import { WriteCache } from './write-cache.js';

export class AppendLog extends LogCounts implements EventLog {
  readonly dir: string;
  readonly place: string;
  readonly #prefix: string;
  /** The mark of the run, that of a context, and the rest of the last block. */
  readonly batchBytesMost = BATCH_MARK_BYTES + CONTEXT_BYTES_MORE + BLOCK_BYTES - 1;
  readonly bytesOf = blockBytes;
  readonly compare = compareBatchNames;
  readonly runId = newRunId();
  readonly deadLetters: DeadLetters;
  readonly pauses: PauseFile;
  readonly lock: DirectoryLock;
  readonly writer: GroupWriter;
  readonly #options: AppendLogOptions;
  readonly #fs: FileSystem;
  readonly #cache: WriteCache;
  readonly #names: BatchNames;
  readonly #directorySync: DirectorySync;
  readonly #quarantine: Quarantine;
  readonly #reader: BatchReader;
  readonly #reserve: Reserve;
  readonly #retained: RetainedFiles;
  readonly #space: DiskUsageReader;
  readonly #files: FileListing;
  readonly #uncut = new Map<string, number>();
  /** `null`: no source has a window. */
  readonly ids: IdSegments | null;
  readonly #compressor: Compressor;
  /** `null`: nothing is compressed. */
  readonly compression: BacklogCompression | null;
  #backlog: Backlog | null = null;
  #closed: Promise<void> | null = null;

  /**
   * Locks the directory, creating it if there is none, and finds the leftovers of earlier runs.
   *
   * @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`
   */
  static async open(options: AppendLogOptions): Promise<AppendLog> {
    const { dir, reporter, fs = nodeFileSystem } = options;
    const { lock, found } = await openDirectory(fs, dir);
    for (const { code, text } of found.remarks) reporter.warn(code, text);
    const log = new AppendLog(options, fs, lock, found);
    await log.#reserve.tryToHold();
    const ofPairs = { fs, dir, reporter, lock, quarantine: log.#quarantine };
    log.pendingBytes += await settlePairs(ofPairs, found.pairs, log.#files.pairs);
    if (options.ids && log.ids !== null) {
      const ofLog = { names: log.#names, logNames: log.#directorySync, segments: log.ids };
      await openIds({ ...options.ids, ...ofLog, fs, dir, reporter });
    }
    return log;
  }

  private constructor(options: AppendLogOptions, fs: FileSystem, lock: DirectoryLock, found: Survey) {
    super(found);
    const { dir, reporter, fsync, fileBounds: bounds = FILE_BOUNDS } = options;
    this.dir = dir;
    this.place = dir;
    this.#prefix = join(dir, sep);
    this.lock = lock;
    this.#options = options;
    this.#fs = fs;
    this.#cache = new WriteCache(options.recentBytesMax ?? 0, bounds.wholeMax);
    this.#names = new BatchNames(found.newest);
    this.#directorySync = new DirectorySync(async () => lock.flushNames());
    this.#space = new DiskUsageReader(fs, dir);
    const confirmLock = async (): Promise<void> => lock.confirm();
    const ofDir = { fs, logDir: dir, logNames: this.#directorySync, confirmLock };
    const { retention, compressAfterMs: afterMs = null } = options;
    this.#compressor = new Compressor({ fs, reporter });
    const compressor = afterMs === null ? null : this.#compressor;
    const retained = new RetainedFiles({ ...ofDir, reporter, retention, compressor });
    this.#retained = retained;
    this.#reserve = new Reserve(fs, dir, this.#directorySync, async (work) => retained.withRoom(work));
    const parties = { ...ofDir, reserve: this.#reserve };
    this.#quarantine = new Quarantine(parties);
    this.pauses = new PauseFile(parties, reporter);
    const reading = { bounds, quarantine: this.#quarantine, confirmGone: confirmLock };
    this.#reader = new BatchReader({ fs, dir, reporter, ...reading });
    this.deadLetters = new DeadLetters(parties, options.deadLettersBytesMax ?? Infinity);
    const { sizes, newest: newestLeftover } = found;
    this.#files = new FileListing({
      fs,
      dir,
      known: { sizes, uncut: this.#uncut, newestLeftover, openedMs: performance.now() },
      unsealed: () => this.writer.unsealed,
      newest: () => this.#names.last,
    });
    this.ids = options.ids ? new IdSegments({ ...parties, ...options.ids, reporter, fsync }) : null;
    this.writer = new GroupWriter({
      fs,
      fsync,
      reporter,
      lock,
      names: this.#names,
      directorySync: this.#directorySync,
      reserve: this.#reserve,
      retained,
      cache: this.#cache,
      ids: this.ids,
      runId: this.runId,
      pace: new FilePace(options.fileEvents ?? 0, options.fileBytes ?? Infinity, undefined, () =>
        Boolean(this.compression?.isBehind),
      ),
      uncut: this.#uncut,
      path: (name) => this.path(name),
      appended: (file, events, bytes) => {
        this.pendingEvents += events;
        this.pendingBytes += diskBytes(file.bytes) - diskBytes(file.bytes - bytes);
      },
      sealed: (batch) => {
        this.#backlog?.offer(batch);
        this.compression?.offer(batch);
      },
    });
    const shrunk = (fromBytes: number, toBytes: number): void => {
      this.pendingBytes -= fromBytes - toBytes;
      void this.#reserve.tryToHold();
    };
    const compressing = { ...parties, compressor: this.#compressor, lock, files: this.#files, shrunk };
    const backlog = (): Backlog | null => this.#backlog;
    this.compression =
      afterMs === null
        ? null
        : new BacklogCompression({ ...compressing, afterMs, backlog }, found.batches > 0);
  }

  get sealedBy(): Readonly<Record<BatchEnd | 'failure', number>> {
    return this.writer.sealedBy;
  }

  get oldestBornMs(): number | null {
    return this.#backlog?.oldestBornMs ?? this.writer.openBornMs;
  }

  get retained(): RetainedUsage {
    return this.#retained.usage;
  }

  path(name: string): string {
    return `${this.#prefix}${name}`;
  }

  async append(group: Group, ended: PartEnded): Promise<void> {
    await this.writer.write(group, ended);
  }

  async probe(bytes: number): Promise<void> {
    await this.lock.confirm();
    const flushes = this.#options.fsync === 'always';
    await this.#retained.withRoom(async () => {
      await this.#reserve.hold();
      await probeDisk(this.#fs, this.path(PROBE_FILE), this.writer.confirmName(), flushes, bytes);
    });
  }

  async space(): Promise<LogSpace> {
    return this.#space.read();
  }

  backlog(stopping: AbortSignal): Readable {
    const backlog = new Backlog(this, this.#options.reporter);
    this.#backlog = backlog;
    stopping.addEventListener('abort', () => {
      backlog.stop();
    });
    return backlog;
  }

  /** Sealed batch files, oldest first, at most `most`, only names after this one. */
  async list(after: string | null, most: number): Promise<PendingBatch[]> {
    return this.#files.oldest(after, most, () => true);
  }

  async find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]> {
    return this.#files.oldest(null, most, isAskedFor);
  }

  async sums(after: string | null, begins: () => void): Promise<BatchSums> {
    return this.#files.sums(after, begins);
  }

  pendingBytesOf({ logBytes }: Pick<PendingBatch, 'logBytes'>): number {
    return diskBytes(logBytes);
  }

  remembers({ name }: PendingBatch): boolean {
    return this.#cache.has(name);
  }

  /**
   * Reads a sealed batch. A torn end is dropped; damaged lines are first set aside in the quarantine.
   *
   * @throws the system's error if the file cannot be read or the damage cannot be set aside; `LOG_DIR_LOST`
   */
  async read(batch: PendingBatch): Promise<StoredBatch> {
    const { name, logBytes } = batch;
    const recent = this.#cache.read(name);
    if (recent !== null) {
      this.countRead(batch, { events: recent.events, quarantined: 0, torn: false });
      // its file may be longer than what is acknowledged
      const size = batch.compressed === undefined ? recent.bytes : logBytes;
      return cachedBatch(this.runId, name, recent, size);
    }
    await this.lock.confirmIfLost();
    const read = await this.#reader.read(batch);
    this.countRead(batch, read);
    return readBatch(batch, read, async (about, piece) => {
      await this.lock.confirmIfLost();
      return this.#reader.readPiece(about, piece);
    });
  }

  forget({ name }: PendingBatch): void {
    this.#cache.delete(name);
  }

  /** @throws `LOG_DIR_LOST`; the system's error */
  async delete({ name, events, logBytes }: SettledBatch): Promise<Removal> {
    await this.ids?.confirm(name); // an id outlives its event (N14)
    // a server with the lock may have a file of this name, or have left letters of this one to be written again (new-copy.ts)
    await this.lock.confirm();
    this.#cache.delete(name);
    const { pairs } = this.#files;
    const taken = await this.#retained.take(name, events, logBytes, pairs.counting(name));
    if (taken === 'gone') await this.lock.confirm();
    pairs.delete(name);
    this.#uncut.delete(name);
    this.deadLetters.settled(name);
    this.pendingEvents -= events;
    this.pendingBytes -= diskBytes(logBytes);
    void this.#reserve.tryToHold();
    return taken === 'retained' ? taken : 'deleted';
  }

  async close(): Promise<void> {
    this.#closed ??= this.#close();
    await this.#closed;
  }

  async #close(): Promise<void> {
    await this.#compressor.close();
    await this.writer.close();
    const parts = [this.ids, this.#quarantine, this.deadLetters, this.#reserve, this.#retained];
    await Promise.all(parts.map(async (part) => part?.close()));
    await this.#directorySync.ended();
    await this.lock.release();
  }
}
