import { isUtf8 } from 'node:buffer';
import { isEventLine } from '../event.js';
import { beginsMarked, checkedText, looksMarked, withoutMarkBegin } from './line-mark.js';
import { RUN_MARK_BYTES, runIdAt } from './run-mark.js';

const LINE_FEED = 10;
const OPENING_BRACE = 0x7b;

/** What stands in a batch file. */
export interface BatchLines {
  /** The events: NDJSON, each line ended by a line feed, without marks. */
  readonly bytes: Buffer<ArrayBuffer>;
  /** How many that is. */
  readonly events: number;
  /** The run that wrote the file; `null`: an earlier version did, or its first line is damaged. */
  readonly runId: string | null;
  /** Bytes after the last line feed: a line that a crash cut off, never acknowledged. */
  readonly tornBytes: number;
  /** Whether only the line feed of the last line is missing or damaged: its event is one of `events`. */
  readonly lastBreakLost: boolean;
  /** Lines that are damaged, byte for byte with their line feeds; also an end that no crash can have left. */
  readonly damaged: readonly Buffer[];
}

/**
 * Reads the lines of a batch file. Damage never throws.
 *
 * @param isAcknowledged whether all of it is known to be acknowledged: then its end is not torn
 *
 * A file without a single mark was written before there were marks, or by hand: its lines are checked as JSON.
 */
export function readBatchLines(file: Buffer<ArrayBuffer>, isAcknowledged: boolean): BatchLines {
  const { lines, tail } = splitLines(file);
  // behind the last mark there may be one byte, which a flipped bit made of the line feed
  const cutTail = tail.subarray(0, -1);
  const hasMarks = looksMarked(tail) || looksMarked(cutTail) || lines.some(looksMarked);
  const textOf = hasMarks ? checkedText : eventText;
  const texts: Buffer[] = [];
  const damaged: Buffer[] = [];
  let runId: string | null = null;
  /** Only the first line of a file may name the run. */
  const withoutRun = (text: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> => {
    if (texts.length + damaged.length > 0 || !hasMarks) return text;
    runId = runIdAt(text, text.length);
    return runId === null ? text : text.subarray(0, -RUN_MARK_BYTES);
  };
  for (const line of lines) {
    const text = textOf(line);
    if (text !== null) texts.push(withoutRun(text));
    else damaged.push(Buffer.concat([line, Buffer.of(LINE_FEED)]));
  }
  const endOf = hasMarks ? checkedText : (end: Buffer<ArrayBuffer>) => eventText(withoutMarkBegin(end));
  const last = endOf(tail) ?? endOf(cutTail);
  const isTorn =
    last === null && !isAcknowledged && couldBeTorn(tail) && !beginsMarked(tail) && (hasMarks || !isJson(tail));
  if (last !== null) texts.push(withoutRun(last));
  else if (!isTorn && tail.length > 0) damaged.push(tail);
  return {
    bytes: joinLines(texts),
    events: texts.length,
    runId,
    tornBytes: isTorn ? tail.length : 0,
    lastBreakLost: last !== null,
    damaged,
  };
}

function splitLines(file: Buffer<ArrayBuffer>): { lines: Buffer<ArrayBuffer>[]; tail: Buffer<ArrayBuffer> } {
  const lines: Buffer<ArrayBuffer>[] = [];
  let start = 0;
  for (let end = file.indexOf(LINE_FEED); end !== -1; end = file.indexOf(LINE_FEED, start)) {
    lines.push(file.subarray(start, end));
    start = end + 1;
  }
  return { lines, tail: file.subarray(start) };
}

/** What a crash cuts off is the begin of an event, or begins with the zeros of a page that was never written. */
function couldBeTorn(tail: Buffer): boolean {
  return tail.length === 0 || tail[0] === 0 || tail[0] === OPENING_BRACE;
}

/** The begin of an object is no JSON. */
function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

function eventText(line: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> | null {
  return isUtf8(line) && isEventLine(line) ? line : null;
}

function joinLines(texts: readonly Buffer[]): Buffer<ArrayBuffer> {
  let length = texts.length;
  for (const text of texts) length += text.length;
  const bytes = Buffer.allocUnsafe(length);
  let end = 0;
  for (const text of texts) {
    end += text.copy(bytes, end);
    bytes[end++] = LINE_FEED;
  }
  return bytes;
}
