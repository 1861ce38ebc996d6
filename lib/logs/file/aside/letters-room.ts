import type { Batch } from '../../../seams/batch.js';
import type { LettersSize } from '../../../seams/dead-letters.js';
import { batchOf, lettersThere } from './letter-files.js';
import type { UnsettledLetters } from './letter-files.js';
import type { FileSystem } from '../file-system.js';
import { LookPace } from '../look-pace.js';

/** The size of the folder is read again after this time, in milliseconds: someone may have made room. */
const KEPT_MS = 1000;

/** At most this many files are known to have some of their letters. They take some 250 bytes each. */
const UNSETTLED_MAX = 10_000;

/** The room for dead letters in their folder. */
export class LettersRoom {
  readonly bytesMax: number;
  readonly #fs: FileSystem;
  readonly #logDir: string;
  /** The size of the folder, as far as is known; `null` if it was not read yet. */
  #bytes: number | null = null;
  /** Whether there may be letters. Their size does not tell: a file whose size cannot be read counts 0. */
  hasAny = false;
  /**
   * Files with letters of some of their batches, and others that are not settled yet: the size of these letters, and the
   * names of those that earlier runs left. Nobody may take them away before their file is deleted.
   */
  readonly #unsettled = new Map<string, UnsettledLetters>();
  #unsettledBytes = 0;
  #knowsLeft = false;
  /** All batches that wait for room ask again and again. */
  readonly #pace = new LookPace(KEPT_MS);

  /** @param bytesMax the bound of the folder; letters of one batch always have room */
  constructor(fs: FileSystem, logDir: string, bytesMax: number) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.bytesMax = bytesMax;
  }

  /**
   * Whether letters of this size have room, as of the last check.
   *
   * @param batch whose they are; `null`: nobody knows
   */
  has({ bytes, earlierBytes }: LettersSize, batch: string | null): boolean {
    const all = this.#bytes ?? 0;
    const others = Math.max(0, all - earlierBytes);
    if (others === 0 || others + bytes <= this.bytesMax) return true;
    // a folder with nothing but such letters cannot get more room: one of their files may go on, or all would wait for ever
    const [first] = this.#unsettled.keys();
    return all <= this.#unsettledBytes && (batch === null || batchOf(batch) === first);
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
    if (bytes === 0) return;
    this.hasAny ||= bytes > 0;
    if (this.#bytes !== null) this.#bytes = Math.max(0, this.#bytes + bytes);
    const file = batchOf(name);
    let unsettled = this.#unsettled.get(file);
    if (unsettled === undefined) {
      // beyond the bound they count like any others
      if (name === file || this.#unsettled.size >= UNSETTLED_MAX) return;
      this.#unsettled.set(file, (unsettled = { bytes: 0, names: [] }));
    }
    unsettled.bytes += bytes;
    this.#unsettledBytes += bytes;
  }

  /** Whether a file has letters of some of its batches, as far as is known. */
  isUnsettled(file: string): boolean {
    return this.#unsettled.has(file);
  }

  /** A batch file is deleted: its letters may be taken away from now on. */
  settled(name: string): void {
    this.#unsettledBytes -= this.#unsettled.get(name)?.bytes ?? 0;
    this.#unsettled.delete(name);
  }

  async #read(): Promise<number> {
    const { files, bytes, unsettled } = await lettersThere(this.#fs, this.#logDir, !this.#knowsLeft);
    for (const [file, left] of unsettled) {
      if (this.#unsettled.size >= UNSETTLED_MAX) break;
      this.#unsettled.set(file, left);
      this.#unsettledBytes += left.bytes;
    }
    this.#knowsLeft = true;
    this.hasAny = files > 0;
    return bytes;
  }
}
