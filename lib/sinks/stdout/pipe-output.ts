import { constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { systemCode } from '../../base/errors.js';
import type { Output } from './output.js';

/**
 * The writing end of a pipe, or a socket, that the process was given. A reader who is slow holds up what is written and
 * nothing else: neither the event loop nor a thread of the pool waits in a call.
 *
 * Where the system allows it, the pipe is opened once more: so it does not become one that does not wait for others who
 * write to it, and where nobody reads it that is said at once. A socket, or a pipe of another user, is used as it is.
 * After a failure it is opened anew: the next reader of a named pipe (`mkfifo`) may have come.
 */
export class PipeOutput implements Output {
  isCut = false;
  readonly #given: number;
  readonly #isSocket: boolean;
  #pipe: { readonly fd: number; readonly socket: Socket } | null = null;

  constructor(fd: number, isSocket: boolean) {
    this.#given = fd;
    this.#isSocket = isSocket;
  }

  async write(bytes: Buffer): Promise<void> {
    this.#pipe ??= this.#open();
    const { fd, socket } = this.#pipe;
    try {
      // the first of it at once: where that fails it is known that none of it has gone out
      const taken = writeNow(fd, bytes);
      this.isCut = true;
      if (taken < bytes.length) await writeAll(socket, bytes.subarray(taken));
      this.isCut = false;
    } catch (error) {
      this.close();
      throw error;
    }
  }

  /** Standard output itself stays open, as libuv closes none of 0, 1 and 2: no other file must get its number. */
  close(): void {
    this.#pipe?.socket.destroy();
    this.#pipe = null;
  }

  #open(): { readonly fd: number; readonly socket: Socket } {
    const fd = (this.#isSocket ? null : reopened(this.#given)) ?? this.#given;
    const socket = new Socket({ fd, readable: false, writable: true });
    return { fd, socket: socket.on('error', () => undefined) };
  }
}

/** `null` where the system does not let it. Waits for no reader. */
function reopened(fd: number): number | null {
  try {
    return openSync(`/dev/fd/${fd}`, constants.O_WRONLY | constants.O_NONBLOCK);
  } catch (cause) {
    if (systemCode(cause) === 'ENXIO') throw new Error('nobody reads standard output', { cause });
    return null;
  }
}

/** How much the pipe takes at once. `node:net` has made sure that it does not wait. */
function writeNow(fd: number, bytes: Buffer): number {
  try {
    return writeSync(fd, bytes);
  } catch (error) {
    if (systemCode(error) === 'EAGAIN') return 0;
    throw error;
  }
}

/** Resolves when the system has taken all of it. */
function writeAll(socket: Socket, bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.write(bytes, (error) => {
      if (error) reject(error);
      // node:net calls a write that its destruction has cut short a success
      else if (socket.destroyed) reject(new Error('standard output was closed'));
      else resolve();
    });
  });
}
