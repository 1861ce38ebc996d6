import type { BatchFile } from './batch-file.js';
import type { BatchStart } from './batches-in-file.js';

/** A sealed file that is in memory. */
export interface CachedFile {
  readonly isShared: boolean;
  readonly events: number;
  /** The size of its lines. */
  readonly bytes: number;
  /** Where each of its batches starts. */
  readonly starts: readonly BatchStart[];
  /** Its lines, as appended. */
  readonly parts: readonly Buffer[];
}

/**
 * The recently appended events, so that a batch that is delivered at once need not be read from its file: opening,
 * reading and closing it costs as much as appending to it. Only whole files are kept; others are read from disk.
 */
export class WriteCache {
  readonly #bytesMax: number;
  readonly #fileBytesMax: number;
  #bytes = 0;
  readonly #open = new Map<BatchFile, Buffer[]>();
  readonly #sealed = new Map<string, CachedFile & { readonly parts: Buffer[] }>();

  /**
   * @param bytesMax how much is kept, in bytes of the log; the rest is forgotten
   * @param fileBytesMax a larger file is not kept: it is read in pieces
   */
  constructor(bytesMax: number, fileBytesMax: number) {
    this.#bytesMax = bytesMax;
    this.#fileBytesMax = fileBytesMax;
  }

  /** Adds lines that are now acknowledged. */
  add(file: BatchFile, lines: Buffer): void {
    const parts = this.#open.get(file) ?? [];
    const isWhole = parts.length > 0 || file.bytes === lines.length;
    if (!isWhole || file.bytes > this.#fileBytesMax || this.#bytes + lines.length > this.#bytesMax) {
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
    const { name, isShared, events, bytes, starts } = file;
    if (parts !== undefined) this.#sealed.set(name, { isShared, events, bytes, starts, parts });
  }

  has(name: string): boolean {
    return this.#sealed.has(name);
  }

  /** A sealed file; `null` if it is no longer known. */
  read(name: string): CachedFile | null {
    return this.#sealed.get(name) ?? null;
  }

  delete(name: string): void {
    const file = this.#sealed.get(name);
    if (file === undefined) return;
    this.#forget(file.parts);
    this.#sealed.delete(name);
  }

  /** Empties the list, too: outgrown tables of the map may keep it for a while (decision 72). */
  #forget(parts: Buffer[]): void {
    for (const { length } of parts) this.#bytes -= length;
    parts.length = 0;
  }
}

/** The lines of a file from one position to before another. */
export function linesBetween(parts: readonly Buffer[], from: number, to: number): Buffer[] {
  const lines: Buffer[] = [];
  let start = 0;
  for (const part of parts) {
    if (start >= to) break;
    if (start + part.length > from) lines.push(part.subarray(Math.max(0, from - start), to - start));
    start += part.length;
  }
  return lines;
}
