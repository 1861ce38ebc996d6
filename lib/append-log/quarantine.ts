import { join } from 'node:path';
import { callVoid, flushDirectory, readAll, statsOf, writeNewFile } from './file-system.js';
import type { FileSystem } from './file-system.js';
import type { Reserve } from './reserve.js';
import { Subdirectory } from './subdirectory.js';
import type { SubdirectoryOwner } from './subdirectory.js';

export const QUARANTINE = 'quarantine';

/** Where damaged parts of batch files are kept. */
export class Quarantine {
  readonly #fs: FileSystem;
  readonly #dir: Subdirectory;
  readonly #reserve: Reserve;
  /** One file after another: a failed flush of the directory leaves the name of no other file in doubt. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor({ fs, logDir, logNames, reserve }: SubdirectoryOwner) {
    this.#fs = fs;
    this.#reserve = reserve;
    this.#dir = new Subdirectory(fs, join(logDir, QUARANTINE), logNames);
  }

  /**
   * Puts damaged parts of a batch file here, byte for byte and flushed, in a file named like it. What was set aside
   * before is never overwritten with something else: a second file of the name ends in `.2`, and so on.
   *
   * @returns the path of the file
   */
  async setAside(batchName: string, damaged: readonly Buffer[]): Promise<string> {
    const path = this.#turn.then(() => this.#reserve.lend(() => this.#write(batchName, damaged)));
    this.#turn = path.catch(() => undefined);
    return path;
  }

  async #write(batchName: string, damaged: readonly Buffer[]): Promise<string> {
    await this.#dir.ensure();
    const bytes = Buffer.concat(damaged);
    const path = await freePath(this.#fs, join(this.#dir.path, batchName), bytes);
    try {
      await writeNewFile(this.#fs, path, bytes);
      await flushDirectory(this.#fs, this.#dir.path);
    } catch (error) {
      // the next attempt makes a new file
      await unlink(this.#fs, path).catch(() => undefined);
      throw error;
    }
    return path;
  }

  async close(): Promise<void> {
    await this.#turn;
  }
}

/** The name for the damaged lines of a piece that starts at a position. */
export function asideName(batchName: string, at: number): string {
  return at === 0 ? batchName : `${batchName}#${at}`;
}

/**
 * The path of a new file. One that holds the same bytes, or their start, is of an attempt that was cut off: it is deleted,
 * because after a failed flush neither its bytes nor its name could be trusted.
 */
async function freePath(fs: FileSystem, first: string, bytes: Buffer): Promise<string> {
  for (let number = 1; ; number++) {
    const path = number === 1 ? first : `${first}.${number}`;
    const there = await statsOf(fs, path);
    if (there === null) return path;
    if (!there.isFile() || !(await holdsStartOf(fs, path, bytes))) continue;
    await unlink(fs, path);
    return path;
  }
}

async function unlink(fs: FileSystem, path: string): Promise<void> {
  await callVoid((done) => {
    fs.unlink(path, done);
  });
}

async function holdsStartOf(fs: FileSystem, path: string, bytes: Buffer): Promise<boolean> {
  const there = await readAll(fs, path, bytes.length + 1);
  return there.equals(bytes.subarray(0, there.length));
}
