/**
 * The content of a message: the events of a part as they would be in a file, each line with its checksum. The replicas have
 * no checksum that reaches from here to a reader (docs/fleet.md), so what the log says it has must prove it.
 *
 * Several events are compressed, as a gzip file, so that readers know by its first bytes: no line starts with them.
 */
import type { BatchPart } from '../../seams/event-log.js';
import { readBatchLinesInTurns } from '../file/batch-lines.js';
import type { BatchLines } from '../file/batch-lines.js';
import { GZIP, gunzipAtOnce, gzip, gzipAtOnce } from '../file/compressed/codec.js';
import { expanded } from '../file/compressed/expanded.js';
import { CONTEXT_BYTES_MORE } from '../file/context-mark.js';
import { writeLines } from '../file/file-part.js';
import { runMark, RUN_MARK_BYTES } from '../file/run-mark.js';

/** What a message has beside the lines of its events, at most: the mark of the run, that of a context, headers and subject, in bytes. */
export const MESSAGE_BYTES = RUN_MARK_BYTES + CONTEXT_BYTES_MORE + 960;
/** Smaller ones have an event or a few, in bytes: they get to a half at best, and take as much time as larger ones. */
const COMPRESSED_FROM = 1024;
/** Up to this size lines are compressed and expanded at once: to hand them to a thread and get them back takes longer, in bytes. */
const AT_ONCE_BYTES = 64 * 1024;
/** What gzip starts with, and the size of the lines at its end, in bytes. */
const GZIP_START = Buffer.of(0x1f, 0x8b);
const SIZE_BYTES = 4;
/** Deflate cannot compress better (https://zlib.net/zlib_tech.html). */
const RATIO_MAX = 1032;
/** No more lines are compressed, and no more are read from a message, whoever has stored it, in bytes. */
const LINES_MAX = 64 * 1024 * 1024;
const WHOLE = { hasMarks: true, isFirst: true, traceBefore: null };

/** What is in a message. */
export interface MessageLines {
  /** Its events. */
  readonly read: BatchLines;
  /** The lines with their marks. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** Whether they were compressed, and are damaged: these are what could be read of them. */
  readonly isPartial: boolean;
  /** What is damaged, byte for byte as in the message: lines, or all of it if they were compressed. So it is no larger. */
  readonly damaged: readonly Buffer[];
}

export async function messageOf(part: BatchPart, runId: string, isCompressed: boolean): Promise<Buffer> {
  const lines = linesIn(part, runId);
  if (!isCompressed || lines.length < COMPRESSED_FROM || lines.length > LINES_MAX) return lines;
  try {
    const smaller = lines.length > AT_ONCE_BYTES ? await gzip(lines) : gzipAtOnce(lines);
    return smaller.length < lines.length ? smaller : lines;
  } catch {
    return lines; // zlib has no memory
  }
}

function linesIn({ ranges, bytes }: BatchPart, runId: string): Buffer {
  const mark = runMark(runId);
  // where events with known ids were left out, several requests begin with an event in their middle
  const inMiddle = ranges.reduce((count, { from }) => count + Number(from > 0), 0);
  const lines = Buffer.allocUnsafe(bytes + mark.length + inMiddle * CONTEXT_BYTES_MORE);
  return lines.subarray(0, writeLines(lines, 0, ranges, mark));
}

/** The size of the lines of a message, as it says. More is never read from it. */
export function lineBytesOf(data: Uint8Array): number {
  const { length } = data;
  if (!isGzip(data)) return length;
  const size = Buffer.from(data.buffer, data.byteOffset, length).readUInt32LE(length - SIZE_BYTES);
  return Math.min(size, lineBytesMost(data));
}

/** No message has more lines, whatever it says: a bit of what it says may have flipped. */
export function lineBytesMost(data: Uint8Array): number {
  return isGzip(data) ? Math.min(data.length * RATIO_MAX, LINES_MAX) : data.length;
}

/** Damage never throws. @throws if there is no memory for what it expands to */
export async function linesOfMessage(data: Uint8Array): Promise<MessageLines> {
  const message = Buffer.from(data);
  const isCompressed = isGzip(data);
  const { lines: bytes, isDamaged: isPartial } = isCompressed
    ? await expand(message)
    : { lines: message, isDamaged: false };
  // it was acknowledged as a whole, so its end is not torn
  const read = await readBatchLinesInTurns(bytes, true, WHOLE);
  const isDamaged = isPartial || read.damaged.length > 0;
  return { read, bytes, isPartial, damaged: isCompressed && isDamaged ? [message] : read.damaged };
}

async function expand(message: Buffer): ReturnType<typeof expanded> {
  const bytesMax = lineBytesOf(message);
  if (bytesMax <= AT_ONCE_BYTES) {
    try {
      return { lines: gunzipAtOnce(message, bytesMax), isDamaged: false };
    } catch {
      // what can be read of it is found below
    }
  }
  return expanded(GZIP, message, bytesMax, false);
}

function isGzip(data: Uint8Array): boolean {
  return data.length >= GZIP_START.length + SIZE_BYTES && GZIP_START.every((byte, at) => data[at] === byte);
}
