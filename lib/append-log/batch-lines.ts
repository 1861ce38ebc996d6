import { isUtf8 } from 'node:buffer';
import { isEventLine } from '../event.js';

const LINE_FEED = 10;

/** What stands in a batch file. */
export interface BatchLines {
  /** The lines that are events, each with its line break: the file's own bytes where nothing is wrong. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** How many lines that is. */
  readonly events: number;
  /** The bytes after the last line break: a line that a crash cut off, never acknowledged. */
  readonly tornBytes: number;
  /** Lines that are no events, byte for byte with their line breaks: corruption. */
  readonly damaged: readonly Buffer[];
}

/** Reads the lines of a batch file. Damage never throws. */
export function readBatchLines(file: Buffer<ArrayBuffer>): BatchLines {
  const sound: Buffer[] = [];
  const damaged: Buffer[] = [];
  let start = 0;
  for (let end = file.indexOf(LINE_FEED); end !== -1; end = file.indexOf(LINE_FEED, start)) {
    const line = file.subarray(start, end);
    const withBreak = file.subarray(start, end + 1);
    (isUtf8(line) && isEventLine(line) ? sound : damaged).push(withBreak);
    start = end + 1;
  }
  return {
    bytes: damaged.length === 0 ? file.subarray(0, start) : Buffer.concat(sound),
    events: sound.length,
    tornBytes: file.length - start,
    damaged,
  };
}
