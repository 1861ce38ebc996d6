import type { Batch } from '../../../seams/batch.js';
import type { LettersSize } from '../../../seams/dead-letters.js';
import { filesIn, isDeadLetterFile } from '../directory-listing.js';
import type { FileSystem } from '../file-system.js';
import { LookPace } from '../look-pace.js';

/** So soon it is seen that someone has made room. */
const KEPT_MS = 1000;

/** How much room there is for dead letters in their folder. */
export class LettersRoom {
  readonly bytesMax: number;
  readonly #fs: FileSystem;
  readonly #dir: string;
  /** What stands there, as far as is known; `null`: it was not looked at yet. */
  #bytes: number | null = null;
  /** Large files of which some pieces have letters and others are not settled yet. */
  readonly #unsettled = new Set<string>();
  /** What of it are letters of these. Nobody may take them away before their file is deleted. */
  #unsettledBytes = 0;
  /** All batches that wait for room ask, again and again. */
  readonly #pace = new LookPace(KEPT_MS);

  /** @param bytesMax so many bytes may stand there; those of one batch always */
  constructor(fs: FileSystem, dir: string, bytesMax: number) {
    this.#fs = fs;
    this.#dir = dir;
    this.bytesMax = bytesMax;
  }

  /** Whether letters of this size have room, as of the last look. */
  has({ bytes, earlierBytes }: LettersSize): boolean {
    const all = this.#bytes ?? 0;
    const others = Math.max(0, all - earlierBytes);
    // else they would wait for ever: nobody can make more room than a folder has that is empty, but for such letters
    return others === 0 || all <= this.#unsettledBytes || others + bytes <= this.bytesMax;
  }

  /**
   * @param more bytes to be added; the folder is read again if they would exceed the bound
   * @returns the bytes that it holds
   */
  async look(more: number): Promise<number> {
    let bytes = this.#bytes;
    if (bytes === null || (bytes + more > this.bytesMax && this.#pace.isDue)) {
      bytes = await this.#pace.look(async () => this.#read());
      this.#bytes = bytes;
    }
    return bytes;
  }

  /** Letters of a batch are to be written, or of a piece of a large file. */
  isFor({ name }: Pick<Batch, 'name'>): void {
    const file = fileOf(name);
    if (name === file || this.#unsettled.has(file)) return;
    this.#unsettled.add(file);
    this.#bytes = null; // it may have some of an earlier run
  }

  /** Letters of a batch were written, or deleted. */
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

/** The name of the batch file, from that of a piece, or of a file of letters. */
export function fileOf(name: string): string {
  return name.replace(/(?:#.*|(?<=\.jsonl)\.\d+)$/, '');
}
