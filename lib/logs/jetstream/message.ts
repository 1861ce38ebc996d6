import type { BatchPart } from '../../seams/event-log.js';
import { readBatchLines } from '../file/batch-lines.js';
import type { BatchLines } from '../file/batch-lines.js';
import { writeMarkedLine } from '../file/checksum.js';
import { runMark, RUN_MARK_BYTES } from '../file/run-mark.js';

/** What a message has beside the lines of its events, at most: the mark of the run, headers and subject, in bytes. */
export const MESSAGE_BYTES = RUN_MARK_BYTES + 960;

/**
 * The content of a message: the events of a part as they would be in a file, each line with its checksum. The replicas
 * have no checksum that reaches from here to a reader (docs/fleet.md), so what the log says it has must prove it.
 */
export function messageOf({ ranges, bytes }: BatchPart, runId: string): Buffer {
  const mark = runMark(runId);
  const lines = Buffer.allocUnsafe(bytes + mark.length);
  let at = 0;
  for (const { request, from, to } of ranges) {
    const { block } = request;
    for (let index = from; index < to; index++) {
      const [start, end] = [block.startOf(index), block.startOf(index + 1)];
      at = writeMarkedLine(lines, at, block.bytes, start, end, at === 0 ? mark : null);
    }
  }
  return lines.subarray(0, at);
}

/** The events of a message, and its damaged lines. */
export function linesOfMessage(data: Uint8Array): BatchLines {
  const copy = Buffer.from(data);
  // it was acknowledged as a whole, so its end is not torn
  return readBatchLines(copy, true, { hasMarks: true, isFirst: true });
}
