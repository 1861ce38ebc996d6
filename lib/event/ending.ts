import { crc32 } from 'node:zlib';

/** What follows texts of any content: the CRC-32 of both is known from that of the text, without a call that reads bytes. */
export class Ending {
  readonly bytes: Uint8Array;
  /** Made at the first use. */
  #shift: Int32Array | null = null;
  #sum = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /**
   * The CRC-32 of a text and this, in 32 bits with a sign.
   *
   * @param sum the CRC-32 of the text
   */
  sumAfter(sum: number): number {
    const shift = (this.#shift ??= this.#prepare());
    return (
      this.#sum ^
      (shift[sum & 0xff] ?? 0) ^
      (shift[0x100 | ((sum >>> 8) & 0xff)] ?? 0) ^
      (shift[0x200 | ((sum >>> 16) & 0xff)] ?? 0) ^
      (shift[0x300 | (sum >>> 24)] ?? 0)
    );
  }

  #prepare(): Int32Array {
    this.#sum = crc32(this.bytes) | 0;
    return shiftBy(this.bytes.length);
  }
}

/** The polynomial, the lowest power first. */
const POLYNOMIAL = 0xedb88320;
const shifts = new Map<number, Int32Array>();

/**
 * What a CRC becomes if this many bytes follow, apart from what they add themselves. Each of its bits has its own part in
 * that (as in `crc32_combine` of zlib), so four tables have it for each of its bytes.
 */
function shiftBy(bytes: number): Int32Array {
  let table = shifts.get(bytes);
  if (table === undefined) {
    table = new Int32Array(4 * 256);
    for (let index = 0; index < table.length; index++) {
      let sum = (index & 0xff) << (8 * (index >>> 8));
      for (let bit = 0; bit < 8 * bytes; bit++) sum = (sum >>> 1) ^ (-(sum & 1) & POLYNOMIAL);
      table[index] = sum;
    }
    shifts.set(bytes, table);
  }
  return table;
}
