import type { BatchFile } from './batch-file.js';
import { unmarkedLines } from './checksum.js';
import type { UnmarkedLines } from './checksum.js';

/**
 * The recently appended events, so that a batch that is delivered at once need not be read from its file: opening,
 * reading and closing it costs as much as appending to it. Only whole batches are kept; others are read from disk.
 */
export class WriteCache {
  readonly #bytesMax: number;
  readonly #fileBytes: number;
  #bytes = 0;
  readonly #open = new Map<BatchFile, Buffer[]>();
  readonly #sealed = new Map<string, readonly Buffer[]>();

  /**
   * @param bytesMax how much is kept, in bytes of the log; the rest is forgotten
   * @param fileBytes a larger file is not kept: it is read in pieces
   */
  constructor(bytesMax: number, fileBytes: number) {
    this.#bytesMax = bytesMax;
    this.#fileBytes = fileBytes;
  }

  /** Adds lines that are now acknowledged. */
  add(file: BatchFile, lines: Buffer): void {
    const parts = this.#open.get(file) ?? [];
    const isWhole = parts.length > 0 || file.bytes === lines.length;
    if (!isWhole || file.bytes > this.#fileBytes || this.#bytes + lines.length > this.#bytesMax) {
      this.#forget(parts);
      this.#open.delete(file);
      return;
    }
    parts.push(lines);
    this.#bytes += lines.length;
    this.#open.set(file, parts);
  }

  seal(file: BatchFile): void {
    const parts = this.#open.get(file);
    this.#open.delete(file);
    if (parts !== undefined) this.#sealed.set(file.name, parts);
  }

  has(name: string): boolean {
    return this.#sealed.has(name);
  }

  /** A sealed batch; `null` if it is no longer known. */
  read(name: string): UnmarkedLines | null {
    const parts = this.#sealed.get(name);
    return parts === undefined ? null : unmarkedLines(parts);
  }

  delete(name: string): void {
    const parts = this.#sealed.get(name);
    if (parts === undefined) return;
    this.#forget(parts);
    this.#sealed.delete(name);
  }

  #forget(parts: readonly Buffer[]): void {
    for (const { length } of parts) this.#bytes -= length;
  }
}
