/**
 * The run that wrote a batch file, written as 64 characters of white space between the text of its first line and that
 * line's mark (checksum.ts), which covers both: the id's 64 random bits, the most significant first; a space is 0, a
 * tab is 1. No event's text ends in white space, so the two cannot be confused.
 *
 * Why: a file's name is unique only in its directory and at its time. With the run before it, it is unique everywhere
 * and for ever, even if two servers give the same name, a clock steps back or a note in the lock file is lost. A file
 * that outlives a crash still names its writer. So the run is part of the batch's key (batch-key.ts).
 *
 * In a file of several batches the first line of each has the run, with one more space before it. So where a batch
 * starts is durable with its first event, whatever happens to the rest of the file.
 */
import { CONTEXT_MARKS_BYTES } from './context-mark.js';
import { ID_MARKS_BYTES } from './ids/id-mark.js';

const SPACE = 0x20;
const TAB = 0x09;
const CLOSING_BRACE = 0x7d;
export const RUN_MARK_BYTES = 64;
const HEX_DIGITS = RUN_MARK_BYTES / 4;
/** The size of the mark in a file of several batches. */
export const BATCH_MARK_BYTES = 1 + RUN_MARK_BYTES;

/** A new random id: 16 hexadecimal digits. */
export function newRunId(): string {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(HEX_DIGITS / 2))).toString('hex');
}

export function runMark(runId: string): Buffer {
  const bits = BigInt(`0x${runId}`).toString(2).padStart(RUN_MARK_BYTES, '0');
  return Buffer.from(bits.replaceAll('0', ' ').replaceAll('1', '\t'));
}

/** For the first line of each batch in a file of several. */
export function batchMark(runId: string): Buffer {
  return Buffer.concat([Buffer.of(SPACE), runMark(runId)]);
}

/** Marks between the text of a line and its checksum, in bytes; 0: there is none. */
export interface LineMarks {
  /** `RUN_MARK_BYTES` or `BATCH_MARK_BYTES`. */
  readonly run: number;
  /** One of `CONTEXT_MARKS_BYTES`, before the mark of the run. */
  readonly context: number;
  /** One of `ID_MARKS_BYTES`, before both. */
  readonly id: number;
}

export const NO_MARKS: LineMarks = { run: 0, context: 0, id: 0 };
/** Marks by their size. A text does not end in white space, so all white space is marks. */
export const MARKS: ReadonlyMap<number, LineMarks> = new Map(
  [0, ...ID_MARKS_BYTES].flatMap((id) =>
    [0, ...CONTEXT_MARKS_BYTES].flatMap((context) =>
      [0, RUN_MARK_BYTES, BATCH_MARK_BYTES].map((run): [number, LineMarks] => [
        id + context + run,
        { run, context, id },
      ]),
    ),
  ),
);

const MARKS_BYTES_MAX = Math.max(...MARKS.keys());

/** The marks of a line, which ends at `end` without its checksum: all white space after its text. */
export function marksAt(file: Buffer, start: number, end: number): LineMarks {
  // an event ends with a brace, which is found much faster than the start of white space
  let at = file.lastIndexOf(CLOSING_BRACE, end - 1) + 1;
  if (at <= start || !isSpace(file[at]) || end - at > MARKS_BYTES_MAX) {
    at = end;
    while (at > start && end - at <= MARKS_BYTES_MAX && isSpace(file[at - 1])) at--;
  }
  return at === start ? NO_MARKS : (MARKS.get(end - at) ?? NO_MARKS);
}

function isSpace(byte: number | undefined): boolean {
  return byte === SPACE || byte === TAB;
}

/** The run in the first line of a file, which ends at `end` without its own mark; `null` if no run is named. */
export function runIdAt(file: Buffer, end: number): string | null {
  if (end <= RUN_MARK_BYTES) return null;
  let bits = 0n;
  for (let at = end - RUN_MARK_BYTES; at < end; at++) {
    const byte = file[at];
    if (byte !== SPACE && byte !== TAB) return null;
    bits = (bits << 1n) | BigInt(byte === TAB);
  }
  return bits.toString(16).padStart(HEX_DIGITS, '0');
}
