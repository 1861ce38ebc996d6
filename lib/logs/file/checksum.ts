/**
 * The mark at the end of each line: the CRC-32 of the line's text, written as 32 white-space characters, which JSON
 * ignores. The most significant bit comes first; a space is 0, a tab is 1. So the file stays JSONL for any tool, and a
 * flipped bit is found even if the line still parses (N7).
 *
 * A CRC-32 finds every error of one bit, and every error within 32 consecutive bits; of others it misses one in 2^32
 * (P. Koopman, "32-Bit Cyclic Redundancy Codes for Internet Applications", 2002).
 */
import { crc32 } from 'node:zlib';
import type { BatchStart } from './batches-in-file.js';
import type { EventBlock } from '../../event/event-block.js';
import type { EventContexts } from '../../seams/event-contexts.js';
import { ContextReader, contextMarksBytes } from './context-mark.js';
import { idMarkBytes } from './ids/id-mark.js';
import type { IdMark } from './ids/id-mark.js';
import { BATCH_MARK_BYTES, marksAt, runIdAt, runMark } from './run-mark.js';

const LINE_FEED = 0x0a;
const SPACE = 0x20;
const TAB = 0x09;
const MARK_BYTES = 32;
/** The bytes that one flipped bit can make of a line feed. */
const FLIPPED_LINE_FEEDS = new Set(Array.from({ length: 8 }, (_, bit) => LINE_FEED ^ (1 << bit)));

/** A line of the log: the text, its mark, a line feed. The first line of a file names the run. */
export function markedLine(text: string, runId: string | null = null): string {
  const source = Buffer.from(text, 'utf8');
  const run = runId === null ? null : runMark(runId);
  const line = Buffer.allocUnsafe(markedBytes(1, source.length) + (run?.length ?? 0));
  writeMarkedLine(line, 0, source, 0, source.length, run);
  return line.toString('utf8');
}

/** The size of lines in the log, in bytes, from the size of their texts. */
export function markedBytes(lines: number, textBytes: number): number {
  return textBytes + lines * (MARK_BYTES + 1);
}

/**
 * The size of events in the log, in bytes: their lines, without the marks of runs, and without `CONTEXT_BYTES_MORE` for events
 * in the middle of a request that start a batch. So the sizes of parts of a request add up to its size.
 */
export function blockBytes(block: EventBlock, from: number, to: number): number {
  const { ids, context } = block;
  const ofIds = ids === null ? 0 : (to - from) * idMarkBytes(ids);
  const ofContext = context === null ? 0 : contextMarksBytes(context, from, to);
  return markedBytes(to - from, block.startOf(to) - block.startOf(from)) + ofIds + ofContext;
}

/**
 * Writes a line of the log into `target`.
 *
 * @param source holds the text, from `start` to before `end`
 * @param run the mark of the run, for the first line of a file
 * @param id the mark of its id, if its source has a window
 * @param context the mark of its context, if it has one
 * @param textSum the CRC-32 of the text, if it is known
 * @returns the position after the line
 */
export function writeMarkedLine(
  target: Uint8Array,
  at: number,
  source: Uint8Array,
  start: number,
  end: number,
  run: Uint8Array | null = null,
  id: IdMark | null = null,
  context: Uint8Array | null = null,
  textSum?: number,
): number {
  // a plain view: Buffer's subarray takes three times as long, a large share of the whole
  const text = new Uint8Array(source.buffer, source.byteOffset + start, end - start);
  target.set(text, at);
  let sum = textSum ?? crc32(text);
  let next = at + text.length;
  if (id !== null) {
    const { bytes } = id;
    // a call takes longer for so few bytes
    for (let index = 0; index < bytes.length; index++) target[next++] = bytes[index] ?? 0;
    sum = id.sumAfter(sum);
  }
  if (context !== null) {
    target.set(context, next);
    sum = crc32(context, sum >>> 0);
    next += context.length;
  }
  if (run !== null) {
    target.set(run, next);
    sum = crc32(run, sum >>> 0);
    next += run.length;
  }
  for (let bit = 31; bit >= 0; bit--) target[next++] = SPACE - (SPACE - TAB) * ((sum >>> bit) & 1);
  target[next++] = LINE_FEED;
  return next;
}

/**
 * The text of a line without its mark; `null` if the mark does not fit.
 *
 * @param line without its line feed
 */
