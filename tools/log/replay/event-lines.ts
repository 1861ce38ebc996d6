import type { BatchLines } from '../../../lib/logs/file/batch-lines.js';
import { checkedText } from '../../../lib/logs/file/checksum.js';
import { sourceTagIn } from '../../../lib/logs/file/ids/id-mark.js';
import { marksAt } from '../../../lib/logs/file/run-mark.js';
import { linesIn } from '../lines.js';

/** An event of a batch file, and what its line says beside it. */
export interface EventLine {
  /** Its own text. */
  readonly event: Buffer;
  /** The number of its source, if that has an id window; `null`: the line does not say. */
  readonly tag: number | null;
  /** Whether it was sent again on purpose. */
  readonly isReplay: boolean;
}

/**
 * The sound events of a part of a file.
 *
 * @param part its bytes, with all marks
 * @param read the same, as a server reads it
 */
export function eventLines(part: Buffer<ArrayBuffer>, read: BatchLines): EventLine[] {
  const tags = read.hasMarks ? tagsIn(part) : [];
  const isAligned = tags.length === read.events;
  return [...linesIn(read.bytes)].map(({ bytes }, index) => ({
    event: bytes.subarray(0, -1),
    tag: isAligned ? (tags[index] ?? null) : null,
    isReplay: read.contexts[index]?.isReplay === true,
  }));
}

/** Of each line whose mark fits. */
function tagsIn(part: Buffer<ArrayBuffer>): (number | null)[] {
  return [...linesIn(part)].flatMap(({ bytes, isEnded }) => {
    const line = part.subarray(
      bytes.byteOffset - part.byteOffset,
      bytes.byteOffset - part.byteOffset + bytes.length,
    );
    const text = isEnded
      ? checkedText(line.subarray(0, -1))
      : (checkedText(line) ?? checkedText(line.subarray(0, -1)));
    if (text === null) return [];
    const { run, context, id } = marksAt(text, 0, text.length);
    const end = text.length - run - context;
    return [id > 0 ? sourceTagIn(text.subarray(end - id, end)) : null];
  });
}
