import type { EventContext } from './event-context.js';
import type { EventIds } from './event-ids.js';

const EMPTY = Buffer.alloc(0);

/** Lines share blocks of at most this length, in bytes. A longer line gets its own block. */
const BLOCK_BYTES_MAX = 65_536;

/** The lines of a request, one after the other, without line breaks. No event costs an object. */
export class EventBlock {
  /** What an id window keeps of its events; `null`: there is none for them. */
  ids: EventIds | null = null;
  /** What its request says beside its events; `null`: nothing. */
  context: EventContext | null = null;
  /** The used part of each full block. The block in use is not among them. */
  #full: Buffer[] = [];
  #block = EMPTY;
  #used = 0;
  /** The end of each line but the last, in bytes. A request of one event, as nearly all are, needs no list. */
  readonly #ends: number[] = [];
  #lastEnd = 0;
  #length = 0;

  static of(...lines: readonly string[]): EventBlock {
    const buffer = new EventBlock();
    for (const line of lines) buffer.addText(line);
    return buffer;
  }

  /** The number of lines. */
  get length(): number {
    return this.#length;
  }

  /** The lines in UTF-8, in one buffer. Bytes after the last line are not used yet. */
  get bytes(): Buffer {
    if (this.#full.length > 0) {
      this.#block = Buffer.concat([...this.#full, this.#block.subarray(0, this.#used)]);
      this.#used = this.#block.length;
      this.#full = [];
    }
    return this.#block;
  }

  /**
   * Where a line starts in `bytes`. It ends where the next one starts; `startOf(length)` is the end of the last one.
   */
  startOf(index: number): number {
    if (index === 0) return 0;
    return index === this.#length ? this.#lastEnd : (this.#ends[index - 1] ?? 0);
  }

  addText(line: string): void {
    const bytes = Buffer.from(line, 'utf8');
    this.add(bytes, 0, bytes.length, EMPTY);
  }

  /**
   * Adds a line: the bytes of `source` from `start` to before `end`.
   *
   * @param tail appended to the line
   */
  add(source: Uint8Array, start: number, end: number, tail: Uint8Array): void {
    this.addBytes(new Uint8Array(source.buffer, source.byteOffset + start, end - start), tail);
  }

  /** Adds a line: a text, and what is appended to it. */
  addBytes(text: Uint8Array, tail: Uint8Array): void {
    const length = text.length + tail.length;
    if (this.#used + length > this.#block.length) this.#openBlock(length);
    const tailAt = this.#used + text.length;
    this.#block.set(text, this.#used);
    // a call takes longer for so few bytes
    for (let index = 0; index < tail.length; index++) this.#block[tailAt + index] = tail[index] ?? 0;
    this.#used += length;
    if (this.#length > 0) this.#ends.push(this.#lastEnd);
    this.#lastEnd += length;
    this.#length++;
  }

  /** Copies no earlier lines: growing by copying would leave more garbage than a body. */
  #openBlock(bytesMin: number): void {
    if (this.#used > 0) this.#full.push(this.#block.subarray(0, this.#used));
    this.#block = Buffer.allocUnsafe(Math.max(bytesMin, Math.min(2 * this.#block.length, BLOCK_BYTES_MAX)));
    this.#used = 0;
  }
}
