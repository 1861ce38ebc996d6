import type { Mode, PathLike } from 'node:fs';
import * as nodeFs from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import type { SinkFiles } from '../../lib/sinks/file/line-file.js';

/** A call that changes something: `append out.jsonl`, `sync DIR`. */
export type Call = string;

/**
 * `node:fs` under a file sink. Notes the calls that change something, before they run, and lets a test fail them or
 * stop the world there.
 */
export class WatchedFiles implements SinkFiles {
  readonly calls: Call[] = [];
  /** May throw: so the call fails. What it waits for, the call waits for. */
  before: (call: Call) => void | Promise<void> = () => undefined;
  readonly stat = nodeFs.stat;
  readonly realpath = nodeFs.realpath;
  readonly #handles = new Set<FileHandle>();
  /** Calls that the system is at. */
  readonly #running = new Set<Promise<unknown>>();
  #isKilled = false;

  readonly open = async (path: PathLike, flags?: string | number, mode?: Mode): Promise<FileHandle> => {
    const name = basename(String(path));
    if (typeof flags === 'number' && !(await isThere(path))) await this.#note(`make ${name}`);
    const handle = await this.#run(() => nodeFs.open(path, flags, mode));
    this.#handles.add(handle);
    const isDirectory = (await handle.stat()).isDirectory();
    for (const method of ['appendFile', 'write', 'datasync', 'sync', 'truncate'] as const) {
      const call = handle[method].bind(handle) as (...args: unknown[]) => Promise<unknown>;
      const watched = async (...args: unknown[]): Promise<unknown> => {
        const [bytes] = args;
        await this.#note(`${method.replace('File', '')} ${isDirectory ? 'DIR' : name}`, async () =>
          // half of it has gone out when the process is killed
          Buffer.isBuffer(bytes) ? call(bytes.subarray(0, bytes.length / 2)) : undefined,
        );
        return this.#run(() => call(...args));
      };
      Object.defineProperty(handle, method, { value: watched });
    }
    return handle;
  };

  readonly unlink = async (path: PathLike): Promise<void> => {
    await this.#note(`unlink ${basename(String(path))}`);
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

async function isThere(path: PathLike): Promise<boolean> {
  return nodeFs.lstat(path).then(
    () => true,
    () => false,
  );
}
