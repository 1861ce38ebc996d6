import type { BatchPart } from '../../seams/event-log.js';
import { readBatchLines } from '../file/batch-lines.js';
import type { BatchLines } from '../file/batch-lines.js';
import { CONTEXT_BYTES_MORE } from '../file/context-mark.js';
import { writeLines } from '../file/file-part.js';
import { runMark, RUN_MARK_BYTES } from '../file/run-mark.js';

/** What a message has beside the lines of its events, at most: the mark of the run, that of a context, headers and subject, in bytes. */
export const MESSAGE_BYTES = RUN_MARK_BYTES + CONTEXT_BYTES_MORE + 960;

/**
 * The content of a message: the events of a part as they would be in a file, each line with its checksum. The replicas
 * have no checksum that reaches from here to a reader (docs/fleet.md), so what the log says it has must prove it.
 */
export function messageOf({ ranges, bytes }: BatchPart, runId: string): Buffer {
  const mark = runMark(runId);
  // where events with known ids were left out, several requests begin with an event in their middle
  const inMiddle = ranges.reduce((count, { from }) => count + Number(from > 0), 0);
  const lines = Buffer.allocUnsafe(bytes + mark.length + inMiddle * CONTEXT_BYTES_MORE);
  return lines.subarray(0, writeLines(lines, 0, ranges, mark));
}

/** The events of a message, and its damaged lines. */
export function linesOfMessage(data: Uint8Array): BatchLines {
  const copy = Buffer.from(data);
  // it was acknowledged as a whole, so its end is not torn
  return readBatchLines(copy, true, { hasMarks: true, isFirst: true, traceBefore: null });
}
