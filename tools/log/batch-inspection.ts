import { MarksSearch, readBatchLines } from '../../lib/logs/file/batch-lines.js';
import type { BatchLines, LinesPart } from '../../lib/logs/file/batch-lines.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { readInParts } from '../../lib/logs/file/large-file.js';
import type { FileBounds, ReadPart } from '../../lib/logs/file/large-file.js';
import { looksMarked } from '../../lib/logs/file/checksum.js';

const LINE_FEED = 10;

/** A file of nothing but garbage has many damaged lines; they look alike, so of each file only the first are named. */
export const DAMAGED_NAMED_MAX = 20;

/** A damaged line of a batch file. */
export interface DamagedLine {
  /** Counted from 1. */
  readonly line: number;
  /** Where it begins, in bytes from the start of the file. */
  readonly at: number;
  /** In bytes, with its line feed if it has one. */
  readonly length: number;
  readonly what: string;
}

/** What stands behind the last line feed of a file that is sound otherwise. */
export interface FileEnd {
  readonly line: number;
  readonly at: number;
  readonly length: number;
}

/** Some lines of a batch file. */
export interface InspectedPart {
  /** Where they begin, in bytes from the start of the file. */
  readonly at: number;
  /** As they stand in the file. */
  readonly bytes: Buffer<ArrayBuffer>;
  readonly lines: LinesPart;
  /** The sound events: NDJSON without marks. */
  readonly text: Buffer<ArrayBuffer>;
  /** The damaged lines, with their line feeds. */
  readonly damaged: readonly Buffer[];
  /** The sound lines as they stand in the file, with their marks. */
  readonly sound: readonly Buffer<ArrayBuffer>[];
  readonly lastBreakLost: boolean;
}

/** What is right and wrong in a batch file, by the same reading as a server's. */
export class BatchInspection {
  bytes = 0;
  events = 0;
  /** The run that wrote the file; `null`: it names none. */
  runId: string | null = null;
  damagedLines = 0;
  /** The first of them. */
  readonly damaged: DamagedLine[] = [];
  /** A line that a crash cut off. */
  torn: FileEnd | null = null;
  /** The last line, if its event is sound and only its line feed is missing or damaged. */
  breakLost: FileEnd | null = null;
  /** The line that comes next, counted from 1. */
  #line = 1;
  /** Whether the last part has ended within a line. */
  #isInLine = false;

  get isSound(): boolean {
    return this.damagedLines === 0 && this.torn === null && this.breakLost === null;
  }

  /** Takes the next part of the file. */
  add({ at, bytes, lines, read }: ReadPart): InspectedPart {
    this.bytes += bytes.length;
    if (read === null) {
      this.#addPartOfLine(at, bytes);
      return {
        at,
        bytes,
        lines,
        text: bytes.subarray(0, 0),
        damaged: [bytes],
        sound: [],
        lastBreakLost: false,
      };
    }
    const { bytes: text, events, damaged, lastBreakLost } = read;
    this.runId ??= read.runId;
    this.events += events;
    return { at, bytes, lines, text, damaged, sound: this.#addLines(at, bytes, read), lastBreakLost };
  }

  /** @returns the sound lines, those that stand together in one */
  #addLines(at: number, part: Buffer<ArrayBuffer>, read: BatchLines): Buffer<ArrayBuffer>[] {
    const sound: Buffer<ArrayBuffer>[] = [];
    let damaged = 0;
    let soundStart = 0;
    for (let start = 0; start < part.length;) {
      const feed = part.indexOf(LINE_FEED, start);
      const end = feed === -1 ? part.length : feed + 1;
      // whether a line is damaged depends on its bytes alone, and the damaged ones come in the order of the file
      if (read.damaged[damaged]?.equals(part.subarray(start, end)) === true) {
        damaged++;
        const line = part.subarray(start, end);
        this.#addDamaged({
          line: this.#line,
          at: at + start,
          length: line.length,
          what: whatIsWrong(line, read.hasMarks),
        });
        if (start > soundStart) sound.push(part.subarray(soundStart, start));
        soundStart = end;
      } else if (feed === -1) {
        const fileEnd = { line: this.#line, at: at + start, length: end - start };
        if (read.tornBytes > 0) this.torn = fileEnd;
        else if (read.lastBreakLost) this.breakLost = fileEnd;
      }
      if (feed !== -1) this.#line++;
      start = end;
    }
    const soundEnd = part.length - read.tornBytes;
    if (soundEnd > soundStart) sound.push(part.subarray(soundStart, soundEnd));
    return sound;
  }

  /** A line that does not fit into memory is damage. */
  #addPartOfLine(at: number, part: Buffer): void {
    const { length } = part;
    const last = this.damaged.at(-1);
    if (!this.#isInLine) this.#addDamaged({ line: this.#line, at, length, what: 'too long' });
    else if (last?.line === this.#line) {
      this.damaged[this.damaged.length - 1] = { ...last, length: last.length + length };
    }
    this.#isInLine = part.at(-1) !== LINE_FEED;
    if (!this.#isInLine) this.#line++;
  }

  #addDamaged(line: DamagedLine): void {
    this.damagedLines++;
    if (this.damaged.length < DAMAGED_NAMED_MAX) this.damaged.push(line);
  }
}

