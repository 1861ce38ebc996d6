/**
 * A compressed batch file is a row of members, each of whole lines: gzip members, or frames of zstd. Readers of these formats
 * (`zcat`, `zstdcat`) take them for one file. Each member has a head with 32 bytes of Forebay's own, in a field that they pass
 * over, so that a member is found without those before it, and damage costs one member at most. The last member has no lines:
 * it says how many there are in the others.
 *
 *     size of the member, its head included   4 bytes
 *     size of its lines                       4
 *     where they start in the file before it was compressed   6
 *     the size of that file                   6
 *     how many lines it has                   4
 *     how many lines come before it           4
 *     CRC-32 of the head up to here           4
 *
 * All numbers are little-endian. In gzip they are the extra field `FB`; in zstd a skippable frame before each frame, which
 * starts with `FB`.
 */
import { crc32 } from 'node:zlib';
import { DATA_BYTES } from './codec.js';
import type { Codec } from './codec.js';

/** Lines of at most this size share a member; it is also about what compressing holds in memory. */
export const MEMBER_BYTES = 256 * 1024;
/** A line that is longer is in a member by itself. A file with a line longer than this is not compressed. */
export const MEMBER_BYTES_MAX = 16 * 1024 * 1024;

/** Where a member is in its file, and what it has. */
export interface Member {
  readonly bytes: number;
  readonly lineBytes: number;
  readonly linesAt: number;
  readonly fileBytes: number;
  readonly lines: number;
  readonly linesBefore: number;
}

/** The size of a head, in bytes. */
export function headBytes(codec: Codec): number {
  return codec.start(DATA_BYTES).length + DATA_BYTES;
}

export async function writeMember(
  codec: Codec,
  lines: Buffer,
  about: Omit<Member, 'bytes' | 'lineBytes'>,
): Promise<Buffer> {
  const start = codec.start(DATA_BYTES);
  const member = await codec.compress(Buffer.concat([start, Buffer.alloc(DATA_BYTES)]), lines);
  let at = start.length;
  at = member.writeUInt32LE(member.length, at);
  at = member.writeUInt32LE(lines.length, at);
  at = member.writeUIntLE(about.linesAt, at, 6);
  at = member.writeUIntLE(about.fileBytes, at, 6);
  at = member.writeUInt32LE(about.lines, at);
  at = member.writeUInt32LE(about.linesBefore, at);
  member.writeUInt32LE(crc32(member.subarray(0, at)), at);
  return member;
}

/** Reads the head at the start of some bytes; `null`: there is none, or it is damaged. */
export function readHead(codec: Codec, bytes: Buffer): Member | null {
  const start = codec.start(DATA_BYTES);
  const end = start.length + DATA_BYTES;
  if (bytes.length < end || !bytes.subarray(0, start.length).equals(start)) return null;
  const sumAt = end - 4;
  if (bytes.readUInt32LE(sumAt) !== crc32(bytes.subarray(0, sumAt))) return null;
  const at = start.length;
  const member = {
    bytes: bytes.readUInt32LE(at),
    lineBytes: bytes.readUInt32LE(at + 4),
    linesAt: bytes.readUIntLE(at + 8, 6),
    fileBytes: bytes.readUIntLE(at + 14, 6),
    lines: bytes.readUInt32LE(at + 20),
    linesBefore: bytes.readUInt32LE(at + 24),
  };
  const isPossible =
    member.bytes > end && member.lineBytes <= MEMBER_BYTES_MAX && member.lines <= member.lineBytes;
  return isPossible ? member : null;
}
