import { readBatchLines } from '../append-log/batch-lines.js';
import { looksMarked } from '../append-log/line-mark.js';

const LINE_FEED = 10;

/** A damaged line of a batch file. */
export interface DamagedLine {
  /** Counted from 1. */
  readonly line: number;
  /** Where it begins, in bytes from the start of the file. */
  readonly at: number;
  /** Its bytes, with its line feed if it has one. */
  readonly bytes: Buffer;
  readonly what: string;
}

/** What stands behind the last line feed of a file that is sound otherwise. */
export interface FileEnd {
  readonly line: number;
  readonly at: number;
  readonly length: number;
}

/** What is right and wrong in a batch file, by the same reading as a server's. */
export interface BatchInspection {
  /** The sound events: NDJSON without marks. */
  readonly text: Buffer<ArrayBuffer>;
  readonly events: number;
  /** The run that wrote the file; `null`: it names none. */
  readonly runId: string | null;
  readonly damaged: readonly DamagedLine[];
  /** A line that a crash cut off. */
  readonly torn: FileEnd | null;
  /** The last line, if its event is sound and only its line feed is missing or damaged. */
  readonly breakLost: FileEnd | null;
  /** The sound lines as they stand in the file, with their marks. */
  readonly sound: readonly Buffer<ArrayBuffer>[];
}

/** Looks through the bytes of a batch file. Damage never throws. */
export function inspectBatch(file: Buffer<ArrayBuffer>): BatchInspection {
  const read = readBatchLines(file, false);
  const { bytes: text, events, runId, tornBytes, lastBreakLost } = read;
  if (read.damaged.length === 0 && tornBytes === 0 && !lastBreakLost) {
    return { text, events, runId, damaged: [], torn: null, breakLost: null, sound: [file] };
  }
  const lines = splitLines(file);
  const { hasMarks } = read;
  const damaged: DamagedLine[] = [];
  const sound: Buffer<ArrayBuffer>[] = [];
  for (const { line, at, bytes } of lines) {
    // whether a line is damaged depends on its bytes alone, and the damaged ones come in the order of the file
    const isDamaged = read.damaged[damaged.length]?.equals(bytes) === true;
    if (isDamaged) damaged.push({ line, at, bytes, what: whatIsWrong(bytes, hasMarks) });
    else sound.push(bytes);
  }
  const last = lines.at(-1);
  const isOpen = last !== undefined && last.bytes.at(-1) !== LINE_FEED;
  const end = isOpen ? { line: last.line, at: last.at, length: last.bytes.length } : null;
  if (tornBytes > 0) sound.pop();
  return {
    text,
    events,
    runId,
    damaged,
    torn: tornBytes > 0 ? end : null,
    breakLost: lastBreakLost ? end : null,
    sound,
  };
}

/**
 * The batch file without what is unsound: its sound lines byte for byte, with a line feed at the end of the last.
 *
 * @throws Error where that would not be read as the same events as the whole file
 */
export function soundFile({ sound, breakLost, text }: BatchInspection): Buffer<ArrayBuffer> {
  const whole = Buffer.concat(sound);
  const choices =
    breakLost === null
      ? [whole]
      : // behind the last byte, or in its place where that is what became of the line feed
        [whole, whole.subarray(0, -1)].map((lines) => Buffer.concat([lines, Buffer.of(LINE_FEED)]));
  const file = choices.find((choice) => isSoundly(choice, text));
  if (file === undefined) throw new Error('the sound lines alone would not be read as the same events');
  return file;
}

function splitLines(file: Buffer<ArrayBuffer>): { line: number; at: number; bytes: Buffer<ArrayBuffer> }[] {
  const lines: { line: number; at: number; bytes: Buffer<ArrayBuffer> }[] = [];
  for (let at = 0; at < file.length;) {
    const found = file.indexOf(LINE_FEED, at);
    const end = found === -1 ? file.length : found + 1;
    lines.push({ line: lines.length + 1, at, bytes: file.subarray(at, end) });
    at = end;
  }
  return lines;
}

function withoutBreak(line: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> {
  return line.at(-1) === LINE_FEED ? line.subarray(0, -1) : line;
}

function whatIsWrong(line: Buffer<ArrayBuffer>, hasMarks: boolean): string {
  if (!hasMarks) return 'no event';
  return looksMarked(withoutBreak(line)) ? 'the mark does not fit' : 'no mark';
}

/** Whether a file is sound and its events are these; white space at the end of a line is none of an event. */
function isSoundly(file: Buffer<ArrayBuffer>, text: Buffer): boolean {
  const { bytes, tornBytes, lastBreakLost, damaged } = readBatchLines(file, false);
  if (damaged.length > 0 || tornBytes > 0 || lastBreakLost) return false;
  return bytes.equals(text) || trimmedLines(bytes) === trimmedLines(text);
}

function trimmedLines(text: Buffer): string {
  return text.toString('latin1').replace(/[ \t\r]+\n/g, '\n');
}