/** Looks through an open batch file, a part at a time, and notes in `inspection` what it finds. Damage never throws. */
export async function* inspectParts(
  fs: FileSystem,
  fd: number,
  size: number,
  bounds: FileBounds,
  inspection: BatchInspection,
): AsyncGenerator<InspectedPart, void, undefined> {
  const { wholeMax } = bounds;
  const own = size > wholeMax ? bounds : { ...bounds, piece: wholeMax };
  for await (const part of readInParts(fs, fd, size, false, own)) yield inspection.add(part);
}

/**
 * The parts of a batch file without what is unsound, as a repair puts them together: the sound lines byte for byte, with
 * a line feed at the end of the last.
 */
export class SoundLines {
  bytes = 0;
  readonly #search = new MarksSearch();
  #hasMarks = false;

  /**
   * Takes the next part of the file.
   *
   * @throws Error if its sound lines would not be read as the same events
   */
  add({ lines, text, sound, lastBreakLost, bytes }: InspectedPart): Buffer<ArrayBuffer> {
    this.#hasMarks = lines.hasMarks;
    const isFirst = this.bytes === 0;
    const [only] = sound;
    const isUnchanged = only?.length === bytes.length && !lastBreakLost && isFirst === lines.isFirst;
    const part = isUnchanged ? only : soundPart(sound, text, lastBreakLost, { ...lines, isFirst });
    if (part.length > 0) this.#search.look(part);
    this.bytes += part.length;
    return part;
  }

  /** @throws Error if the whole would not be read as the same events */
  end(): void {
    if (this.#search.hasMarks !== this.#hasMarks) throw notTheSame();
  }
}

function soundPart(
  sound: readonly Buffer<ArrayBuffer>[],
  text: Buffer,
  lastBreakLost: boolean,
  lines: LinesPart,
): Buffer<ArrayBuffer> {
  const whole = Buffer.concat(sound);
  const choices = !lastBreakLost
    ? [whole]
    : // behind the last byte, or in its place where that is what became of the line feed
      [whole, whole.subarray(0, -1)].map((bytes) => Buffer.concat([bytes, Buffer.of(LINE_FEED)]));
  const part = choices.find((choice) => isSoundly(choice, text, lines));
  if (part === undefined) throw notTheSame();
  return part;
}

function notTheSame(): Error {
  return new Error('the sound lines alone would not be read as the same events');
}

function whatIsWrong(line: Buffer, hasMarks: boolean): string {
  if (!hasMarks) return 'no event';
  return looksMarked(line.at(-1) === LINE_FEED ? line.subarray(0, -1) : line)
    ? 'the mark does not fit'
    : 'no mark';
}

/** Whether lines are sound and their events are these; white space at the end of a line is none of an event. */
function isSoundly(part: Buffer<ArrayBuffer>, text: Buffer, lines: LinesPart): boolean {
  const { bytes, tornBytes, lastBreakLost, damaged } = readBatchLines(part, false, lines);
  if (damaged.length > 0 || tornBytes > 0 || lastBreakLost) return false;
  return bytes.equals(text) || trimmedLines(bytes) === trimmedLines(text);
}

function trimmedLines(text: Buffer): string {
  return text.toString('latin1').replace(/[ \t\r]+\n/g, '\n');
}
