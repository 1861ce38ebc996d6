import { join } from 'node:path';
import { asError, systemCode } from '../../base/errors.js';
import { unlink } from './closing.js';
import { statsOf, writeNewFile } from './file-system.js';
import type { FileSystem } from './file-system.js';
import type { DirectorySync } from './directory-sync.js';

export const RESERVE_FILE = 'forebay.reserve';

/** Its size: enough for the dead letters of most batches, and little on a small disk. */
export const RESERVE_BYTES = 131_072;
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/**
 * A file that takes up room on the disk of the log, for the way out. A batch can leave a full disk only if there is room
 * for what it leaves behind: its dead letters, its damaged lines. For these the file is deleted. It is put back when
 * there is room again, and before that the log takes no events: they would take the room of the next ones.
 */
export class Reserve {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #logNames: DirectorySync;
  #isHeld = false;
  /** Whether the disk is full, as far as is known: what it has is the room of the reserve. */
  isOut = false;
  #holding: Promise<void> | null = null;
  #isClosed = false;
  /** How often it was put back, or that was tried. */
  #holds = 0;
  /** What the disk said when the room was lent that is being used now; `null`: none is. */
  #lentFor: Error | null = null;

  /** @param logNames makes names in the log directory durable, for all that make some */
  constructor(fs: FileSystem, dir: string, logNames: DirectorySync) {
    this.#fs = fs;
    this.#logNames = logNames;
    this.#path = join(dir, RESERVE_FILE);
  }

  /** Puts it back, unless it is there. @throws the system's error */
  async hold(): Promise<void> {
    if (this.#isHeld) return;
    // one that runs may have failed before there was room
    await this.#holding?.catch(() => undefined);
    if (this.#isHeld || this.#isClosed) return;
    if (this.#lentFor !== null) throw this.#lentFor;
    this.#holding ??= this.#hold().finally(() => (this.#holding = null));
    await this.#holding;
  }

  /** The same for who does not wait for it. */
  async tryToHold(): Promise<void> {
    await this.hold().catch(() => undefined);
  }

  /** Does some work on the disk, and if it is full once more in the room of the reserve. @throws what the work throws */
  async lend<T>(work: () => Promise<T>): Promise<T> {
    const holds = this.#holding === null ? this.#holds : this.#holds - 1;
    try {
      return await work();
    } catch (error) {
      if (!isFull(error)) throw error;
      await this.#holding?.catch(() => undefined);
      // to put it back may have taken the room meanwhile
      if (!this.#isHeld && this.#holds === holds) throw error;
      // before there is room that an event could take
      this.isOut = true;
      this.#lentFor = asError(error);
      try {
        if (this.#isHeld) {
          this.#isHeld = false;
          await unlink(this.#fs, this.#path);
        }
        return await work();
      } finally {
        this.#lentFor = null;
      }
    }
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#holding?.catch(() => undefined);
  }

  async #hold(): Promise<void> {
    this.#holds++;
    const there = await statsOf(this.#fs, this.#path);
    if (there === null || there.size < RESERVE_BYTES) {
      await this.#write().catch((error: unknown) => {
        this.isOut ||= isFull(error);
        throw error;
      });
    }
    this.#isHeld = true;
    this.isOut = false;
  }

  async #write(): Promise<void> {
    await unlink(this.#fs, this.#path);
    // not by itself: if it fails, the names of batch files are in doubt as well, and must hear of it
    const flushName = this.#logNames.forNewName();
    await writeNewFile(this.#fs, this.#path, Buffer.alloc(RESERVE_BYTES), flushName);
  }
}

/** Whether an error of the system says that there is no room. */
export function isFull(error: unknown): boolean {
  return FULL.has(systemCode(error) ?? '');
}
