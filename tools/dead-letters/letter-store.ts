import type { Done, Operation } from '../log/operations.js';
import type { Letter, Line } from './letter-lines.js';

/** The dead letters of a log, in files or in a stream. */
export interface LetterStore {
  /** Where they are, in words. */
  readonly place: string;
  /** What has one letter: `line` or `message`. */
  readonly noun: string;
  /**
   * The names of all groups of letters, or of the requested ones.
   *
   * @throws ForebayError also if one is missing
   */
  names(wanted: readonly string[]): Promise<string[]>;
  /** `in 2 files of append-log/dead-letters` */
  whereText(names: readonly string[]): string;
  /** Where the letters of a group are. */
  pathOf(name: string): string;
  /**
   * Reads groups one after the other, with at most a part of one in memory.
   *
   * @param failures gets a text for each that cannot be read; the others are read all the same
   */
  readEach(
    names: readonly string[],
    failures: string[],
  ): AsyncGenerator<{ name: string; letters: readonly Letter[] }, void, undefined>;
  /**
   * Runs one change at a time, as far as the store can see to it.
   *
   * @param command for the error
   * @throws ForebayError
   */
  exclusively<T>(command: string, work: () => Promise<T>): Promise<T>;
  /** Records who does a change, if there is a place for that. @throws ForebayError if not: then nothing was done */
  recorded<T extends Done>(operation: Operation, work: () => Promise<T>): Promise<T>;
  /**
   * Takes a group away from the server, so that nothing is added to it.
   *
   * @returns its new name; `null` if none of its letters is wanted
   * @throws Error if the server may write it again
   */
  take(name: string, isWanted: (letter: Letter) => boolean): Promise<string | null>;
  /** Goes through the letters of a group that was taken, a part at a time. */
  edit(name: string, use: (letters: readonly Letter[], edit: Edit) => Promise<void>): Promise<void>;
  /** Keeps some letters of a group that was taken. @returns how many letters were removed */
  keepOnly(name: string, isKept: (letter: Letter) => boolean): Promise<number>;
}

/** Changes a group while its letters are being read. */
export interface Edit {
  /** Removes letters of the current part; resolves when that is durable. */
  readonly remove: (letters: Iterable<Letter>) => Promise<void>;
  /** The number of a line, not counting removed lines before it. */
  readonly numberLeft: (line: Line) => number;
}
