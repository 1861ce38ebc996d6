const EMPTY = Buffer.alloc(0);

/**
 * The bytes of a body that is being read. A client decides in how many pieces it comes, and a piece of one byte
 * takes some 200 bytes of memory as a buffer of its own: so the pieces are copied together. A body that comes in
 * one piece, as nearly all do, is not copied.
 */
export class BodyBuffer {
  length = 0;
  #buffer: Buffer = EMPTY;
  readonly #expected: number;

  /** @param expected how long it says it will be, in bytes; it may lie */
  constructor(expected: number = Infinity) {
    this.#expected = expected;
  }

  append(piece: Buffer): void {
    const length = this.length + piece.length;
    if (this.length === 0) {
      this.#buffer = piece;
    } else {
      if (length > this.#buffer.length) this.#grow(length);
      piece.copy(this.#buffer, this.length);
    }
    this.length = length;
  }

  /** All of it. */
  get bytes(): Buffer {
    return this.#buffer.length === this.length ? this.#buffer : this.#buffer.subarray(0, this.length);
  }

  #grow(length: number): void {
    const grown = Buffer.allocUnsafeSlow(Math.max(length, Math.min(2 * this.#buffer.length, this.#expected)));
    this.#buffer.copy(grown, 0, 0, this.length);
    this.#buffer = grown;
  }
}
