import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { Batch } from '../append-log/batch.js';
import { asError, ForebayError } from '../errors.js';
import type { Sink } from './sink.js';

/**
 * Appends every delivered event to a file, one a line, and confirms when they are flushed.
 *
 * A crash in the middle of a write leaves a line cut off. It was not confirmed and comes again, so it is cut
 * away at the next start; a last line that only misses its line break is left whole and gets one.
 */
export class FileSink implements Sink {
  readonly #file: FileHandle;
  /** Where the next batch goes, in bytes: behind the last confirmed one. */
  #size: number;
  /** Whether an attempt has failed and may have left bytes behind. */
  #dirty = false;
  /** One write after another, also where batches come side by side. */
  #turn: Promise<void> = Promise.resolve();

  /** @throws ForebayError `SINK_UNUSABLE` */
  static async open(path: string): Promise<FileSink> {
    let file: FileHandle | undefined;
    try {
      file = await openDurably(path);
      const { size } = await file.stat();
      return new FileSink(file, await endAtLine(file, size));
    } catch (error) {
      await file?.close();
      throw new ForebayError('SINK_UNUSABLE', {
        message: `The sink file ${path} cannot be used: ${asError(error).message}`,
        cause: error,
      });
    }
  }

  private constructor(file: FileHandle, size: number) {
    this.#file = file;
    this.#size = size;
  }

  async deliver(batch: Batch): Promise<void> {
    const turn = this.#turn.then(() => this.#append(batch.bytes));
    this.#turn = turn.catch(() => undefined);
    await turn;
  }

  async close(): Promise<void> {
    await this.#turn;
    await this.#file.close();
  }

  async #append(bytes: Buffer): Promise<void> {
    // what a failed attempt left is taken away first: a shorter batch would not cover it
    if (this.#dirty) await this.#file.truncate(this.#size);
    this.#dirty = true;
    for (let done = 0; done < bytes.length;) {
      const position = this.#size + done;
      done += (await this.#file.write(bytes, done, bytes.length - done, position)).bytesWritten;
    }
    await this.#file.datasync();
    this.#dirty = false;
    this.#size += bytes.length;
  }
}

/** Opens the file for writing at positions, making it, with a durable name, if there is none. */
async function openDurably(path: string): Promise<FileHandle> {
  const file = await open(path, constants.O_RDWR | constants.O_CREAT, 0o640);
  try {
    const dir = await open(dirname(path), 'r');
    try {
      await dir.sync();
    } finally {
      await dir.close();
    }
    return file;
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** Makes the file end with a whole line. Gives its size back, in bytes. */
async function endAtLine(file: FileHandle, size: number): Promise<number> {
  const end = await lastLineStart(file, size);
  if (end === size) return size;
  const tail = Buffer.alloc(size - end);
  await file.read(tail, 0, tail.length, end);
  try {
    JSON.parse(tail.toString('utf8'));
  } catch {
    await file.truncate(end);
    return end;
  }
  await file.write('\n', size);
  return size + 1;
}

/** The position behind the last line break, found from the end in steps. */
async function lastLineStart(file: FileHandle, size: number): Promise<number> {
  const step = Buffer.alloc(65_536);
  for (let end = size; end > 0;) {
    const start = Math.max(0, end - step.length);
    const { bytesRead } = await file.read(step, 0, end - start, start);
    const at = step.subarray(0, bytesRead).lastIndexOf(10);
    if (at !== -1) return start + at + 1;
    end = start;
  }
  return 0;
}
