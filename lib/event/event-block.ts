import type { EventContext } from './event-context.js';
import type { EventIds } from './event-ids.js';

const EMPTY = Buffer.alloc(0);

/** Lines share pieces of at most this length, in bytes. A longer line gets its own. */
const PIECE_BYTES_MAX = 65_536;

/** Consecutive lines of a request, one after the other, without line breaks. */
export interface Piece {
  readonly bytes: Buffer;
  /** The number of its first line. */
  readonly from: number;
  /** Where that line starts among all lines, in bytes. */
  readonly start: number;
}

const NO_LINES: Piece = { bytes: EMPTY, from: 0, start: 0 };

/** The lines of a request, in their order. No event costs an object. */
export class EventBlock {
  /** What an id window keeps of its events; `null`: there is none for them. */
  ids: EventIds | null = null;
  /** What its request says beside its events; `null`: nothing. */
  context: EventContext | null = null;
  /** Full pieces. The one in use is not among them. */
  readonly #full: Piece[] = [];
  #piece = NO_LINES;
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

  /**
   * Where a line starts among all lines, in bytes. It ends where the next one starts; `startOf(length)` is the end of the
   * last one.
   */
  startOf(index: number): number {
    if (index === 0) return 0;
    return index === this.#length ? this.#lastEnd : (this.#ends[index - 1] ?? 0);
  }

  /** The piece that has a line. */
  pieceOf(index: number): Piece {
    if (index >= this.#piece.from) return this.#piece;
    let [low, high] = [0, this.#full.length - 1];
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (index < (this.#full[middle]?.from ?? 0)) high = middle - 1;
      else low = middle;
    }
    return this.#full[low] ?? NO_LINES;
  }

  /** A line, in UTF-8. */
  lineOf(index: number): Buffer {
    const { bytes, start } = this.pieceOf(index);
    return bytes.subarray(this.startOf(index) - start, this.startOf(index + 1) - start);
  }

  addText(line: string): void {
    this.addBytes(Buffer.from(line, 'utf8'), EMPTY);
  }

  /** Adds a line: a text, and what is appended to it. */
  addBytes(text: Uint8Array, tail: Uint8Array): void {
    const length = text.length + tail.length;
    if (this.#used + length > this.#piece.bytes.length) this.#openPiece(length);
    const { bytes } = this.#piece;
    const tailAt = this.#used + text.length;
    bytes.set(text, this.#used);
    // a call takes longer for so few bytes
    for (let index = 0; index < tail.length; index++) bytes[tailAt + index] = tail[index] ?? 0;
    this.#used += length;
    if (this.#length > 0) this.#ends.push(this.#lastEnd);
    this.#lastEnd += length;
    this.#length++;
  }

  /** Copies no earlier lines: that would leave more garbage than a body. */
  #openPiece(bytesMin: number): void {
    if (this.#used > 0) this.#full.push(this.#piece);
    const size = Math.max(bytesMin, Math.min(2 * this.#piece.bytes.length, PIECE_BYTES_MAX));
    this.#piece = { bytes: Buffer.allocUnsafe(size), from: this.#length, start: this.#lastEnd };
    this.#used = 0;
  }
}
