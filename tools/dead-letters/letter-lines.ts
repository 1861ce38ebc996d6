import { aboutLetter } from '../../lib/logs/file/aside/dead-letters.js';
import type { LetterAbout } from '../../lib/seams/dead-letters.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';
import { plainView } from '../../lib/logs/file/file-view.js';
import { partsOf } from '../../lib/logs/file/large-file.js';
import type { FileBounds } from '../../lib/logs/file/large-file.js';
import { linesIn } from '../log/lines.js';
import { statsOfOpen } from '../log/tool-file-system.js';

/** A line of a file of dead letters, or a part of an overlong one. */
export interface Line {
  /** Its number in the file, from 1. */
  readonly number: number;
  /** Its offset in the file, in bytes. */
  readonly at: number;
  /** The whole line, with its line feed. */
  readonly line: Buffer;
}

/** A dead letter. */
export interface Letter extends LetterAbout, Line {
  /** The event's own text. */
  readonly event: Buffer;
}

/** Some lines of a file of dead letters. */
export interface LetterPart {
  readonly letters: readonly Letter[];
  /** Lines that no server has completed. */
  readonly strange: readonly Line[];
  /** Lines of spaces in place of removed letters. */
  readonly blanks: readonly Line[];
}

const LINE_FEED = 0x0a;
const SPACE = 0x20;

/** At most this many lines are named. */
const NAMED_MAX = 10;

/** Reads an open file of dead letters, a part at a time. */
export async function* lettersIn(
  fs: FileSystem,
  fd: number,
  bounds: FileBounds,
): AsyncGenerator<LetterPart, void, undefined> {
  const { size } = await statsOfOpen(fs, fd);
  let number = 1;
  for await (const { at, bytes, isPartOfLine } of partsOf(plainView(fs, fd, size), bounds)) {
    const letters: Letter[] = [];
    const strange: Line[] = [];
    const blanks: Line[] = [];
    for (const { at: start, bytes: text, isEnded } of linesIn(bytes)) {
      const line = { number, at: at + start, line: text };
      const letter = !isEnded || isPartOfLine ? null : letterIn(line);
      if (letter !== null) letters.push(letter);
      else if (!isPartOfLine && isBlank(line.line)) blanks.push(line);
      else strange.push(line);
      if (isEnded) number++;
    }
    yield { letters, strange, blanks };
  }
}

/** Lines of spaces that replace consecutive letters. */
export function blankLines(letters: readonly Letter[]): Buffer {
  const lines = letters.map(({ line }) => Buffer.alloc(line.length, SPACE).fill(LINE_FEED, line.length - 1));
  return Buffer.concat(lines);
}

/** Letters in groups that are consecutive in their file. */
export function runsOf(letters: Iterable<Letter>): Letter[][] {
  const runs: Letter[][] = [];
  let end = -1;
  for (const letter of letters) {
    if (letter.at === end) runs.at(-1)?.push(letter);
    else runs.push([letter]);
    end = letter.at + letter.line.length;
  }
  return runs;
}

/** Lines in the order of their file. */
export function inOrder(lines: readonly Line[]): Line[] {
  return lines.toSorted((a, b) => a.at - b.at);
}

/** Line numbers in words. Of many, only the first are kept. */
export class LineNumbers {
  count = 0;
  readonly #noun: string;
  readonly #named: number[] = [];
  #last = 0;

  constructor(noun = 'line') {
    this.#noun = noun;
  }

  /** Numbers must ascend. Parts of the same line count once. */
  add(number: number): void {
    if (number === this.#last) return;
    this.#last = number;
    this.count++;
    if (this.#named.length < NAMED_MAX) this.#named.push(number);
  }

  /** `line 3`, `lines 3, 7` */
  get text(): string {
    const more = this.count - this.#named.length;
    const noun = this.count === 1 ? this.#noun : `${this.#noun}s`;
    return `${noun} ${this.#named.join(', ')}${more === 0 ? '' : `, and ${more} more`}`;
  }
}

/** An empty line does not count: the tool leaves none. */
function isBlank(line: Buffer): boolean {
  return line.length > 1 && line.at(-1) === LINE_FEED && line.subarray(0, -1).every((byte) => byte === SPACE);
}

/** `null`: no server has written this line. */
export function letterIn(line: Line): Letter | null {
  const letter = aboutLetter(line.line);
  if (letter === null) return null;
  try {
    JSON.parse(letter.event.toString('utf8'));
    return { ...letter.about, ...line, event: letter.event };
  } catch {
    return null;
  }
}
