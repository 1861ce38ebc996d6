import { join } from 'node:path';
import { unlink } from '../closing.js';
import type { Ending } from '../compressed/batch-file-name.js';
import type { CompressedCopy } from '../compressed/compress-file.js';
import type { CompressionSource, CompressionTask, Compressor } from '../compressed/compressor.js';
import { BLOCK_BYTES, diskBytes } from '../disk-blocks.js';
import type { Exclusive } from '../exclusive.js';
import { callVoid, flushDirectory, statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { isCopyName } from '../ids/copy-name.js';
import { lookAtFiles } from '../plain-files.js';
import { parseRetained, RETAINED, uncompressed } from './retained-name.js';

/** At most this many names are in memory; others are found in the folder. */
const NAMES_MAX = 1000;

export interface RetainedCompressionOptions {
  readonly fs: FileSystem;
  readonly logDir: string;
  readonly compressor: Compressor;
  readonly confirmLock: () => Promise<void>;
  readonly changes: Exclusive;
  /** Called when a file takes less of the disk. */
  readonly shrunk: (fromBytes: number, toBytes: number) => void;
}

/** Compresses retained files that are not: the batches were delivered before they had waited for it. */
export class RetainedCompression implements CompressionSource {
  readonly #options: RetainedCompressionOptions;
  readonly #dir: string;
  readonly #waiting = new Set<string>();
  /** Copies that killed runs have left are deleted before the first one is made. */
  #isClean = false;

  constructor(options: RetainedCompressionOptions) {
    this.#options = options;
    this.#dir = join(options.logDir, RETAINED);
    options.compressor.add(this);
  }

  /** A file has come. @param bytes its size on disk */
  offer(file: string, bytes: number): void {
    this.found(file, bytes);
    if (this.#isClean) this.#options.compressor.look();
  }

  /** A file is there, compressed or not. One of one block, of which there may be very many, takes no less of the disk. */
  found(file: string, bytes: number): void {
    const isPlain = parseRetained(file) !== null && uncompressed(file) === file;
    if (isPlain && bytes > BLOCK_BYTES && this.#waiting.size < NAMES_MAX) this.#waiting.add(file);
  }

  /** The folder was looked through. @throws the system's error */
  async begin(): Promise<void> {
    const { fs, compressor } = this.#options;
    if (!this.#isClean) {
      const copies = await lookAtFiles(fs, this.#dir, async (names) => {
        const found: string[] = [];
        for await (const name of names) if (isCopyName(name)) found.push(name);
        return found;
      });
      for (const copy of copies) await unlink(fs, join(this.#dir, copy));
      this.#isClean = true;
    }
    if (this.#waiting.size > 0) compressor.look();
  }

  async next(): Promise<CompressionTask | null> {
    const { fs } = this.#options;
    while (this.#isClean) {
      const [file] = this.#waiting;
      if (file === undefined) return null;
      this.#waiting.delete(file);
      const path = join(this.#dir, file);
      const stats = await statsOf(fs, path).catch(() => null);
      if (stats === null) continue; // gone meanwhile
      return {
        path,
        to: path,
        bytes: stats.size,
        mayBeWritten: false,
        isWanted: () => true,
        isRoomy: () => false,
        place: async (copy, made, ending) =>
          this.#options.changes.run(async () => this.#place(path, copy, made, ending)),
        again: () => undefined, // it is found when the folder is looked through
      };
    }
    return null;
  }

  /** At each moment one of the two is there, whole and durable. */
  async #place(path: string, copy: string, made: CompressedCopy, ending: Ending): Promise<boolean> {
    const { fs, confirmLock, shrunk } = this.#options;
    await confirmLock();
    if ((await statsOf(fs, path)) === null) return false; // it was the oldest
    await callVoid((done) => {
      fs.rename(copy, `${path}${ending}`, done);
    });
    await flushDirectory(fs, this.#dir);
    await unlink(fs, path);
    shrunk(diskBytes(made.fileBytes), diskBytes(made.bytes));
    return true;
  }
}
