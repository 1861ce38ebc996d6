import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import * as zlib from 'node:zlib';
import type { Transform } from 'node:stream';

/** Undoes a `Content-Encoding`. */
export interface Decoder extends Transform {
  /** How many of the written bytes it has read: it stops at the end of the coded data. */
  readonly bytesWritten: number;
}

type Create = () => Decoder;

/** The largest window that a client may use (RFC 9659): a decoder keeps its whole window. */
const ZSTD_WINDOW_LOG_MAX = 23;

/** `zstd` came with Node.js 22.15. */
const { createZstdDecompress, constants } = zlib as {
  createZstdDecompress?: (options: { params: Record<number, number> }) => Decoder;
  constants: { ZSTD_d_windowLogMax?: number };
};
const windowLogMax = constants.ZSTD_d_windowLogMax;
const zstd =
  createZstdDecompress !== undefined && windowLogMax !== undefined
    ? (): Decoder => createZstdDecompress({ params: { [windowLogMax]: ZSTD_WINDOW_LOG_MAX } })
    : undefined;

const DECODERS: Readonly<Record<string, Create>> = {
  __proto__: null as never,
  gzip: () => createGunzip(),
  'x-gzip': () => createGunzip(),
  deflate: () => createInflate(),
  br: () => createBrotliDecompress(),
  ...(zstd && { zstd }),
};

/** The codings that `Content-Encoding` may name, as `Accept-Encoding` lists them (RFC 9110, 12.5.3). */
export const CODINGS = Object.keys(DECODERS)
  .filter((coding) => coding !== 'x-gzip')
  .join(', ');

export function isCoding(coding: string): boolean {
  return DECODERS[coding] !== undefined;
}

/** @returns `null` for `identity` */
export function createDecoder(coding: string): Decoder | null {
  return DECODERS[coding]?.() ?? null;
}

/**
 * Memory that a decoder may take for its window, in bytes; 0: too little to count. The stream declares it, and a few
 * bytes of input can fill it.
 *
 * @param first the first bytes of the stream
 */
export function windowBytes(coding: string, first: Buffer): number {
  if (coding === 'zstd') return 2 ** ZSTD_WINDOW_LOG_MAX;
  return coding === 'br' ? brotliWindowBytes(first) : 0;
}

/**
 * Encoders announce a window of 4 MiB even for the shortest body, and nearly always that it is one block. A decoder
 * takes no more than that block needs.
 */
function brotliWindowBytes(first: Buffer): number {
  const take = bitReader(first);
  const bytes = 2 ** brotliWindowBits(take);
  if (first.length < 6 || take(1) === 0 || take(1) === 1) return bytes;
  const nibbles = take(2) + 4; // 7: a block of metadata, which cannot be the last one
  const blockBytes = take(4 * nibbles) + 1; // RFC 7932, 9.2
  return nibbles > 6 ? bytes : Math.min(bytes, 2 ** Math.ceil(Math.log2(blockBytes)));
}

/** `WBITS` (RFC 7932, 9.1). */
function brotliWindowBits(take: (bits: number) => number): number {
  if (take(1) === 0) return 16;
  const high = take(3);
  if (high > 0) return 17 + high;
  const low = take(3);
  return low === 0 ? 17 : 8 + low;
}

/** Reads the next bits as a number, the least significant first. After the end they are 0. */
function bitReader(bytes: Buffer): (bits: number) => number {
  let at = 0;
  return (bits) => {
    let value = 0;
    for (let bit = 0; bit < bits; bit++, at++) value += (((bytes[at >> 3] ?? 0) >> (at & 7)) & 1) * 2 ** bit;
    return value;
  };
}
