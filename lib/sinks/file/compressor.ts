import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGzip } from 'node:zlib';
import { asError, systemCode } from '../../base/errors.js';
import type { Logger } from '../../base/reporter.js';
import { COMPRESSED, UNFINISHED } from './rotated-names.js';
import { flushDirectory, writeAll } from './sink-files.js';
import type { SinkFiles } from './sink-files.js';

/** So much is written between two flushes, in bytes: the flush of a large file lets those of others wait. */
const FLUSH_BYTES = 2 ** 23;
/** What zlib gives at a time, in bytes: each piece is a trip to the thread pool, and its own 16 KiB are many trips. */
const PIECE_BYTES = 2 ** 18;
/** After a failure, in milliseconds: a disk that is full stays so for a while. */
const RETRY_MS = 60_000;

/**
 * Compresses rotated files in the background, one at a time, beside delivery: nobody waits for it.
 *
 * A file is compressed under another name, flushed, renamed, its new name is flushed, and only then the plain file is
 * deleted. A plain file is therefore whole, at any moment and after any crash, and is compressed anew at the next start.
 */
export class Compressor {
  readonly #fs: SinkFiles;
  readonly #logger: Logger;
  readonly #retryMs: number;
  /** Oldest first. */
  readonly #waiting = new Set<string>();
  readonly #closing = new AbortController();
  #running: Promise<void> | null = null;
  #timer: NodeJS.Timeout | undefined;

  constructor(fs: SinkFiles, logger: Logger, retryMs: number = RETRY_MS) {
    this.#fs = fs;
    this.#logger = logger;
    this.#retryMs = retryMs;
  }

  /** @param path a file that does not change any more */
  add(path: string): void {
    this.#waiting.add(path);
    this.#start();
  }

  /** Stops where it is; the next start goes on. */
  async close(): Promise<void> {
    this.#closing.abort();
    clearTimeout(this.#timer);
    await this.#running;
  }

  #start(): void {
    if (this.#closing.signal.aborted) return;
    this.#running ??= this.#run().finally(() => {
      this.#running = null;
      // what came after the last look, where no next attempt is due
      if (this.#waiting.size > 0 && this.#timer === undefined) this.#start();
    });
  }

  /** Never throws. Files that come meanwhile come into this run, too. */
  async #run(): Promise<void> {
    let failures = 0;
    let first = '';
    for (const path of this.#waiting) {
      try {
        await compress(this.#fs, path, this.#closing.signal);
        this.#waiting.delete(path);
      } catch (error) {
        if (this.#closing.signal.aborted) return;
        if (failures++ === 0) first = `${path}: ${asError(error).message}`;
      }
    }
    if (failures === 0) return;
    const seconds = Math.ceil(this.#retryMs / 1000);
    const text = `${failures} rotated files could not be compressed and are left plain; next attempt in ${seconds} s`;
    this.#logger.warn({ code: 'SINK_FILE_FAILED' }, `${text} (${first})`);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      this.#start();
    }, this.#retryMs).unref();
  }
}

async function compress(fs: SinkFiles, path: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted();
  const whole = path + COMPRESSED;
  const unfinished = whole + UNFINISHED;
  const plain = await fs.open(path, 'r').catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null; // someone has taken it away
    throw error;
  });
  if (plain === null) return;
  try {
    const out = await fs.open(unfinished, 'w', 0o640);
    try {
      await writeCompressed(plain, out, signal);
      await out.sync();
    } finally {
      await out.close();
    }
    await fs.rename(unfinished, whole);
  } catch (error) {
    await fs.unlink(unfinished).catch(() => undefined);
    throw error;
  } finally {
    await plain.close();
  }
  await flushDirectory(fs, dirname(path));
  await fs.unlink(path); // a power cut may take it back: then it is compressed again
}

async function writeCompressed(plain: FileHandle, out: FileHandle, signal: AbortSignal): Promise<void> {
  let failure: unknown = null;
  const write = async (pieces: AsyncIterable<Buffer>): Promise<void> => {
    let size = 0;
    let flushed = 0;
    try {
      for await (const piece of pieces) {
        await writeAll(out, piece);
        size += piece.length;
        if (size - flushed < FLUSH_BYTES) continue;
        await out.datasync();
        flushed = size;
      }
    } catch (error) {
      failure = error;
      throw error;
    }
  };
  try {
    const source = plain.createReadStream({ autoClose: false });
    await pipeline(source, createGzip({ chunkSize: PIECE_BYTES }), write, { signal });
  } catch (error) {
    throw failure ?? error; // of what `write` throws, `pipeline` says only that it was aborted
  }
}
