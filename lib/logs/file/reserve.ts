import { join } from 'node:path';
import { asError, systemCode } from '../../base/errors.js';
import { unlink } from './closing.js';
import { statsOf } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { writeNewFile } from './new-file.js';
import type { DirectorySync } from './directory-sync.js';

export const RESERVE_FILE = 'forebay.reserve';

/** Enough for the dead letters of most batches, and little on a small disk. */
export const RESERVE_BYTES = 131_072;
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/** Runs work on the disk, and again as long as something less important can make room on a full one. */
export type WithRoom = <T>(work: () => Promise<T>) => Promise<T>;

/**
 * A file that reserves room on the disk of the log. A batch can leave a full disk only if there is room for what it
 * leaves: dead letters and damaged lines. The file is deleted to make room for these, and put back when there is room
 * again. Before that the log takes no events: they would take the room of the next letters.
 */
export class Reserve {
  readonly #fs: FileSystem;
  readonly #path: string;
  readonly #logNames: DirectorySync;
  readonly #withRoom: WithRoom;
  #isHeld = false;
  /** Whether the disk is full, as far as is known: its only room is that of the reserve. */
  isOut = false;
  #holding: Promise<void> | null = null;
  #isClosed = false;
  /** How often it was put back, failed attempts included. */
  #holds = 0;
  /** The disk's error for which the room is lent now; `null` if it is not lent. */
  #lentFor: Error | null = null;

  /**
   * @param logNames makes names in the log directory durable, for everyone who creates files there
   * @param withRoom makes room on a full disk before the reserve is lent
   */
  constructor(
    fs: FileSystem,
    dir: string,
    logNames: DirectorySync,
    withRoom: WithRoom = async (work) => work(),
  ) {
    this.#fs = fs;
    this.#logNames = logNames;
    this.#withRoom = withRoom;
    this.#path = join(dir, RESERVE_FILE);
  }

  /** Puts the file back if it is missing. @throws the system's error */
  async hold(): Promise<void> {
    if (this.#isHeld) return;
    // a running attempt may have failed before there was room
    await this.#holding?.catch(() => undefined);
    if (this.#isHeld || this.#isClosed) return;
    if (this.#lentFor !== null) throw this.#lentFor;
    this.#holding ??= this.#hold().finally(() => (this.#holding = null));
    await this.#holding;
  }

  /** The same for callers that do not wait for success. */
  async tryToHold(): Promise<void> {
    await this.hold().catch(() => undefined);
  }

  /** Runs work on the disk; if the disk is full, once more in the room of the reserve. @throws the work's error */
  async lend<T>(work: () => Promise<T>): Promise<T> {
    const holds = this.#holding === null ? this.#holds : this.#holds - 1;
    try {
      return await this.#withRoom(work);
    } catch (error) {
      if (!isFull(error)) throw error;
      await this.#holding?.catch(() => undefined);
      // putting it back may have taken the room meanwhile
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
    // through the shared flush: if it fails, the names of batch files are in doubt as well, and their files must be given up
    const flushName = this.#logNames.forNewName();
    await writeNewFile(this.#fs, this.#path, Buffer.alloc(RESERVE_BYTES), flushName);
  }
}

/** Whether a system error says that there is no room. */
export function isFull(error: unknown): boolean {
  return FULL.has(systemCode(error) ?? '');
}
