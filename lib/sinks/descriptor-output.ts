import { constants, fdatasync, openSync, write } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { systemCode } from '../errors.js';
import type { Output } from './output.js';

const flush = promisify(fdatasync);
const writeSome = promisify(write);

/** A terminal that was stopped (Ctrl-S) is looked at again after so long, in milliseconds. */
const STOPPED_MS = 20;

/** A file that standard output was directed to, which is flushed, or a terminal or other device. */
export class DescriptorOutput implements Output {
  isCut = false;
  readonly #fd: number;
  readonly #isFile: boolean;

  constructor(fd: number, isFile: boolean) {
    this.#isFile = isFile;
    // a file is used as it is: its position is shared with whoever writes to it, too
    this.#fd = isFile ? fd : (reopened(fd) ?? fd);
  }

  async write(bytes: Buffer, signal: AbortSignal): Promise<void> {
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
    if (this.#isFile) await flush(this.#fd);
  }

  /** It stays open: a write may be in it, and its number must not become another file's. */
  close(): void {}
}

/** So that a call does not wait in it, and its thread with it; `null` where the system does not let it. */
function reopened(fd: number): number | null {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
  } catch {
    return null;
  }
}
