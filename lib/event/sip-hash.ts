/**
 * SipHash-2-4 with 128 bits of result, of which 96 are used (J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast
 * short-input PRF", 2012). Without its key nobody can find two inputs with the same result, or tell results from random
 * ones, so equal results are left to chance: one in 2^96 for each pair.
 *
 * `node:crypto` takes over a microsecond for each call; this takes 0.1 to 0.2 for an id.
 */
import { SipCode } from './sip-code.js';

/** The size of a key, in bytes. */
export const SIP_KEY_BYTES = 16;

let shared: SipCode | null = null;

/** Hashes with one key. */
export class SipHash {
  /** The result of the last call: three words of 32 bits. */
  a = 0;
  b = 0;
  c = 0;
  readonly #key: Uint8Array;
  readonly #code: SipCode;

  /** @param key 16 secret bytes */
  constructor(key: Uint8Array) {
    this.#key = Uint8Array.from(key.subarray(0, SIP_KEY_BYTES));
    this.#code = shared ??= new SipCode();
  }

  /** Hashes the bytes from `start` to before `end`. */
  hash(bytes: Uint8Array, start: number, end: number): void {
    const code = this.#code;
    code.reserve(end - start);
    const text = code.bytes;
    // a call of `set` takes longer for an id
    for (let at = start, to = code.textAt; at < end; at++) text[to++] = bytes[at] ?? 0;
    code.hash(this.#key, end - start);
    this.a = code.a;
    this.b = code.b;
    this.c = code.c;
  }
}
