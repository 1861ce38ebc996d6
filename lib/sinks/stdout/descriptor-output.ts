import { constants, fdatasync, fstat, openSync, readFileSync, write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemCode } from '../../base/errors.js';
import type { Output } from './output.js';

const flush = promisify(fdatasync);
const writeSome = promisify(write);
const stat = promisify(fstat);

/** How long until a terminal that was stopped (Ctrl-S) is tried again, in milliseconds. */
const STOPPED_MS = 20;

/**
 * A file that standard output was directed to, which is flushed, or a terminal or other device. A write fails if the file
 * was deleted, as its bytes would be nowhere, or was cut and not opened for appending (`>>`), as NUL bytes would come
 * first. The file cannot be opened again: its name is not known.
 */
export class DescriptorOutput implements Output {
  isCut = false;
  readonly #fd: number;
  readonly #isFile: boolean;
  /** The size of the file after the last write, in bytes. */
  #end = 0;

  constructor(fd: number, isFile: boolean) {
    this.#isFile = isFile;
    // a file is used as it is: its position is shared with others that write to it
    this.#fd = isFile ? fd : (reopened(fd) ?? fd);
  }

  async write(bytes: Buffer, signal: AbortSignal): Promise<void> {
    const start = await this.#look();
    if (start < this.#end && !appends(this.#fd))
      throw new Error('the file of standard output was cut: to go on, start again, with >> instead of >');
    for (let done = 0; done < bytes.length;) {
      try {
        done += (await writeSome(this.#fd, bytes, done, bytes.length - done, null)).bytesWritten;
        this.isCut = true;
      } catch (error) {
        if (systemCode(error) !== 'EAGAIN') throw error;
        await sleep(STOPPED_MS, undefined, { signal });
      }
    }
    this.isCut = false;
    if (!this.#isFile) return;
    await flush(this.#fd);
    this.#end = await this.#look();
    if (this.#end < start + bytes.length) throw new Error('the file of standard output was cut meanwhile');
  }

  /** The size of the file. @throws Error if it has no name any longer */
  async #look(): Promise<number> {
    if (!this.#isFile) return 0;
    const { nlink, size } = await stat(this.#fd);
    if (nlink === 0) throw new Error('the file of standard output was deleted: to go on, start again');
    return size;
  }

  /** It stays open: a write may be in it, and its number must not become another file's. */
  close(): void {}
}

/** Opens it again so that no call and no thread waits for it; `null` if the system does not allow that. */
function reopened(fd: number): number | null {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}

/** Whether a file was opened for appending, as far as the system says. */
function appends(fd: number): boolean {
  try {
    const flags = /^flags:\s*([0-7]+)$/m.exec(readFileSync(`/proc/self/fdinfo/${fd}`, 'utf8'))?.[1];
    return flags === undefined || (parseInt(flags, 8) & constants.O_APPEND) !== 0;
  } catch {
    return true;
  }
}
