import { isUtf8 } from 'node:buffer';
import { atOnce, inTurns } from '../../base/in-turns.js';
import { isEventLine } from '../../event/event.js';
import type { EventContexts } from '../../seams/event-contexts.js';
import { beginsMarked, checkedText, looksMarked, withoutMarkBegin } from './checksum.js';
import type { BatchStart } from './batches-in-file.js';
import { ContextReader } from './context-mark.js';
import { BATCH_MARK_BYTES, marksAt, NO_MARKS, runIdAt } from './run-mark.js';

const LINE_FEED = 10;
const OPENING_BRACE = 0x7b;
const CLOSING_BRACE = 0x7d;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf];
/** No event is shorter. */
const EVENT_BYTES_MIN = '{"id":"1","type":"1","data":1}'.length;
/** After this many lines that are not sound, or may be none, others have their turn: it takes some 10 ms to parse them. */
const TURN_LINES = 500;
/** Runs of damaged lines that are kept apart whatever is between them. */
const RUNS_MAX = 1000;

/** The content of a batch file. */
export interface BatchLines {
  /** The events: NDJSON, each line ended by a line feed, without marks. */
  readonly bytes: Buffer<ArrayBuffer>;
  readonly events: number;
  readonly contexts: EventContexts;
  /** The last `traceparent`, to which the next line may refer. */
  readonly traceAfter: string | null;
  /** Where a batch starts, if it is a file of several, and where one may start: at each damaged line. */
  readonly starts: readonly BatchStart[];
  /** The run that wrote the file; `null` if it is of an earlier version, or if its first line is damaged. */
  readonly runId: string | null;
  /** Bytes after the last line feed: a line that a crash cut off. It was never acknowledged. */
  readonly tornBytes: number;
  /** Whether only the line feed of the last line is missing or damaged. Its event is one of `events`. */
  readonly lastBreakLost: boolean;
  readonly damagedLines: number;
  /** Damaged lines, byte for byte with their line feeds; also an end that no crash can have left. Lines side by side are one. */
  readonly damaged: readonly Buffer[];
  /** Whether the lines of the file have marks. */
  readonly hasMarks: boolean;
}

/** Some lines of a file. */
export interface LinesPart {
  /** Whether the lines of the file have marks. */
  readonly hasMarks: boolean;
  /** Whether they are the first lines of the file. */
  readonly isFirst: boolean;
  /** The last `traceparent` before them, to which the first one may refer. */
  readonly traceBefore: string | null;
}

/**
 * Reads the lines of a batch file. Damage never throws.
 *
 * @param isAcknowledged whether all of it is known to be acknowledged, so that its end is not torn
 * @param part of a file that is read in parts: all except the last end with a line feed
 *
 * A file without any mark was written by a version without marks, or by hand: its lines are checked as JSON, and blank
 * lines are ignored. An editor may put a byte order mark at the start of any file.
 */
export function readBatchLines(
  file: Buffer<ArrayBuffer>,
  isAcknowledged: boolean,
  part?: LinesPart,
): BatchLines {
  return atOnce(reading(file, isAcknowledged, part ?? atOnce(lookingAt(file))));
}

/** The same for lines that anyone can have made: there may be millions of them, and few events. */
export async function readBatchLinesInTurns(
  file: Buffer<ArrayBuffer>,
  isAcknowledged: boolean,
  part?: LinesPart,
): Promise<BatchLines> {
  return inTurns(reading(file, isAcknowledged, part ?? (await inTurns(lookingAt(file)))));
}

function* reading(
  file: Buffer<ArrayBuffer>,
  isAcknowledged: boolean,
  { hasMarks, isFirst, traceBefore }: LinesPart,
): Generator<void, BatchLines> {
  const textOf = hasMarks ? checkedText : eventText;
  const bytes = Buffer.allocUnsafe(file.length + 1);
  const damaged = new Runs();
  /** Includes the blank lines between them. */
  const garbage = new Runs();
  const start = isFirst ? startOf(file) : 0;
  let written = 0;
  let events = 0;
  let runId: string | null = null;
  let lineStart = start;
  let unsure = 0;
  const starts: BatchStart[] = [];
  const contexts = new ContextReader(traceBefore);
  const addStart = (isMarked: boolean): void => {
    const [last, before] = [starts.at(-1), starts.at(-2)];
    // of damaged lines side by side only the first and the last can be beside events
    const isBetween = [last, before].every((each) => each?.events === events && !each.isMarked);
    if (isBetween && !isMarked) starts.pop();
    starts.push({ line: events + damaged.lines, events, at: lineStart, textAt: written, isMarked });
  };
  const add = (text: Buffer<ArrayBuffer>): void => {
    const marks = hasMarks ? marksAt(text, 0, text.length) : NO_MARKS;
    let ofRun = marks.run;
    const isMarked = ofRun === BATCH_MARK_BYTES;
    if (isMarked) addStart(true);
    // only the first line of a batch may name the run
    else if (!isFirst || events + damaged.lines > 0) ofRun = 0;
    if (ofRun > 0) runId ??= runIdAt(text, text.length);
    const contextAt = text.length - ofRun - marks.context;
    if (marks.context > 0) contexts.add(events, text, contextAt, contextAt + marks.context);
    written += text.copy(bytes, written, 0, contextAt - marks.id);
    bytes[written++] = LINE_FEED;
    events++;
  };
  const addDamaged = (line: Buffer, end: number): void => {
    const from = lineStart === start ? 0 : lineStart;
    // lines that are lost with compressed bytes are not set aside with others
    const kind = file[from] === 0;
    garbage.add({ from, to: end, kind, events });
    if (hasMarks || !isBlank(line)) damaged.add({ from, to: end, kind, events });
  };
  for (let end = file.indexOf(LINE_FEED, start); end !== -1; end = file.indexOf(LINE_FEED, lineStart)) {
    const line = file.subarray(lineStart, end);
    const text = textOf(line);
    if (text !== null) add(text);
    else {
      if (hasMarks) addStart(false);
      addDamaged(line, end + 1);
    }
    lineStart = end + 1;
    if ((text === null || !hasMarks) && ++unsure % TURN_LINES === 0) yield;
  }
  const tail = file.subarray(lineStart);
  // after the last mark there may be one byte: a line feed with a flipped bit
  const cutTail = tail.subarray(0, -1);
  const endOf = hasMarks ? checkedText : (end: Buffer<ArrayBuffer>) => eventText(withoutMarkBegin(end));
  const last = endOf(tail) ?? endOf(cutTail);
  const isTorn =
    last === null &&
    !isAcknowledged &&
    couldBeTorn(tail) &&
    !beginsMarked(tail) &&
    (hasMarks || !isJson(tail));
  if (last !== null) add(last);
  else if (!isTorn && tail.length > 0) addDamaged(tail, file.length);
  const aside = events === 0 && damaged.lines > 0 ? garbage : damaged;
  return {
    bytes: bytes.subarray(0, written),
    events,
    contexts: contexts.contexts(events),
    traceAfter: contexts.last,
    starts,
    runId,
    tornBytes: isTorn ? tail.length : 0,
    lastBreakLost: last !== null,
    damagedLines: aside.lines,
    damaged: aside.of(file),
    hasMarks,
  };
}

