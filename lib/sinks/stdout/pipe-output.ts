import { constants, openSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { systemCode } from '../../base/errors.js';
import type { Output } from './output.js';

/**
 * The writing end of a pipe, or a socket, that the process was given. A slow reader holds up what is written and nothing
 * else: neither the event loop nor a thread of the pool waits in a call.
 *
 * If the system allows it, the pipe is opened once more: so it stays a pipe that waits for others that write to it, and it
 * is known at once if nobody reads it. A socket, or a pipe of another user, is used as it is. After a failure it is opened
 * again: the next reader of a named pipe (`mkfifo`) may have come.
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
      // the first of it at once: if that fails, none of it has gone out
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

/** `null` if the system does not allow it. Waits for no reader. */
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
