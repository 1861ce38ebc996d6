import type { Batch } from '../../../seams/batch.js';
import type { LettersSize } from '../../../seams/dead-letters.js';
import { filesIn, isDeadLetterFile } from '../directory-listing.js';
import type { FileSystem } from '../file-system.js';
import { LookPace } from '../look-pace.js';

/** The size of the folder is read again after this time, in milliseconds: someone may have made room. */
const KEPT_MS = 1000;

/** The room for dead letters in their folder. */
export class LettersRoom {
  readonly bytesMax: number;
  readonly #fs: FileSystem;
  readonly #dir: string;
  /** The size of the folder, as far as is known; `null` if it was not read yet. */
  #bytes: number | null = null;
  /** Large files with letters of some pieces and other pieces that are not settled yet. */
  readonly #unsettled = new Set<string>();
  /** The size of the letters of these files. Nobody may take them away before their file is deleted. */
  #unsettledBytes = 0;
  /** All batches that wait for room ask again and again. */
  readonly #pace = new LookPace(KEPT_MS);

  /** @param bytesMax the bound of the folder; letters of one batch always have room */
  constructor(fs: FileSystem, dir: string, bytesMax: number) {
    this.#fs = fs;
    this.#dir = dir;
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

  /** Letters of a batch, or of a piece of a large file, are about to be written. */
  isFor({ name }: Pick<Batch, 'name'>): void {
    const file = fileOf(name);
    if (name === file || this.#unsettled.has(file)) return;
    this.#unsettled.add(file);
    this.#bytes = null; // it may have letters of an earlier run
  }

  /** Letters of a batch were written or deleted. */
  add({ name }: Pick<Batch, 'name'>, bytes: number): void {
    this.#bytes = Math.max(0, (this.#bytes ?? 0) + bytes);
    if (this.isOfUnsettled(name)) this.#unsettledBytes += bytes;
  }

  isOfUnsettled(name: string): boolean {
    return this.#unsettled.has(fileOf(name));
  }

  settled(name: string): void {
    this.#unsettled.delete(name);
    this.#bytes = null;
  }

  async #read(): Promise<number> {
    const isOfUnsettled = (name: string): boolean => isDeadLetterFile(name) && this.isOfUnsettled(name);
    this.#unsettledBytes =
      this.#unsettled.size === 0 ? 0 : (await filesIn(this.#fs, this.#dir, isOfUnsettled)).bytes;
    return (await filesIn(this.#fs, this.#dir, isDeadLetterFile)).bytes;
  }
}

/** The name of the batch file, from the name of a piece or of a file of letters. */
export function fileOf(name: string): string {
  return name.replace(/(?:#.*|(?<=\.jsonl)\.\d+)$/, '');
}
