/**
 * A file that is too large for memory: it is read and delivered in pieces, which are its batches, or whole lines of a
 * batch that is too large by itself. The cuts depend on the file alone, so the pieces and their keys are the same at each
 * attempt and after a crash.
 */
import { Batch } from '../../seams/batch.js';
import { partKey } from '../../seams/batch-key.js';
import { rangeText } from '../../base/batch-range.js';
import type { Range } from '../../base/batch-range.js';
import { batchesBetween } from './batches-in-file.js';
import type { BatchInFile, BatchStart } from './batches-in-file.js';
import { inTurns } from '../../base/in-turns.js';
import { MarksSearch, readBatchLinesInTurns } from './batch-lines.js';
import type { BatchLines, LinesPart } from './batch-lines.js';
import type { MemberIndex } from './compressed/member-index.js';
import type { FileView } from './file-view.js';

const LINE_FEED = 10;

/** How much of a file is in memory at once, in bytes. */
export interface FileBounds {
  /** A larger file is read in pieces. */
  readonly wholeMax: number;
  /** The size of a piece, unless a line is longer. If a file of several batches is larger, they are read one by one. */
  readonly piece: number;
  /** A longer line is damage: no JavaScript string is that long. */
  readonly lineMax: number;
}

export const FILE_BOUNDS: FileBounds = {
  wholeMax: 32 * 1024 * 1024,
  piece: 8 * 1024 * 1024,
  lineMax: 512 * 1024 * 1024,
};

/** A file in which this many batches may start, and none does for certain, is for one batch. */
const STARTS_UNMARKED_MAX = 1000;

/** Some lines of a large file. */
export interface FilePiece extends LinesPart, Range {
  /** Their start, in bytes from the start of the file. */
  readonly at: number;
  readonly length: number;
  readonly events: number;
  /** If the file is compressed: where its members are. */
  readonly index?: MemberIndex | undefined;
}

/** The content of a large file: counts, and where its events are. */
export interface LargeFile extends Pick<BatchLines, 'events' | 'runId' | 'tornBytes' | 'lastBreakLost'> {
  readonly pieces: readonly FilePiece[];
  readonly damagedLines: number;
  /** Where the last damage was set aside. */
  readonly aside: string;
}

/**
 * Reads a file twice: to see whether its lines have marks, and for its events.
 *
 * @param isAcknowledged whether its end cannot be torn
 * @param setAside keeps damaged lines of the part at a position; returns the path
 */
export async function inspectLarge(
  view: FileView,
  isAcknowledged: boolean,
  bounds: FileBounds,
  setAside: (damaged: readonly Buffer[], at: number) => Promise<string>,
): Promise<LargeFile> {
  const pieces: FilePiece[] = [];
  const starts: BatchStart[] = [];
  let isForSeveral = false;
  const sum = { events: 0, damagedLines: 0, tornBytes: 0, lastBreakLost: false, aside: '' };
  let runId: string | null = null;
  for await (const { at, bytes, read, lines } of readInParts(view, isAcknowledged, bounds)) {
    const damaged = read?.damaged ?? [bytes];
    if (damaged.length > 0) sum.aside = await setAside(damaged, at);
    const { events: from, damagedLines } = sum;
    sum.damagedLines += read?.damagedLines ?? 1;
    if (read === null) continue;
    runId ??= read.runId;
    const { events } = read;
    isForSeveral ||= read.starts.some(({ isMarked }) => isMarked);
    // in a file of one batch each damaged line would be one
    for (const start of isForSeveral || starts.length < STARTS_UNMARKED_MAX ? read.starts : []) {
      const line = from + damagedLines + start.line;
      starts.push({ ...start, line, events: from + start.events, at: at + start.at });
    }
    if (events > 0) pieces.push({ ...lines, at, length: bytes.length, from, to: from + events, events });
    sum.events += events;
    sum.tornBytes = read.tornBytes;
    sum.lastBreakLost = read.lastBreakLost;
  }
  const { events, damagedLines, tornBytes } = sum;
  const batches = batchesBetween(starts, {
    line: events + damagedLines,
    events,
    at: view.size - tornBytes,
    textAt: 0,
  });
  return { ...sum, runId, pieces: batches.length > 0 ? batches.map(pieceOf) : pieces };
}

