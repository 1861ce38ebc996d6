import { join } from 'node:path';
import type { PendingBatch } from '../../../seams/batch.js';
import type { Compression, CompressionUse } from '../../../seams/compression.js';
import type { Backlog } from '../backlog.js';
import { compareBatchNames } from '../batch-name.js';
import { unlink } from '../closing.js';
import type { DirectoryLock } from '../directory-lock.js';
import type { DirectorySync } from '../directory-sync.js';
import type { FileListing } from '../file-listing.js';
import { callVoid, statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { LookPace } from '../look-pace.js';
import { BLOCK_BYTES, diskBytes } from '../disk-blocks.js';
import type { Ending } from './batch-file-name.js';
import type { CompressedCopy } from './compress-file.js';
import type { CompressionSource, CompressionTask, Compressor } from './compressor.js';

/** At most this many names are in memory; others are found in the directory. */
const NAMES_MAX = 1000;
/** How often to look whether delivery still does not come on, and for files to try again, in milliseconds. */
const LOOK_MS = 1000;
const AGAIN_MS = 60_000;
/** Delivery is behind if what waits takes it this long, in milliseconds. */
const BEHIND_MS = 60_000;

export interface BacklogCompressionOptions {
  readonly fs: FileSystem;
  readonly logDir: string;
  readonly compressor: Compressor;
  /** How long a batch waits before it is compressed, in milliseconds. */
  readonly afterMs: number;
  readonly lock: DirectoryLock;
  /** Makes names in the log directory durable. */
  readonly logNames: DirectorySync;
  readonly files: FileListing;
  readonly backlog: () => Backlog | null;
  /** Called when the file of a batch has become smaller, with the bytes of the disk. */
  readonly shrunk: (fromBytes: number, toBytes: number) => void;
}

/** A file that waits for being compressed. */
interface Waiting {
  readonly name: string;
  readonly dueMs: number;
}

/**
 * Compresses the files of the backlog that have waited for a while, if they will wait on: not while the sink takes all within
 * this time. A file that delivery was given stays as it is.
 */
export class BacklogCompression implements Compression, CompressionSource {
  readonly #options: BacklogCompressionOptions;
  /** Sealed by this run, oldest first. */
  #sealed: Waiting[] = [];
  /** Found in the directory, newest last. */
  #found: string[] = [];
  /** When the directory is to be looked at; before that, all files that are worth it are compressed or known by name. */
  #lookAtMs: number;
  /** The search goes from the newest file to the oldest: those before this one are still to be found. */
  #before: string | null = null;
  readonly #pace = new LookPace(LOOK_MS);
  #use: CompressionUse | null = null;

  constructor(options: BacklogCompressionOptions, hasLeftovers: boolean) {
    this.#options = options;
    this.#lookAtMs = hasLeftovers ? performance.now() + options.afterMs : Infinity;
    options.compressor.add(this, true);
  }

  get files(): number {
    return this.#options.compressor.files;
  }

  get savedBytes(): number {
    return this.#options.compressor.savedBytes;
  }

  get failures(): number {
    return this.#options.compressor.failures;
  }

  begin(use: CompressionUse): void {
    this.#use = use;
    this.#options.compressor.look();
  }

  /** Whether batches wait, and those that come now will for a while. */
  get isBehind(): boolean {
    const { afterMs, backlog } = this.#options;
    const oldestMs = backlog()?.oldestBornMs ?? Infinity;
    return performance.now() - oldestMs >= afterMs && (this.#use?.drainMs() ?? 0) >= BEHIND_MS;
  }

  /** A batch was sealed. */
  offer({ name, bornMs }: PendingBatch): void {
    const { afterMs, compressor } = this.#options;
    this.#dropDelivered();
    if (this.#sealed.length < NAMES_MAX) this.#sealed.push({ name, dueMs: bornMs + afterMs });
    else this.#lookAgain(performance.now() + afterMs);
    compressor.look();
  }

  async next(): Promise<CompressionTask | number | null> {
    const { afterMs } = this.#options;
    if (this.#use === null) return null;
    this.#dropDelivered();
    const isIdle = this.#sealed.length === 0 && this.#found.length === 0;
    if (isIdle && this.#lookAtMs === Infinity) return null;
    const nowMs = performance.now();
    const dueMs =
      this.#found.length > 0 ? nowMs : Math.min(this.#sealed[0]?.dueMs ?? Infinity, this.#lookAtMs);
    if (dueMs > nowMs) return dueMs - nowMs;
    if (this.#use.drainMs() < afterMs) return Math.max(LOOK_MS, afterMs);
    const name = this.#nextSealed(nowMs) ?? (await this.#nextFound());
    return name === null ? LOOK_MS : this.#task(name);
  }

  #dropDelivered(): void {
    while (this.#sealed[0] !== undefined && this.#options.backlog()?.has(this.#sealed[0].name) !== true)
      this.#sealed.shift();
  }

  #nextSealed(nowMs: number): string | null {
    const first = this.#sealed[0];
    if (first === undefined || first.dueMs > nowMs) return null;
    this.#sealed.shift();
    return first.name;
  }

  async #nextFound(): Promise<string | null> {
    if (this.#found.length === 0 && performance.now() >= this.#lookAtMs && this.#pace.isDue)
      await this.#pace
        .look(async () => this.#find())
        .catch(() => this.#lookAgain(performance.now() + AGAIN_MS));
    return this.#found.pop() ?? null;
  }

  /** The newest files go first: they wait longest. */
  async #find(): Promise<void> {
    const before = this.#before;
    const names = await this.#options.files.newestAppended(
      NAMES_MAX,
      (name) => this.#isWaiting(name) && (before === null || compareBatchNames(name, before) < 0),
    );
    this.#found = names.toReversed();
    this.#before = names.length < NAMES_MAX ? null : (names.at(-1) ?? null);
    if (this.#before === null) this.#lookAtMs = Infinity;
  }

  #lookAgain(atMs: number): void {
    this.#lookAtMs = Math.min(this.#lookAtMs, atMs);
    this.#before = null;
  }

  #isWaiting(name: string): boolean {
    const { backlog, files } = this.#options;
    return backlog()?.has(name) === true && !files.pairs.has(name);
  }

  #isWanted(name: string): boolean {
    return this.#isWaiting(name) && this.#options.files.isSealed(name);
  }

  async #task(name: string): Promise<CompressionTask | number> {
    const { fs, logDir, files } = this.#options;
    const path = join(logDir, name);
    const again = (): void => this.#lookAgain(performance.now() + AGAIN_MS);
    const stats = this.#isWanted(name) ? await statsOf(fs, path).catch(again) : null;
    if (!stats || stats.size <= BLOCK_BYTES) return 0; // gone, or it cannot take less
    return {
      path,
      to: path,
      bytes: stats.size,
      mayBeWritten: files.isLeftover(name),
      isWanted: () => this.#isWanted(name),
      isRoomy: () => this.#use?.isRoomy() === true,
      place: async (copy, made, ending) => files.change(async () => this.#place(name, copy, made, ending)),
      again,
    };
  }

  /**
   * At each moment one of the two is there, whole and durable. The file as it was appended goes last, and nobody reads the
   * batch meanwhile (N9).
   */
  async #place(name: string, copy: string, made: CompressedCopy, ending: Ending): Promise<boolean> {
    const { fs, logDir, lock, logNames, files, backlog } = this.#options;
    const { pairs } = files;
    const path = join(logDir, name);
    const { bytes, fileBytes } = made;
    if (!this.#isWanted(name) || backlog()?.hold(name) !== true) return false;
    let isPlaced = false;
    try {
      await lock.confirm();
      const flushName = logNames.forNewName();
      try {
        await callVoid((done) => {
          fs.rename(copy, `${path}${ending}`, done);
        });
        await flushName();
        await lock.confirm();
      } catch (error) {
        // its name may be lost with the power: what was appended stays what counts
        pairs.add(name, '');
        await lock.confirm();
        await unlink(fs, `${path}${ending}`);
        pairs.delete(name);
        throw error;
      }
      isPlaced = true;
      pairs.add(name, ending);
      // if that fails, it is deleted with the batch
      await unlink(fs, path).then(
        () => pairs.delete(name),
        () => undefined,
      );
      const [fromBytes, toBytes] = [diskBytes(fileBytes), diskBytes(bytes)];
      this.#options.shrunk(fromBytes, toBytes);
      this.#use?.shrunk(name, fromBytes, toBytes);
    } finally {
      const compressed = { ending, readBytes: fileBytes };
      backlog()?.release(isPlaced ? { name, logBytes: bytes, compressed } : null, fileBytes);
    }
    return true;
  }
}
