import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import * as zlib from 'node:zlib';
import type { Transform } from 'node:stream';

/** What undoes a coding. */
export interface Decoder extends Transform {
  /** How many of the bytes that were written it has read: it stops at the end of what is coded. */
  readonly bytesWritten: number;
}

type Create = () => Decoder;

/** What is larger must not be sent (RFC 9659): a decoder keeps its whole window. */
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

/** `null` for `identity`. */
export function createDecoder(coding: string): Decoder | null {
  return DECODERS[coding]?.() ?? null;
}

/**
 * What a decoder may take for its window, in bytes; 0: too little to be counted. The stream says how much, and a few
 * bytes of it can fill that.
 *
 * @param first the first byte of the stream
 */
export function windowBytes(coding: string, first: number): number {
  if (coding === 'zstd') return 2 ** ZSTD_WINDOW_LOG_MAX;
  return coding === 'br' ? 2 ** brotliWindowBits(first) : 0;
}

/** `WBITS` (RFC 7932, 9.1). */
function brotliWindowBits(first: number): number {
  if ((first & 1) === 0) return 16;
  const high = (first >> 1) & 7;
  if (high > 0) return 17 + high;
  const low = (first >> 4) & 7;
  return low === 0 ? 17 : 8 + low;
}
