const EMPTY = Buffer.alloc(0);

/** Lines are put together in blocks of at most this length, in bytes; a longer line has one of its own. */
const BLOCK_BYTES_MAX = 65_536;

/** The lines of a request, one after the other, without line breaks: no object for each event. */
export class EventBlock {
  /** The blocks that are full, each as far as it is used, and the one that is not. */
  #full: Buffer[] = [];
  #block = EMPTY;
  #used = 0;
  /** Where each line but the last ends, in bytes: a request of one event, as nearly all are, needs no list. */
  readonly #ends: number[] = [];
  #lastEnd = 0;
  #length = 0;

  static of(...lines: readonly string[]): EventBlock {
    const buffer = new EventBlock();
    for (const line of lines) buffer.addText(line);
    return buffer;
  }

  /** How many lines there are. */
  get length(): number {
    return this.#length;
  }

  /** The lines in UTF-8, in one buffer. What stands behind the last of them is not used yet. */
  get bytes(): Buffer {
    if (this.#full.length > 0) {
      this.#block = Buffer.concat([...this.#full, this.#block.subarray(0, this.#used)]);
      this.#used = this.#block.length;
      this.#full = [];
    }
    return this.#block;
  }

  /** Where a line begins in `bytes`: it ends where the next one begins. For `length`: where the last one ends. */
  startOf(index: number): number {
    if (index === 0) return 0;
    return index === this.#length ? this.#lastEnd : (this.#ends[index - 1] ?? 0);
  }

  addText(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    this.add(bytes, 0, bytes.length, EMPTY);
  }

  /**
   * A line that stands in other bytes, from `start` to before `end`.
   *
   * @param tail what is put behind it
   */
  add(source: Uint8Array, start: number, end: number, tail: Uint8Array): void {
    const length = end - start + tail.length;
    if (this.#used + length > this.#block.length) this.#openBlock(length);
    const tailAt = this.#used + end - start;
    this.#block.set(new Uint8Array(source.buffer, source.byteOffset + start, end - start), this.#used);
    // so few bytes take longer in a call
    for (let index = 0; index < tail.length; index++) this.#block[tailAt + index] = tail[index] ?? 0;
    this.#used += length;
    if (this.#length > 0) this.#ends.push(this.#lastEnd);
    this.#lastEnd += length;
    this.#length++;
  }

  /** Nothing is copied as more comes: what that leaves behind is more than a body. */
  #openBlock(bytesMin: number): void {
    if (this.#used > 0) this.#full.push(this.#block.subarray(0, this.#used));
    this.#block = Buffer.allocUnsafe(Math.max(bytesMin, Math.min(2 * this.#block.length, BLOCK_BYTES_MAX)));
    this.#used = 0;
  }
}
