import type { BatchLines } from '../../lib/logs/file/batch-lines.js';
import type { Ending } from '../../lib/logs/file/compressed/batch-file-name.js';
import { isLostLine } from '../../lib/logs/file/compressed/compressed-view.js';
import type { FileView } from '../../lib/logs/file/file-view.js';
import { readInParts } from '../../lib/logs/file/large-file.js';
import type { FileBounds, ReadPart } from '../../lib/logs/file/large-file.js';
import { DamagedLines, wrongMark } from './damaged-lines.js';
import type { Place } from './damaged-lines.js';
import { linesIn } from './lines.js';

/** The file of a batch. */
export interface BatchFileForm {
  /** Of a compressed file; empty: it has its lines as they were appended. */
  readonly ending: Ending | '';
  /** Its size, in bytes. */
  readonly fileBytes: number;
}

/** Collects the sound and damaged lines of a batch file, as a server would read it. */
export class BatchInspection {
  readonly form: BatchFileForm;
  /** The size of its lines. */
  bytes = 0;
  events = 0;
  /** Batches that start in it; 0 if it holds only one. */
  starts = 0;
  /** The run that wrote the file; `null`: the file names none. */
  runId: string | null = null;
  readonly damaged = new DamagedLines();
  /** A line that a crash cut off. */
  torn: Place | null = null;
  /** The last line, if its event is sound and only its line feed is missing or damaged. */
  breakLost: Place | null = null;

  constructor(form: BatchFileForm = { ending: '', fileBytes: 0 }) {
    this.form = form;
  }

  /** Adds the next part of the file. @returns its sound events: NDJSON without marks */
  add({ at, bytes, read }: Omit<ReadPart, 'lines'>): Buffer {
    this.bytes += bytes.length;
    if (read === null) {
      this.damaged.addPartOfLine(at, bytes);
      return bytes.subarray(0, 0);
    }
    this.runId ??= read.runId;
    this.events += read.events;
    this.starts += read.starts.filter(({ isMarked }) => isMarked).length;
    this.#addLines(at, bytes, read);
    return read.bytes;
  }

  #addLines(partAt: number, part: Buffer<ArrayBuffer>, read: BatchLines): void {
    let [run, at] = [0, 0];
    for (const { at: start, bytes, isEnded } of linesIn(part)) {
      const place = { line: this.damaged.line, at: partAt + start, length: bytes.length };
      // damage depends only on the bytes of a line, and damaged lines come in the order of the file
      const damaged = read.damaged[run];
      if (damaged?.subarray(at, at + bytes.length).equals(bytes) === true) {
        at += bytes.length;
        if (at >= damaged.length) [run, at] = [run + 1, 0];
        this.damaged.add({ ...place, what: this.#whatIsWrong(read, bytes) });
      } else if (!isEnded) {
        if (read.tornBytes > 0) this.torn = place;
        else if (read.lastBreakLost) this.breakLost = place;
      }
      if (isEnded) this.damaged.line++;
    }
  }

  #whatIsWrong({ hasMarks }: BatchLines, line: Buffer): string {
    if (this.form.ending !== '' && isLostLine(line)) return 'lost with damaged compressed bytes';
    return hasMarks ? wrongMark(line) : 'no event';
  }
}

/**
 * Inspects a batch file, a part at a time, and records its findings in `inspection`. Damage never throws.
 *
 * @returns the sound events of each part
 */
export async function* inspectParts(
  view: FileView,
  bounds: FileBounds,
  inspection: BatchInspection,
): AsyncGenerator<Buffer, void, undefined> {
  const { wholeMax } = bounds;
  const own = view.size > wholeMax ? bounds : { ...bounds, piece: wholeMax };
  for await (const part of readInParts(view, false, own)) yield inspection.add(part);
}
