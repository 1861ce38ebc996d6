import { join } from 'node:path';
import { batchOf } from './letter-files.js';
import { readAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { copies, writeNewCopy } from './new-copy.js';
import type { EarlierCopy } from './new-copy.js';
import { Subdirectory } from './subdirectory.js';
import type { SubdirectoryOwner } from './subdirectory.js';

export const QUARANTINE = 'quarantine';

/** Where damaged parts of batch files are kept. */
export class Quarantine {
  readonly #owner: SubdirectoryOwner;
  readonly #fs: FileSystem;
  readonly #dir: Subdirectory;
  /** One file at a time: a failed flush of the directory leaves the name of no other file in doubt. */
  #turn: Promise<unknown> = Promise.resolve();

  constructor(owner: SubdirectoryOwner) {
    const { fs } = owner;
    this.#owner = owner;
    this.#fs = fs;
    this.#dir = new Subdirectory(owner, QUARANTINE);
  }

  /**
   * Puts damaged parts of a batch file here, byte for byte and flushed, in a file with the same name. It never
   * overwrites other bytes that were set aside before: a second file of the name ends in `.2`, and so on.
   *
   * @returns the path of the file
   */
  async setAside(batchName: string, damaged: readonly Buffer[]): Promise<string> {
    const path = this.#turn.then(() => this.#owner.reserve.lend(() => this.#write(batchName, damaged)));
    this.#turn = path.catch(() => undefined);
    return path;
  }

  async #write(batchName: string, damaged: readonly Buffer[]): Promise<string> {
    await this.#dir.ensure();
    const bytes = Buffer.concat(damaged);
    const first = join(this.#dir.path, batchName);
    // an earlier attempt has written the same bytes, or the start of them
    const earlier: EarlierCopy[] = [];
    for await (const copy of copies(this.#fs, first))
      if (await holdsStartOf(this.#fs, copy.path, bytes)) earlier.push(copy);
    // a part of a large file has its position after the name, and one of a compressed file its ending
    return writeNewCopy({ ...this.#owner, first, bytes, earlier, batchName: batchOf(batchName) });
  }

  async close(): Promise<void> {
    await this.#turn;
  }
}

/** The name for the damaged lines of the piece at a position. */
export function asideName(batchName: string, at: number): string {
  return at === 0 ? batchName : `${batchName}#${at}`;
}

async function holdsStartOf(fs: FileSystem, path: string, bytes: Buffer): Promise<boolean> {
  const there = await readAll(fs, path, bytes.length + 1);
  return there.equals(bytes.subarray(0, there.length));
}
