import { ID_WORDS } from '../../lib/event/event-ids.js';
import { beginsMarked, checkedText } from '../../lib/logs/file/checksum.js';
import { readSegmentLine } from '../../lib/logs/file/ids/id-record.js';
import type { IdRecord } from '../../lib/logs/file/ids/id-record.js';
import type { Part } from '../../lib/logs/file/large-file.js';
import { DamagedLines, wrongMark } from './damaged-lines.js';
import type { Place } from './damaged-lines.js';
import { linesIn } from './lines.js';

const OPENING_BRACE = 0x7b;

/** Collects the records and the damaged lines of a segment of the id window, as a server would read it. */
export class SegmentInspection {
  bytes = 0;
  /** How many ids it has of each source. */
  readonly ids = new Map<string, number>();
  /** When the oldest and the newest of its files were sealed, in milliseconds since 1970. */
  oldestMs = Infinity;
  newestMs = -Infinity;
  /** The check of the secret that its ids were hashed with; `null`: its first line names none. */
  secretCheck: string | null = null;
  readonly damaged = new DamagedLines();
  /** A write that a crash or an error cut off, or one that has not ended. */
  torn: Place | null = null;
  /** Whether a server may be writing its end right now. */
  readonly #mayBeWritten: boolean;

  constructor(mayBeWritten: boolean) {
    this.#mayBeWritten = mayBeWritten;
  }

  /** Whether a server forgets all its ids, as it knows no secret of them. An empty one has none to forget. */
  get hasNoSecret(): boolean {
    return this.secretCheck === null && this.damaged.line > 1;
  }

  get allIds(): number {
    return [...this.ids.values()].reduce((all, ids) => all + ids, 0);
  }

  /** Adds the next part of the file. @returns its records */
  add({ at: partAt, bytes: part, isPartOfLine }: Part): IdRecord[] {
    this.bytes += part.length;
    if (isPartOfLine) {
      this.damaged.addPartOfLine(partAt, part);
      return [];
    }
    const records: IdRecord[] = [];
    for (const { at, bytes, isEnded } of linesIn(part)) {
      const { length } = bytes;
      const place = { line: this.damaged.line, at: partAt + at, length };
      if (isEnded) {
        const record = this.#addLine(part.subarray(at, at + length - 1), place);
        if (record !== null) records.push(record);
        this.damaged.line++;
      } else if (this.#mayBeWritten || isTorn(part.subarray(at))) this.torn = place;
      else this.damaged.add({ ...place, what: wrongMark(bytes) });
    }
    return records;
  }

  #addLine(line: Buffer<ArrayBuffer>, place: Place): IdRecord | null {
    const read = readSegmentLine(line, place.line === 1);
    if (read === null) {
      const what = checkedText(line) === null ? wrongMark(line) : 'no record of ids';
      this.damaged.add({ ...place, what });
      return null;
    }
    if (!('ids' in read)) {
      this.secretCheck = read.secretCheck;
      return null;
    }
    for (const [source, words] of read.ids)
      this.ids.set(source, (this.ids.get(source) ?? 0) + words.length / ID_WORDS);
    this.oldestMs = Math.min(this.oldestMs, read.atMs);
    this.newestMs = Math.max(this.newestMs, read.atMs);
    return read;
  }
}

/** A crash leaves the start of a line, or zeros; a whole line whose line feed has a flipped bit was written to its end. */
function isTorn(tail: Buffer<ArrayBuffer>): boolean {
  return (tail[0] === 0 || tail[0] === OPENING_BRACE) && !beginsMarked(tail);
}