export function checkedText(line: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> | null {
  return isSound(line, 0, line.length) ? line.subarray(0, line.length - MARK_BYTES) : null;
}

/** Lines without marks, each with its line feed, and the run that the first line names. */
export interface UnmarkedLines {
  readonly bytes: Buffer<ArrayBuffer>;
  readonly runId: string | null;
  readonly events: number;
  readonly contexts: EventContexts;
  /** If it is a file of several batches: where each starts. */
  readonly starts: readonly BatchStart[];
}

/**
 * The lines of a file without marks; `null` unless all marks fit and a line feed ends it. A sound file is overwritten:
 * the result uses its memory. Two passes without an object for each line take half the time of checking the lines one
 * by one.
 */
export function soundLines(file: Buffer<ArrayBuffer>): UnmarkedLines | null {
  return countSound(file) === null ? null : withoutMarks(file);
}

/** How many lines these are; `null` unless all marks fit and a line feed ends them. */
export function countSound(lines: Buffer): number | null {
  let start = 0;
  let count = 0;
  for (let end = lines.indexOf(LINE_FEED); end !== -1; end = lines.indexOf(LINE_FEED, start)) {
    if (!isSound(lines, start, end)) return null;
    start = end + 1;
    count++;
  }
  return start === lines.length ? count : null;
}

/** Sound lines from the start of a file, without their marks. */
export function unmarkedLines(parts: readonly Buffer[]): UnmarkedLines {
  return withoutMarks(Buffer.concat(parts));
}

/** Moves the texts of sound lines together, each with its line feed, over the marks between them. */
function withoutMarks(lines: Buffer<ArrayBuffer>): UnmarkedLines {
  let written = 0;
  let start = 0;
  let runId: string | null = null;
  let events = 0;
  const starts: BatchStart[] = [];
  const contexts = new ContextReader();
  for (let end = lines.indexOf(LINE_FEED); end !== -1; end = lines.indexOf(LINE_FEED, start)) {
    let textEnd = end - MARK_BYTES;
    if ((lines[textEnd - 1] ?? 0) <= SPACE) {
      const { run, context, id } = marksAt(lines, start, textEnd);
      if (run === BATCH_MARK_BYTES)
        starts.push({ line: events, events, at: start, textAt: written, isMarked: true });
      if (run > 0 && (start === 0 || run === BATCH_MARK_BYTES)) {
        runId ??= runIdAt(lines, textEnd);
        textEnd -= run;
      }
      textEnd -= context;
      if (context > 0) contexts.add(events, lines, textEnd, textEnd + context);
      textEnd -= id;
    }
    lines.copyWithin(written, start, textEnd);
    written += textEnd - start;
    lines[written++] = LINE_FEED;
    start = end + 1;
    events++;
  }
  return { bytes: lines.subarray(0, written), runId, events, contexts: contexts.contexts(events), starts };
}

/**
 * Whether a line, from `start` to before its line feed at `end`, is a text and its mark. The loop has no branch on the
 * bits of the mark, which no CPU can predict: 26 instead of 44 microseconds for 100 short lines.
 */
function isSound(bytes: Buffer, start: number, end: number): boolean {
  const textEnd = end - MARK_BYTES;
  if (textEnd <= start) return false;
  let sum = 0;
  let foreign = 0;
  for (let at = textEnd; at < end; at++) {
    const byte = bytes[at] ?? 0;
    const bit = byte & 1; // a tab is odd, a space is even
    sum = (sum << 1) | bit;
    foreign |= byte ^ (SPACE ^ (-bit & (SPACE ^ TAB)));
  }
  return foreign === 0 && crc32(bytes.subarray(start, textEnd)) === sum >>> 0;
}

/** The check that a mark holds. @param at where it starts: there are only spaces and tabs */
function sumAt(bytes: Uint8Array, at: number): number {
  let sum = 0;
  for (let bit = 0; bit < MARK_BYTES; bit++) sum = (sum << 1) | ((bytes[at + bit] ?? 0) & 1);
  return sum >>> 0;
}

/**
 * Whether it starts with a sound line that has lost its line feed to a flipped bit, and more follows. There may be such a line
 * feed at each 33rd byte, so no byte is summed twice.
 */
export function beginsMarked(bytes: Buffer<ArrayBuffer>): boolean {
  let whiteSpace = 0;
  let sum = 0;
  let summed = 0;
  for (let end = 0; end < bytes.length; end++) {
    const byte = bytes[end];
    if (byte === SPACE || byte === TAB) whiteSpace++;
    else {
      const textEnd = end - MARK_BYTES;
      if (whiteSpace >= MARK_BYTES && textEnd > 0 && FLIPPED_LINE_FEEDS.has(byte ?? 0)) {
        sum = crc32(bytes.subarray(summed, textEnd), sum);
        summed = textEnd;
        if (sum === sumAt(bytes, textEnd)) return true;
      }
      whiteSpace = 0;
    }
  }
  return false;
}

/**
 * Whether a line ends like a mark, sound or not. White space typed by hand is a few characters, or many of one kind; a
 * mark is of one kind once in 2^31.
 */
export function looksMarked(line: Buffer): boolean {
  let spaces = 0;
  let tabs = 0;
  for (let back = 1; back <= MARK_BYTES; back++) {
    const byte = line.at(-back);
    if (byte === SPACE) spaces++;
    else if (byte === TAB) tabs++;
  }
  return spaces > 0 && tabs > 0 && spaces + tabs > MARK_BYTES / 2;
}

/** A line that a crash cut off inside its mark, without the rest of the mark. */
export function withoutMarkBegin(line: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  let end = line.length;
  while (line[end - 1] === SPACE || line[end - 1] === TAB) end--;
  return line.subarray(0, end);
}
