import type { Mode, PathLike } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import type { SinkFiles } from '../../lib/sinks/file/sink-files.js';

/** A call that changes something: `write out.jsonl`, `rename out.jsonl > out-TIME.jsonl`, `sync DIR`. */
export type Call = string;

/**
 * `node:fs` under a file sink. Notes the calls that change something, before they run, and lets a test fail them or
 * stop the world there. Stamps in names are shown as `TIME`.
 */
export class WatchedFiles implements SinkFiles {
  readonly calls: Call[] = [];
  /** May throw: so the call fails. What it waits for, the call waits for. */
  before: (call: Call) => void | Promise<void> = () => undefined;
  readonly stat = nodeFs.stat;
  readonly lstat = nodeFs.lstat;
  readonly readdir = nodeFs.readdir;
  readonly realpath = nodeFs.realpath;
  readonly #handles = new Set<FileHandle>();
  /** Calls that the system is at. */
  readonly #running = new Set<Promise<unknown>>();
  #isKilled = false;

  readonly open = async (path: PathLike, flags?: string | number, mode?: Mode): Promise<FileHandle> => {
    const name = shown(path);
    // a string is from the compressor, a number from who appends
    const makes = flags === 'w' || (typeof flags === 'number' && !(await isThere(path)));
    if (makes) await this.#note(`make ${name}`);
    const handle = await this.#run(() => nodeFs.open(path, flags, mode));
    this.#handles.add(handle);
    const isDirectory = (await handle.stat()).isDirectory();
    for (const method of ['write', 'datasync', 'sync', 'truncate'] as const) {
      const call = handle[method].bind(handle) as (...args: unknown[]) => Promise<unknown>;
      const watched = async (...args: unknown[]): Promise<unknown> => {
        await this.#note(`${method} ${isDirectory ? 'DIR' : name}`, () =>
          // half of it has gone out when the process is killed
          method === 'write' && Buffer.isBuffer(args[0]) ? half(call, args) : Promise.resolve(),
        );
        return this.#run(() => call(...args));
      };
      Object.defineProperty(handle, method, { value: watched });
    }
    return handle;
  };

  readonly rename = async (from: PathLike, to: PathLike): Promise<void> => {
    await this.#note(`rename ${shown(from)} > ${shown(to)}`);
    await this.#run(() => nodeFs.rename(from, to));
  };

  readonly unlink = async (path: PathLike): Promise<void> => {
    await this.#note(`unlink ${shown(path)}`);
    await this.#run(() => nodeFs.unlink(path));
  };

  /** From this call on nothing happens any more, as after `kill -9`; of a write, half. */
  killAt(count: number): Promise<void> {
    return new Promise((killed) => {
      let left = count;
      this.#kill = async (partly) => {
        if (left-- > 0) return;
        if (left === -1) await partly();
        this.#isKilled = true;
        killed();
        await new Promise(() => undefined);
      };
    });
  }

  /** What the system does when a process has ended: a call that it is at comes to its end before. */
  async closeAll(): Promise<void> {
    await Promise.allSettled(this.#running);
    for (const handle of this.#handles) await handle.close().catch(() => undefined);
  }

  #kill: (partly: () => Promise<unknown>) => Promise<void> = async () => undefined;

  async #run<T>(call: () => Promise<T>): Promise<T> {
    if (this.#isKilled) await new Promise(() => undefined);
    const running = call();
    this.#running.add(running);
    try {
      return await running;
    } finally {
      this.#running.delete(running);
    }
  }

  async #note(call: Call, partly: () => Promise<unknown> = async () => undefined): Promise<void> {
    await this.#kill(partly);
    this.calls.push(call);
    await this.before(call);
  }
}

function half(call: (...args: unknown[]) => Promise<unknown>, args: unknown[]): Promise<unknown> {
  const [bytes, from, length, position] = args as [Buffer, number, number, number | null];
  return call(bytes, from, Math.floor(length / 2), position);
}

async function isThere(path: PathLike): Promise<boolean> {
  return nodeFs.lstat(path).then(
    () => true,
    () => false,
  );
}

function shown(path: PathLike): string {
  return basename(String(path)).replace(/\d{8}T\d{6}\.\d{3}Z/, 'TIME');
}
