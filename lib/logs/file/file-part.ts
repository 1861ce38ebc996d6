import type { BatchPart, EventRange, Group, QueuedEvents } from '../../seams/event-log.js';
import type { BatchFile } from './batch-file.js';
import type { BatchStart } from './batches-in-file.js';
import { writeMarkedLine } from './checksum.js';
import { CONTEXT_BYTES_MORE, firstContextMark, furtherContextMark } from './context-mark.js';
import type { FilePace } from './file-pace.js';
import { idMark } from './ids/id-mark.js';

/** Consecutive parts of a group that are appended to one file, with one write. */
export interface FilePart {
  /** The open file, or the one that is created for them; `null`: there is none yet. */
  file: BatchFile | null;
  readonly isShared: boolean;
  readonly parts: BatchPart[];
  events: number;
  bytes: number;
  /** Whether the file ends after them. */
  isLast: boolean;
}

/** Which parts go into which file. Only the last file may go on after them. */
export function partsInFiles(group: Group, open: BatchFile | null, pace: FilePace): FilePart[] {
  const inFiles: FilePart[] = [];
  const last = group.findLastIndex(({ end }) => end !== null);
  let current: FilePart | null = null;
  for (const [index, part] of group.entries()) {
    const isFollowed = index < last;
    if (current === null) {
      const file = inFiles.length === 0 ? open : null;
      const isShared = file?.isShared ?? pace.isShared(isFollowed);
      current = { file, isShared, parts: [], events: 0, bytes: 0, isLast: false };
      inFiles.push(current);
    }
    current.parts.push(part);
    current.events += part.events;
    current.bytes += part.bytes;
    if (part.end === null) continue;
    pace.ended();
    const { file, isShared, events, bytes } = current;
    const size = [(file?.events ?? 0) + events, (file?.bytes ?? 0) + bytes] as const;
    current.isLast = !isShared || !pace.goesOn(file, ...size, isFollowed);
    if (current.isLast) current = null;
  }
  return inFiles;
}

/**
 * One buffer for one write. It is a copy even for a single request, whose whole memory would be held otherwise.
 *
 * @param mark goes into the first line of the file, or of each batch if it is for several: so a batch starts at the same
 *   line after a crash (N8)
 */
export function linesOf(
  part: FilePart,
  file: BatchFile,
  mark: Buffer,
): { readonly lines: Buffer; readonly starts: readonly BatchStart[] } {
  const lines = Buffer.allocUnsafe(part.bytes + part.parts.length * (mark.length + CONTEXT_BYTES_MORE));
  const starts: BatchStart[] = [];
  let isStart = file.openEvents === 0 && (file.isShared || file.bytes === 0);
  let [at, line] = [0, file.events];
  for (const { ranges, events, end } of part.parts) {
    if (isStart && events > 0)
      starts.push({ line, events: line, at: file.bytes + at, textAt: 0, isMarked: true });
    at = writeLines(lines, at, ranges, isStart ? mark : null);
    isStart = (isStart && events === 0) || (file.isShared && end !== null);
    line += events;
  }
  return { lines: lines.subarray(0, at), starts };
}

/** @param mark goes into the first line; `null`: none does @returns the position after the lines */
export function writeLines(
  target: Buffer,
  start: number,
  ranges: readonly EventRange[],
  mark: Buffer | null,
): number {
  let at = start;
  let before: QueuedEvents | null = null;
  for (const { request, from, to } of ranges) {
    const { block } = request;
    const { ids, context } = block;
    // some events of a request may be left out: those after them refer to those before
    const contextMark = request === before ? furtherContextMark : firstContextMark;
    let ofContext = context === null ? null : contextMark(context);
    before = request;
    let piece = block.pieceOf(from);
    for (let index = from; index < to; index++) {
      const end = block.startOf(index + 1);
      // a piece ends before the first line that it has no room for
      if (end - piece.start > piece.bytes.length) piece = block.pieceOf(index);
      const [textAt, textEnd] = [block.startOf(index) - piece.start, end - piece.start];
      const ofId = ids === null ? null : idMark(ids, index);
      const ofRun = at === start ? mark : null;
      const sum = ids?.lineSum(index);
      at = writeMarkedLine(target, at, piece.bytes, textAt, textEnd, ofRun, ofId, ofContext, sum);
      if (context !== null && index === from && index + 1 < to) ofContext = furtherContextMark(context);
    }
  }
  return at;
}
