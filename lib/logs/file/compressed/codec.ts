import zlib from 'node:zlib';
import { call } from '../file-system.js';
import type { Ending } from './batch-file-name.js';

/** The fastest level takes the bench's events to a fifteenth; a higher one takes three times as long for a sixth less. */
const GZIP_LEVEL = 1;
const ZSTD_LEVEL = 1;
/** `ZSTD_c_compressionLevel`, `ZSTD_c_checksumFlag` and `ZSTD_e_flush` of zstd.h: the types of Node.js 20 do not know them. */
const ZSTD_PARAMS = { 100: ZSTD_LEVEL, 201: 1 };
const ZSTD_FLUSH = 1;
/** The first Node.js that reads zstd. */
export const ZSTD_NODE = '22.15';

/** What every gzip header has before its extra field: deflate, an extra field, no time, an unknown system. */
const GZIP_START = Buffer.of(0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255);
const GZIP_START_BYTES = GZIP_START.length;
/** A frame that every reader of zstd skips. */
const ZSTD_SKIPPED = Buffer.of(0x5e, 0x2a, 0x4d, 0x18);

/** The size of the data in the head of a member (member.ts). */
export const DATA_BYTES = 32;

/** How a file is compressed. */
export interface Codec {
  readonly ending: Ending;
  /** Whether a file that Forebay did not write is read to its end. */
  readonly readsForeign: boolean;
  /** Whether this runtime has it. */
  readonly isKnown: boolean;
  /** What a member starts with, before `dataBytes` of our own: readers of the format pass over both. */
  start(dataBytes: number): Buffer;
  /** A member with `head`, which is what `start` returned and the data. */
  compress(head: Buffer, lines: Buffer): Promise<Buffer>;
  /**
   * @param isCut whether the end of the member is missing: then as much as there is
   * @throws if it is damaged, or has more than `bytesMax`
   */
  expand(member: Buffer, bytesMax: number, isCut: boolean): Promise<Buffer<ArrayBuffer>>;
}

function uint(value: number, bytes: number): Buffer {
  const buffer = Buffer.alloc(bytes);
  buffer.writeUIntLE(value, 0, bytes);
  return buffer;
}

/** Lines as a gzip file, by this thread. */
export function gzipAtOnce(lines: Buffer): Buffer<ArrayBuffer> {
  return zlib.gzipSync(lines, { level: GZIP_LEVEL });
}

/** @throws if it is damaged, or has more than `bytesMax` */
export function gunzipAtOnce(compressed: Buffer, bytesMax: number): Buffer<ArrayBuffer> {
  return zlib.gunzipSync(compressed, { maxOutputLength: Math.max(1, bytesMax) });
}

/** Lines as a gzip file, by another thread. */
export async function gzip(lines: Buffer): Promise<Buffer<ArrayBuffer>> {
  return call<Buffer<ArrayBuffer>>((done) => {
    zlib.gzip(lines, { level: GZIP_LEVEL }, done);
  });
}

export const GZIP: Codec = {
  ending: '.gz',
  readsForeign: true,
  isKnown: true,
  start: (dataBytes) =>
    Buffer.concat([GZIP_START, uint(dataBytes + 4, 2), Buffer.from('FB'), uint(dataBytes, 2)]),
  compress: async (head, lines) => {
    const bytes = await gzip(lines);
    return Buffer.concat([head, bytes.subarray(GZIP_START_BYTES)]);
  },
  expand: async (member, bytesMax, isCut) => {
    const finishFlush = isCut ? zlib.constants.Z_SYNC_FLUSH : zlib.constants.Z_FINISH;
    return call<Buffer<ArrayBuffer>>((done) => {
      zlib.gunzip(member, { maxOutputLength: Math.max(1, bytesMax), finishFlush }, done);
    });
  },
};

/** Thrown for a file that this runtime cannot read. */
export class NoZstd extends Error {
  constructor() {
    super(
      `it is compressed with zstd, which Node.js reads from version ${ZSTD_NODE} on: this is ${process.version}`,
    );
  }
}

const ZSTD: Codec = {
  ending: '.zst',
  readsForeign: false, // Node.js ends with the first frame, and does not say that more follow
  isKnown: zlib.zstdCompress !== undefined,
  start: (dataBytes) => Buffer.concat([ZSTD_SKIPPED, uint(dataBytes + 2, 4), Buffer.from('FB')]),
  compress: async (head, lines) => {
    const compress = zlib.zstdCompress;
    if (compress === undefined) throw new NoZstd();
    const bytes = await call<Buffer>((done) => {
      compress(lines, { params: ZSTD_PARAMS }, done);
    });
    return Buffer.concat([head, bytes]);
  },
  expand: async (member, bytesMax, isCut) => {
    const expand = zlib.zstdDecompress;
    if (expand === undefined) throw new NoZstd();
    // it would end with the frame that is to be passed over
    const frame = member.subarray(ZSTD.start(DATA_BYTES).length + DATA_BYTES);
    const options = { maxOutputLength: Math.max(1, bytesMax), ...(isCut && { finishFlush: ZSTD_FLUSH }) };
    return call<Buffer<ArrayBuffer>>((done) => {
      expand(frame, options, done);
    });
  },
};

export function codecOf(ending: Ending): Codec {
  return ending === '.gz' ? GZIP : ZSTD;
}

/** What this runtime compresses with. */
export function ownCodec(): Codec {
  return zlib.zstdCompress === undefined ? GZIP : ZSTD;
}
