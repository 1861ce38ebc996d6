import { dirname, join } from 'node:path';
import type { StatsFs } from 'node:fs';
import { asError } from '../../../base/errors.js';
import type { Reporter } from '../../../base/reporter.js';
import { unlink } from '../closing.js';
import { diskBytes } from '../disk-blocks.js';
import { call } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { newCopyName } from '../ids/copy-name.js';
import { ownCodec } from './codec.js';
import type { Codec } from './codec.js';
import type { Ending } from './batch-file-name.js';
import { compressFile } from './compress-file.js';
import type { CompressedCopy } from './compress-file.js';

/**
 * It rests this many times as long as it worked: so it takes a fifth of a core at most, and less on a busy machine; a
 * twenty-fifth while there is time, as the core is the door's.
 */
const REST_SHARE = 4;
const ROOMY_REST_SHARE = 24;
/** After a failure, and while the disk has little room, it waits this long, in milliseconds; failures double it. */
const RETRY_MS = 5000;
const RETRY_MS_MAX = 60_000;
/** Compressing leaves at least this much room on the disk: the rest is for events. */
const ROOM_BYTES = 8 * 1024 * 1024;
/** A failure is said at most once in this time, in milliseconds. */
const QUIET_MS = 60_000;

/** A file that is to be compressed. */
export interface CompressionTask {
  readonly path: string;
  /** Where the compressed file is to be, on the same file system, without its ending. */
  readonly to: string;
  readonly bytes: number;
  /** Whether another server may be writing it. */
  readonly mayBeWritten: boolean;
  /** Asked again and again while it is compressed. */
  readonly isWanted: () => boolean;
  /** Whether there is time for the next one. */
  readonly isRoomy: () => boolean;
  /**
   * Puts the copy, which is flushed, in the place of the file.
   *
   * @returns whether it did; otherwise the copy is deleted
   * @throws the system's error; then the copy is deleted
   */
  readonly place: (copy: string, made: CompressedCopy, ending: Ending) => Promise<boolean>;
  /** Called if it failed, or the disk has too little room: it is to come again. */
  readonly again: () => void;
}

/** Has files to compress. */
export interface CompressionSource {
  /** The next file; or how long to wait for one, in milliseconds; `null`: until `Compressor.look` is called. Never rejects. */
  next(): Promise<CompressionTask | number | null>;
}

export interface CompressorOptions {
  readonly fs: FileSystem;
  readonly reporter: Reporter;
  readonly codec?: Codec;
}

/**
 * Compresses the files of its sources, one at a time, beside the event loop. The first source goes first. Whatever fails, the
 * file stays as it is, and is compressed later.
 */
export class Compressor {
  /** Files that were compressed, the bytes of the disk that this has saved, and attempts that failed. */
  files = 0;
  savedBytes = 0;
  failures = 0;
  readonly #fs: FileSystem;
  readonly #reporter: Reporter;
  readonly #codec: Codec;
  readonly #sources: CompressionSource[] = [];
  readonly #copyName = newCopyName();
  #timer: NodeJS.Timeout | null = null;
  #running: Promise<void> | null = null;
  /** Whether `look` was called during the running work. */
  #isAsked = false;
  #isClosed = false;
  #retryMs = RETRY_MS;
  #saidAtMs = -Infinity;
  #isCopyLeft = false;

  constructor({ fs, reporter, codec = ownCodec() }: CompressorOptions) {
    this.#fs = fs;
    this.#reporter = reporter;
    this.#codec = codec;
  }

  /** @param goesFirst before all that were added so far: what waits for the sink, as `--backlog-max` counts it */
  add(source: CompressionSource, goesFirst = false): void {
    if (goesFirst) this.#sources.unshift(source);
    else this.#sources.push(source);
  }

  /** A source may have a file. */
  look(): void {
    if (this.#running !== null) this.#isAsked = true;
    else if (this.#timer === null) this.#wait(0);
  }

  /** Starts no more, and waits for what runs. */
  async close(): Promise<void> {
    this.#isClosed = true;
    if (this.#timer !== null) clearTimeout(this.#timer);
    await this.#running;
  }

  #wait(ms: number): void {
    if (this.#isClosed) return;
    this.#timer = setTimeout(() => {
      this.#timer = null;
      this.#running = this.#work().then((waitMs) => {
        this.#running = null;
        const nextMs = waitMs ?? (this.#isAsked ? 0 : null);
        this.#isAsked = false;
        if (nextMs !== null) this.#wait(Math.ceil(nextMs));
      });
    }, ms).unref();
  }

  /** @returns how long to wait before the next one, in milliseconds; `null`: until someone calls `look` */
  async #work(): Promise<number | null> {
    let waitMs: number | null = null;
    for (const source of this.#sources) {
      const next = await source.next();
      if (next === 0) return 0; // those after it wait for their turn
      if (typeof next === 'number') waitMs = Math.min(next, waitMs ?? Infinity);
      else if (next !== null) return this.#compress(next);
    }
    return waitMs;
  }

  /** Never rejects. */
  async #compress(task: CompressionTask): Promise<number> {
    const startMs = performance.now();
    const fs = this.#fs;
    const copy = join(dirname(task.to), this.#copyName);
    const isWanted = (): boolean => !this.#isClosed && task.isWanted();
    let isPlaced = false;
    try {
      if (!(await this.#hasRoom(task))) {
        task.again();
        return RETRY_MS;
      }
      if (this.#isCopyLeft) await unlink(fs, copy);
      this.#isCopyLeft = true;
      const made = await compressFile({ ...task, fs, codec: this.#codec, copy, isWanted });
      isPlaced = made !== null && isWanted() && (await task.place(copy, made, this.#codec.ending));
      if (made !== null && isPlaced) this.#count(made);
      this.#retryMs = RETRY_MS;
    } catch (error) {
      this.#failed(task, error);
      task.again();
      const waitMs = this.#retryMs;
      this.#retryMs = Math.min(2 * waitMs, RETRY_MS_MAX);
      return waitMs;
    } finally {
      const isGone =
        isPlaced ||
        (this.#isCopyLeft &&
          (await unlink(fs, copy).then(
            () => true,
            () => false,
          )));
      this.#isCopyLeft &&= !isGone;
    }
    return (task.isRoomy() ? ROOMY_REST_SHARE : REST_SHARE) * (performance.now() - startMs);
  }

  #count({ bytes, fileBytes }: CompressedCopy): void {
    this.files++;
    this.savedBytes += diskBytes(fileBytes) - diskBytes(bytes);
  }

  async #hasRoom({ to, bytes }: CompressionTask): Promise<boolean> {
    const disk = await call<StatsFs>((done) => {
      this.#fs.statfs(dirname(to), done);
    }).catch(() => null);
    return disk === null || disk.bavail * disk.bsize >= bytes + ROOM_BYTES;
  }

  #failed({ path }: CompressionTask, error: unknown): void {
    this.failures++;
    if (performance.now() - this.#saidAtMs < QUIET_MS) return;
    this.#saidAtMs = performance.now();
    const text = `Could not compress ${path}: it stays as it is, and is tried again later`;
    this.#reporter.error('DISK_FAILED', text, asError(error));
  }
}
