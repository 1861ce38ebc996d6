import type { BatchLines } from '../../lib/logs/file/batch-lines.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { readInParts } from '../../lib/logs/file/large-file.js';
import type { FileBounds, ReadPart } from '../../lib/logs/file/large-file.js';
import { looksMarked } from '../../lib/logs/file/checksum.js';
import { linesIn } from './lines.js';

const LINE_FEED = 10;

/** A file of garbage has many damaged lines that look alike, so only the first of each file are named. */
export const DAMAGED_NAMED_MAX = 20;

/** A damaged line of a batch file. */
export interface DamagedLine {
  /** Counted from 1. */
  readonly line: number;
  /** Its offset in the file, in bytes. */
  readonly at: number;
  /** In bytes, including its line feed if it has one. */
  readonly length: number;
  readonly what: string;
}

/** The text after the last line feed of an otherwise sound file. */
export interface FileEnd {
  readonly line: number;
  readonly at: number;
  readonly length: number;
}

/** Collects the sound and damaged lines of a batch file, as a server would read it. */
export class BatchInspection {
  bytes = 0;
  events = 0;
  /** Batches that start in it; 0 if it holds only one. */
  starts = 0;
  /** The run that wrote the file; `null`: the file names none. */
  runId: string | null = null;
  damagedLines = 0;
  /** The first damaged lines. */
  readonly damaged: DamagedLine[] = [];
  /** A line that a crash cut off. */
  torn: FileEnd | null = null;
  /** The last line, if its event is sound and only its line feed is missing or damaged. */
  breakLost: FileEnd | null = null;
  /** The number of the next line, from 1. */
  #line = 1;
  /** Whether the last part ended inside a line. */
  #isInLine = false;

  /** Adds the next part of the file. @returns its sound events: NDJSON without marks */
  add({ at, bytes, read }: ReadPart): Buffer {
    this.bytes += bytes.length;
    if (read === null) {
      this.#addPartOfLine(at, bytes);
      return bytes.subarray(0, 0);
    }
    this.runId ??= read.runId;
    this.events += read.events;
    this.starts += read.starts.filter(({ isMarked }) => isMarked).length;
    this.#addLines(at, bytes, read);
    return read.bytes;
  }

  #addLines(partAt: number, part: Buffer<ArrayBuffer>, read: BatchLines): void {
    let damaged = 0;
    for (const { at: start, bytes, isEnded } of linesIn(part)) {
      const place = { line: this.#line, at: partAt + start, length: bytes.length };
      // damage depends only on the bytes of a line, and damaged lines come in the order of the file
      if (read.damaged[damaged]?.equals(bytes) === true) {
        damaged++;
        this.#addDamaged({ ...place, what: whatIsWrong(bytes, read.hasMarks) });
      } else if (!isEnded) {
        if (read.tornBytes > 0) this.torn = place;
        else if (read.lastBreakLost) this.breakLost = place;
      }
      if (isEnded) this.#line++;
    }
  }

  /** A line that does not fit into memory counts as damage. */
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

/**
 * Inspects an open batch file, a part at a time, and records its findings in `inspection`. Damage never throws.
 *
 * @returns the sound events of each part
 */
export async function* inspectParts(
  fs: FileSystem,
  fd: number,
  size: number,
  bounds: FileBounds,
  inspection: BatchInspection,
): AsyncGenerator<Buffer, void, undefined> {
  const { wholeMax } = bounds;
  const own = size > wholeMax ? bounds : { ...bounds, piece: wholeMax };
  for await (const part of readInParts(fs, fd, size, false, own)) yield inspection.add(part);
}

function whatIsWrong(line: Buffer, hasMarks: boolean): string {
  if (!hasMarks) return 'no event';
  return looksMarked(line.at(-1) === LINE_FEED ? line.subarray(0, -1) : line)
    ? 'the mark does not fit'
    : 'no mark';
}