/** A batch of a file of several, as a piece that is read by itself. */
export function pieceOf({ from, to, events, start, end }: BatchInFile): FilePiece {
  const isFirst = start.at === 0;
  const lines = { hasMarks: true, isFirst, traceBefore: null };
  return { ...lines, at: start.at, length: end.at - start.at, from, to, events };
}

/** A part of a file, and what it holds. */
export interface ReadPart {
  /** Its start, in bytes from the start of the file. */
  readonly at: number;
  /** Its bytes, as they are in the file. */
  readonly bytes: Buffer<ArrayBuffer>;
  readonly lines: LinesPart;
  /** `null` if it is part of a line that is too long. */
  readonly read: BatchLines | null;
}

/**
 * Reads a file in parts of whole lines: once to see whether its lines have marks, and once for their content.
 *
 * @param isAcknowledged whether its end cannot be torn
 */
export async function* readInParts(
  view: FileView,
  isAcknowledged: boolean,
  bounds: FileBounds,
): AsyncGenerator<ReadPart, void, undefined> {
  const search = new MarksSearch();
  for await (const { bytes } of partsOf(view, bounds)) {
    await inTurns(search.look(bytes));
    if (search.isSure) break;
  }
  const { hasMarks } = search;
  let traceBefore: string | null = null;
  for await (const { at, bytes, isPartOfLine } of partsOf(view, bounds)) {
    const lines: LinesPart = { hasMarks, isFirst: at === 0, traceBefore };
    const read = isPartOfLine ? null : await readBatchLinesInTurns(bytes, isAcknowledged, lines);
    traceBefore = read?.traceAfter ?? traceBefore;
    yield { at, bytes, lines, read };
  }
}

/** The events of a piece of a file, its damaged lines, and how many of its bytes are missing. */
export async function readPiece(
  view: FileView,
  { name, key }: Pick<Batch, 'name' | 'key'>,
  piece: FilePiece,
): Promise<PieceContent> {
  const lines = await view.readAt(piece.at, piece.length);
  const { bytes, events, contexts, damaged } = await readBatchLinesInTurns(lines, true, piece);
  const range = rangeText(piece);
  const about = { name: `${name}${range}`, key: partKey(key, range, bytes) };
  const batch = new Batch({ ...about, events, bytes, contexts });
  return { batch, damaged, missing: piece.length - lines.length };
}

export interface PieceContent {
  readonly batch: Batch;
  readonly damaged: readonly Buffer[];
  readonly missing: number;
}

export interface Part {
  readonly at: number;
  readonly bytes: Buffer<ArrayBuffer>;
  /** Whether it is part of a line that is too long. */
  readonly isPartOfLine: boolean;
}

/** Whole lines of a file, one piece at a time. */
export async function* partsOf(
  view: FileView,
  { piece, lineMax }: FileBounds,
): AsyncGenerator<Part, void, undefined> {
  let isInLine = false;
  let length = piece;
  const { size } = view;
  for (let at = 0; at < size;) {
    const bytes = await view.readAt(at, length);
    if (bytes.length === 0) return; // someone has cut it
    const isEnd = at + bytes.length >= size;
    const feed: number = isInLine ? bytes.indexOf(LINE_FEED) : bytes.lastIndexOf(LINE_FEED);
    const isTooLong = feed === -1 && length >= lineMax;
    if (feed === -1 && !isEnd && !isTooLong && !isInLine) {
      length = Math.min(2 * length, lineMax);
      continue;
    }
    const isWhole = feed === -1 || (isEnd && !isInLine);
    const part = isWhole ? bytes : bytes.subarray(0, feed + 1);
    yield { at, bytes: part, isPartOfLine: isInLine || (isTooLong && !isEnd) };
    isInLine = feed === -1 && !isEnd;
    at += part.length;
    length = piece;
  }
}
