const EMPTY = Buffer.alloc(0);

/** The lines of a request, one after the other in one buffer, without line breaks: no object for each event. */
export class LineBuffer {
  #bytes: Buffer = EMPTY;
  /** Where each line ends, in bytes. */
  readonly #ends: number[] = [];

  static of(...lines: readonly string[]): LineBuffer {
    const buffer = new LineBuffer();
    for (const line of lines) buffer.addText(line);
    return buffer;
  }

  /** How many lines there are. */
  get length(): number {
    return this.#ends.length;
  }

  /** The lines in UTF-8. What stands behind the last of them is not used yet. */
  get bytes(): Buffer {
    return this.#bytes;
  }

  /** Where a line begins in `bytes`: it ends where the next one begins. For `length`: where the last one ends. */
  startOf(index: number): number {
    return index === 0 ? 0 : (this.#ends[index - 1] ?? 0);
  }

  addText(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    this.add(bytes, 0, bytes.length, '');
  }

  /**
   * A line that stands in other bytes, from `start` to before `end`.
   *
   * @param tail ASCII that is put behind it
   */
  add(source: Uint8Array, start: number, end: number, tail: string): void {
    const at = this.startOf(this.length);
    const tailAt = at + end - start;
    const lineEnd = tailAt + tail.length;
    if (lineEnd > this.#bytes.length) this.#grow(at, lineEnd);
    this.#bytes.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start), at);
    // so few characters take longer in a call to Buffer's write
    for (let index = 0; index < tail.length; index++) this.#bytes[tailAt + index] = tail.charCodeAt(index);
    this.#ends.push(lineEnd);
  }

  #grow(used: number, bytes: number): void {
    const grown = Buffer.allocUnsafe(Math.max(bytes, 2 * this.#bytes.length));
    this.#bytes.copy(grown, 0, 0, used);
    this.#bytes = grown;
  }
}