interface Run {
  readonly from: number;
  to: number;
  readonly kind: boolean;
  /** How many events are before it. */
  readonly events: number;
}

/**
 * Lines of a file: those that are side by side, and of a kind, are one. If there are many, whatever is between two events is.
 * Millions of objects would have no room in memory.
 */
class Runs {
  lines = 0;
  readonly #runs: Run[] = [];

  add(run: Run): void {
    this.lines++;
    const last = this.#runs.at(-1);
    const isNext = last?.to === run.from && last.kind === run.kind;
    const isOne = isNext || this.#runs.length >= RUNS_MAX;
    if (last?.events === run.events && isOne) last.to = run.to;
    else this.#runs.push(run);
  }

  of(file: Buffer): Buffer[] {
    return this.#runs.map(({ from, to }) => file.subarray(from, to));
  }
}

/** Finds out whether the lines of a file have marks, by looking at them in order. */
export class MarksSearch {
  #looksMarked = false;
  #hasPlainEvent = false;
  #isFirst = true;

  /** Whether a mark fits: then it is certain. */
  isSure = false;

  /**
   * Yields when others are to have their turn.
   *
   * @param lines the next lines of the file; they end with a line feed unless they are its last
   */
  *look(lines: Buffer<ArrayBuffer>): Generator<void, void> {
    let unsure = 0;
    let start = this.#isFirst ? startOf(lines) : 0;
    this.#isFirst = false;
    for (let end = lines.indexOf(LINE_FEED, start); end !== -1; end = lines.indexOf(LINE_FEED, start)) {
      const line = lines.subarray(start, end);
      start = end + 1;
      this.#lookAt(line);
      if (this.isSure) return;
      this.#hasPlainEvent ||= !looksMarked(line) && eventText(line) !== null;
      if (++unsure % TURN_LINES === 0) yield;
    }
    const tail = lines.subarray(start);
    this.#lookAt(tail);
    this.#lookAt(tail.subarray(0, -1));
  }

  /** If no mark fits: lines that look marked are damaged, unless other lines of the file are events without a mark. */
  get hasMarks(): boolean {
    return this.isSure || (this.#looksMarked && !this.#hasPlainEvent);
  }

  #lookAt(line: Buffer<ArrayBuffer>): void {
    this.isSure ||= checkedText(line) !== null;
    this.#looksMarked ||= looksMarked(line);
  }
}

/** A whole file. */
function* lookingAt(file: Buffer<ArrayBuffer>): Generator<void, LinesPart> {
  const search = new MarksSearch();
  yield* search.look(file);
  return { hasMarks: search.hasMarks, isFirst: true, traceBefore: null };
}

/** The position after the byte order mark. */
function startOf(file: Buffer): number {
  return BYTE_ORDER_MARK.every((byte, at) => file[at] === byte) ? BYTE_ORDER_MARK.length : 0;
}

function isBlank(line: Buffer): boolean {
  return line.every(isWhiteSpace);
}

/** A crash leaves the start of an event, or zeros at the start: a page that was never written. */
function couldBeTorn(tail: Buffer): boolean {
  return tail.length === 0 || tail[0] === 0 || tail[0] === OPENING_BRACE;
}

/** The start of an object is not valid JSON. */
function isJson(bytes: Buffer): boolean {
  try {
    JSON.parse(bytes.toString('utf8'));
    return true;
  } catch {
    return false;
  }
}

/** JSON that is wrong takes 20 microseconds to find out: a small compressed file can hold millions of lines without an object. */
function eventText(line: Buffer<ArrayBuffer>): Buffer<ArrayBuffer> | null {
  const mayBeOne = line.length >= EVENT_BYTES_MIN && looksLikeObject(line);
  return mayBeOne && isUtf8(line) && isEventLine(line) ? line : null;
}

function looksLikeObject(line: Buffer): boolean {
  let [start, end] = [0, line.length - 1];
  while (isWhiteSpace(line[start])) start++;
  while (isWhiteSpace(line[end])) end--;
  return line[start] === OPENING_BRACE && line[end] === CLOSING_BRACE;
}

function isWhiteSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x09 || byte === 0x0d;
}
