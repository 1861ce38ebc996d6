import { createBrotliDecompress, createGunzip, createInflate } from 'node:zlib';
import * as zlib from 'node:zlib';
import type { Transform } from 'node:stream';

type Create = () => Transform;

/** `zstd` came with Node.js 22.15. */
const zstd = (zlib as { createZstdDecompress?: Create }).createZstdDecompress;

const DECODERS: Readonly<Record<string, Create>> = {
  __proto__: null as never,
  gzip: createGunzip,
  'x-gzip': createGunzip,
  deflate: createInflate,
  br: createBrotliDecompress,
  ...(zstd && { zstd }),
};

/** The codings that `Content-Encoding` may name, as `Accept-Encoding` lists them (RFC 9110, 12.5.3). */
export const CODINGS = Object.keys(DECODERS)
  .filter((coding) => coding !== 'x-gzip')
  .join(', ');

export function isCoding(coding: string): boolean {
  return DECODERS[coding] !== undefined;
}

/** What undoes a coding; `null` for `identity`. */
export function createDecoder(coding: string): Transform | null {
  return DECODERS[coding]?.() ?? null;
}
