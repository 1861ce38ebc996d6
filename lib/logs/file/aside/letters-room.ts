import { join } from 'node:path';
import type { Batch } from '../../../seams/batch.js';
import type { LettersSize } from '../../../seams/dead-letters.js';
import { batchOf, DEAD_LETTERS, isDeadLetterFile, lettersThere } from './letter-files.js';
import { filesIn } from '../plain-files.js';
import type { FileSystem } from '../file-system.js';
import { LookPace } from '../look-pace.js';

/** The size of the folder is read again after this time, in milliseconds: someone may have made room. */
const KEPT_MS = 1000;

/** The room for dead letters in their folder. */
export class LettersRoom {
  readonly bytesMax: number;
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #logDir: string;
  /** The size of the folder, as far as is known; `null` if it was not read yet. */
  #bytes: number | null = null;
  /**
   * Files with letters of some of their batches, and others that are not settled yet: the size of these letters, and the
   * names of those that earlier runs left.
   */
  readonly #unsettled = new Map<string, { bytes: number; readonly names: readonly string[] }>();
  #knowsLeft = false;
  /** The size of the letters of these files. Nobody may take them away before their file is deleted. */
  #unsettledBytes = 0;
  /** All batches that wait for room ask again and again. */
  readonly #pace = new LookPace(KEPT_MS);

  /** @param bytesMax the bound of the folder; letters of one batch always have room */
  constructor(fs: FileSystem, logDir: string, bytesMax: number) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.#dir = join(logDir, DEAD_LETTERS);
    this.bytesMax = bytesMax;
  }

  /** Whether letters of this size have room, as of the last check. */
  has({ bytes, earlierBytes }: LettersSize): boolean {
    const all = this.#bytes ?? 0;
    const others = Math.max(0, all - earlierBytes);
    // otherwise they would wait for ever: a folder that is empty, except for such letters, cannot get more room
    return others === 0 || all <= this.#unsettledBytes || others + bytes <= this.bytesMax;
  }

  /**
   * @param more bytes to add; the folder is read again if they would exceed the bound
   * @returns its size in bytes
   */
  async look(more: number): Promise<number> {
    let bytes = this.#bytes;
    if (bytes === null || (bytes + more > this.bytesMax && this.#pace.isDue)) {
      bytes = await this.#pace.look(async () => this.#read());
      this.#bytes = bytes;
    }
    return bytes;
  }

  /** The names of letters that earlier runs have left of a file whose batches are not all settled. */
  async leftOf(file: string): Promise<readonly string[]> {
    await this.look(0);
    return this.#unsettled.get(file)?.names ?? [];
  }

  /** Letters of a batch were written or deleted. */
  add({ name }: Pick<Batch, 'name'>, bytes: number): void {
    if (this.#bytes !== null) this.#bytes = Math.max(0, this.#bytes + bytes);
    const file = batchOf(name);
    let unsettled = this.#unsettled.get(file);
    if (unsettled === undefined && name === file) return;
    if (unsettled === undefined) this.#unsettled.set(file, (unsettled = { bytes: 0, names: [] }));
    unsettled.bytes += bytes;
    this.#unsettledBytes += bytes;
  }

  /** A batch file is deleted: its letters may be taken away from now on. */
  settled(name: string): void {
    const unsettled = this.#unsettled.get(name);
    if (unsettled === undefined) return;
    this.#unsettled.delete(name);
    this.#unsettledBytes = Math.max(0, this.#unsettledBytes - unsettled.bytes);
    // what earlier runs have left was only counted with the others
    if (unsettled.names.length > 0) this.#bytes = null;
  }

  async #read(): Promise<number> {
    const there = await lettersThere(this.#fs, this.#logDir, !this.#knowsLeft);
    for (const [file, names] of there.unsettled)
      this.#unsettled.set(file, { bytes: this.#unsettled.get(file)?.bytes ?? 0, names });
    this.#knowsLeft = true;
    const isOfUnsettled = (name: string): boolean =>
      isDeadLetterFile(name) && this.#unsettled.has(batchOf(name));
    this.#unsettledBytes =
      this.#unsettled.size === 0 ? 0 : (await filesIn(this.#fs, this.#dir, isOfUnsettled)).bytes;
    return there.bytes;
  }
}
