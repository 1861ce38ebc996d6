import { count } from '../../lib/base/words.js';
import { looksMarked } from '../../lib/logs/file/checksum.js';

const LINE_FEED = 10;

/** A file of garbage has many damaged lines that look alike, so only the first of each file are named. */
export const DAMAGED_NAMED_MAX = 20;

/** A place in a file. */
export interface Place {
  /** Counted from 1. */
  readonly line: number;
  /** Its offset in the file, in bytes. */
  readonly at: number;
  /** In bytes, including the line feed if there is one. */
  readonly length: number;
}

/** A damaged line of a file. */
export interface DamagedLine extends Place {
  readonly what: string;
}

/** Counts the lines of a file that is read in parts, and keeps the damaged ones. */
export class DamagedLines {
  /** The number of the next line, from 1. */
  line = 1;
  count = 0;
  /** The first ones. */
  readonly named: DamagedLine[] = [];
  /** Whether the last part ended inside a line. */
  #isInLine = false;

  add(line: DamagedLine): void {
    this.count++;
    if (this.named.length < DAMAGED_NAMED_MAX) this.named.push(line);
  }

  /** Adds a part of a line that does not fit into memory: it counts as damage. */
  addPartOfLine(at: number, part: Buffer): void {
    const { length } = part;
    const last = this.named.at(-1);
    if (!this.#isInLine) this.add({ line: this.line, at, length, what: 'too long' });
    else if (last?.line === this.line) {
      this.named[this.named.length - 1] = { ...last, length: last.length + length };
    }
    this.#isInLine = part.at(-1) !== LINE_FEED;
    if (!this.#isInLine) this.line++;
  }

  /** Each of them in words, with its place. */
  get texts(): string[] {
    const texts = this.named.map(
      ({ length, what, ...place }) => `${placeText(place)}: ${what} (${count(length, 'byte')})`,
    );
    const more = this.count - this.named.length;
    if (more > 0) texts.push(`and ${more} more damaged lines`);
    return texts;
  }

  /** How many are not printed, in words; empty: none. */
  get leftOut(): string {
    return this.count === 0 ? '' : `${count(this.count, 'damaged line')} left out (--raw prints them)`;
  }
}

/** Lines are counted from 1, bytes from 0. */
export function placeText({ line, at }: Pick<Place, 'line' | 'at'>): string {
  return `line ${line}, byte ${at}`;
}

/** What is wrong with a line whose mark does not fit, in a file with marks. */
export function wrongMark(line: Buffer): string {
  return looksMarked(line.at(-1) === LINE_FEED ? line.subarray(0, -1) : line)
    ? 'the mark does not fit'
    : 'no mark';
}
