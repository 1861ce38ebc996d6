/**
 * The names of rotated files, beside the file itself, with the moment of the rotation (UTC):
 *
 *   delivered.jsonl                                the file that grows
 *   delivered-20261125T230000.123Z.jsonl           rotated; it does not change any more
 *   delivered-20261125T230000.123Z.jsonl.gz        the same, compressed: whole, as it gets this name at the end
 *   delivered-20261125T230000.123Z.jsonl.gz.tmp    being compressed; a killed server leaves it
 *
 * Each name is later than those before it, also where the clock is not: so they sort by time, and none comes twice.
 */
import { basename, dirname, extname, join } from 'node:path';
import { isThere } from './sink-files.js';
import type { SinkFiles } from './sink-files.js';

export const COMPRESSED = '.gz';
export const UNFINISHED = '.tmp';

const STAMP = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)\.(\d{3})Z$/;

export class RotatedNames {
  readonly #fs: SinkFiles;
  readonly #dir: string;
  /** What stands before and behind the stamp. */
  readonly #start: string;
  readonly #end: string;
  /** Of the last name, in milliseconds since 1970. */
  #lastMs = 0;

  /** @param path the file that is rotated */
  constructor(fs: SinkFiles, path: string) {
    this.#fs = fs;
    this.#dir = dirname(path);
    this.#end = extname(path);
    this.#start = `${basename(path, this.#end)}-`;
  }

  /** What earlier runs left, as paths, oldest first: rotated and not compressed, and what is no whole file. */
  async left(): Promise<{ plain: string[]; unfinished: string[] }> {
    const plain: string[] = [];
    const unfinished: string[] = [];
    for (const name of (await this.#fs.readdir(this.#dir)).toSorted()) {
      if (!name.startsWith(this.#start)) continue;
      const [, stamp = '', ending] = /^(.*?Z)(.*)$/.exec(name.slice(this.#start.length)) ?? [];
      const timeMs = timeOf(stamp);
      if (timeMs === null) continue;
      const path = join(this.#dir, name);
      if (ending === this.#end) plain.push(path);
      else if (ending === this.#end + COMPRESSED + UNFINISHED) unfinished.push(path);
      else if (ending !== this.#end + COMPRESSED) continue;
      this.#lastMs = Math.max(this.#lastMs, timeMs);
    }
    return { plain, unfinished };
  }

  /** A path where nothing is, also not compressed. */
  async next(): Promise<string> {
    for (;;) {
      this.#lastMs = Math.max(Date.now(), this.#lastMs + 1);
      const stamp = new Date(this.#lastMs).toISOString().replaceAll(/[-:]/g, '');
      const path = join(this.#dir, this.#start + stamp + this.#end);
      if (!(await isThere(this.#fs, path)) && !(await isThere(this.#fs, path + COMPRESSED))) return path;
    }
  }
}

function timeOf(stamp: string): number | null {
  if (!STAMP.test(stamp)) return null; // `Date.parse` takes much else for a date
  const timeMs = Date.parse(stamp.replace(STAMP, '$1-$2-$3T$4:$5:$6.$7Z'));
  return Number.isNaN(timeMs) ? null : timeMs;
}
