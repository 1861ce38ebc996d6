/** Shorter pieces, in bytes, are copied: a separate buffer for one byte takes some 200. */
const COPIED_MAX = 4096;
const BLOCK_BYTES = 16_384;

/**
 * The bytes of a body that is being read. The client decides how many pieces a body has, so short pieces are copied
 * together and long ones are kept. A body in one piece, as nearly all are, is never copied. One in several pieces is
 * put together as it comes, if its length is known.
 */
export class BodyBuffer {
  length = 0;
  readonly #lengthDeclared: number;
  #whole: Buffer | null = null;
  #pieces: Buffer[] = [];
  /** Short pieces, one after the other, and how many bytes of the block they fill. */
  #block: Buffer | null = null;
  #filled = 0;

  /** @param lengthDeclared in bytes; 0: not known */
  constructor(lengthDeclared = 0) {
    this.#lengthDeclared = lengthDeclared;
  }

  append(piece: Buffer): void {
    if (piece.length === 0) return; // it may keep a large buffer in memory
    const at = this.length;
    this.length += piece.length;
    if (this.#whole === null && at > 0 && 4 * this.length >= this.#lengthDeclared) this.#expect(at);
    if (this.#whole !== null) {
      piece.copy(this.#whole, at);
      return;
    }
    if (at === 0) {
      this.#pieces = [piece];
      return;
    }
    if (piece.length > COPIED_MAX) {
      this.#closeBlock();
      this.#pieces.push(piece);
      return;
    }
    if (this.#block === null || this.#filled + piece.length > BLOCK_BYTES) {
      this.#closeBlock();
      this.#block = Buffer.allocUnsafeSlow(BLOCK_BYTES);
    }
    this.#filled += piece.copy(this.#block, this.#filled);
  }

  /** Returns the body and releases it: its reader may live until its events are on disk. */
  take(): Buffer {
    this.#closeBlock();
    const pieces = this.#whole === null ? this.#pieces : [this.#whole.subarray(0, this.length)];
    this.#pieces = [];
    this.#whole = null;
    const [only] = pieces;
    return pieces.length === 1 && only !== undefined ? only : Buffer.concat(pieces, this.length);
  }

  /** Called once a fair part has come: a client cannot claim memory by the length that it declares. */
  #expect(length: number): void {
    if (this.#lengthDeclared === 0) return;
    this.#closeBlock();
    this.#whole = Buffer.allocUnsafeSlow(this.#lengthDeclared);
    Buffer.concat(this.#pieces, length).copy(this.#whole);
    this.#pieces = [];
  }

  #closeBlock(): void {
    if (this.#block !== null) this.#pieces.push(this.#block.subarray(0, this.#filled));
    this.#block = null;
    this.#filled = 0;
  }
}
