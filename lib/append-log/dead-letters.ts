/**
 * Dead letters: events that the sink refused for good, with its reason. A file for each batch that had some, named like
 * it, in `append-log/dead-letters/`; each line is one of them:
 *
 *   {"batch":"batch_….jsonl","key":"…","index":7,"reason":"…","status":400,"attempts":3,"time":"2026-11-25T09:00:00.000Z","event":{…}}
 *
 * `event` is last, and its text is the client's own. A file is written once, whole, and flushed with its name before its
 * batch file is deleted, so it may be cut off only while the batch file is still there; then it is written again, or goes
 * if the sink takes its events after all. Once
 * the batch file is gone the server never touches it: then `bin/dead-letters.js` may take events out. A name may come
 * again in a later run, a key does not: beside a file with another key the next one ends in `.2`, and so on.
 */
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { ForebayError } from '../errors.js';
import { DEAD_LETTERS, filesIn, isDeadLetterFile } from './directory-listing.js';
import { unlink } from './file-ending.js';
import type { Batch } from './batch.js';
import { withoutDigest } from './batch-key.js';
import { call, callVoid, flushDirectory, readAll, statsOf, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';
import { LookPace } from './look-pace.js';
import { Subdirectory } from './subdirectory.js';
import type { SubdirectoryOwner } from './subdirectory.js';
import type { Reserve } from './reserve.js';

/** An event that the sink refused. */
export interface DeadLetter {
  /** Its place in the batch, from 0. */
  readonly index: number;
  readonly reason: string;
  readonly status: number | string | null;
  /** Attempts at the sink that it was part of. */
  readonly attempts: number;
  /** The event's own text. */
  readonly event: Buffer;
}

/** What stands about a dead letter in front of its event. */
export interface LetterAbout {
  readonly batch: string;
  /** Earlier versions wrote none. */
  readonly key?: string;
  readonly index: number;
  readonly reason: string;
  readonly status: number | string | null;
  readonly attempts: number;
  readonly time: string;
}

type BatchName = Pick<Batch, 'name' | 'key'>;

/** What the letters of a batch take. */
export interface LettersSize {
  readonly bytes: number;
  /** What an earlier file of the same batch takes, which they replace. */
  readonly earlierBytes: number;
}

/** The letters of a batch have no room below the bound. */
export class DeadLettersFull extends ForebayError {
  readonly size: LettersSize;

  constructor(message: string, size: LettersSize) {
    super('DEAD_LETTERS_FULL', { message });
    this.size = size;
  }
}

const EVENT = Buffer.from(',"event":');
/** How a file starts. Earlier versions wrote no key. */
const START = /^\{"batch":"([^"]*)",(?:"key":"([^"]*)",)?"index":/;
const START_BYTES = 256;
/** So soon it is seen that someone has made room. */
const KEPT_MS = 1000;

export class DeadLetters {
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #subdirectory: Subdirectory;
  readonly #reserve: Reserve;
  readonly #bytesMax: number;
  /** What stands there, as far as is known; `null`: it was not looked at yet. */
  #bytes: number | null = null;
  /** All batches that wait for room ask, again and again. */
  readonly #pace = new LookPace(KEPT_MS);
  /** One file after another: each must fit below the bound. */
  #turn: Promise<unknown> = Promise.resolve();

  /**
   * @param bytesMax so many bytes may stand there; those of one batch always
   */
  constructor({ fs, logDir, logNames, reserve }: SubdirectoryOwner, bytesMax: number) {
    this.#fs = fs;
    this.#dir = join(logDir, DEAD_LETTERS);
    this.#subdirectory = new Subdirectory(fs, this.#dir, logNames);
    this.#reserve = reserve;
    this.#bytesMax = bytesMax;
  }

  /**
   * Keeps what the sink refused of a batch, flushed.
   *
   * @returns the path of the file
   * @throws DeadLettersFull; the system's error if it cannot be written
   */
  async keep(batch: BatchName, letters: readonly DeadLetter[]): Promise<string> {
    const lines = linesOf(batch, letters);
    return this.#inTurn(() => this.#reserve.lend(() => this.#write(batch, lines)));
  }

  /**
   * The sink has all of a batch: what a run that was killed has kept of it goes, flushed, as it would be sent again.
   *
   * @throws the system's error
   */
  async withdraw(batch: BatchName): Promise<void> {
    await this.#inTurn(async () => {
      if ((await this.#look(0)) === 0) return;
      const { path, earlier } = await this.#place(batch);
      if (earlier === null) return;
      await unlink(this.#fs, path);
      // the batch file goes next, in another directory: a power cut must not take back this deletion only
      await flushDirectory(this.#fs, this.#dir);
      this.#bytes = Math.max(0, (this.#bytes ?? 0) - earlier.size);
    });
  }

  /** Looks whether someone has taken some away, unless it was looked at just now. */
  async look(): Promise<void> {
    await this.#inTurn(() => this.#look(Infinity));
  }

  /** Whether letters of this size have room, as of the last look. */
  hasRoom({ bytes, earlierBytes }: LettersSize): boolean {
    const others = Math.max(0, (this.#bytes ?? 0) - earlierBytes);
    // one that is larger than the bound would wait for ever: nobody could make more room than an empty folder has
    return others === 0 || others + bytes <= this.#bytesMax;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  /**
   * @param more bytes to be added; the folder is read again if they would exceed the bound
   * @returns the bytes that it holds
   */
  async #look(more: number): Promise<number> {
    let bytes = this.#bytes;
    if (bytes === null || (bytes + more > this.#bytesMax && this.#pace.isDue)) {
      bytes = (await this.#pace.look(async () => filesIn(this.#fs, this.#dir, isDeadLetterFile))).bytes;
      this.#bytes = bytes;
    }
    return bytes;
  }

  async #write(batch: BatchName, lines: Buffer): Promise<string> {
    const bytes = await this.#look(lines.length);
    const { path, earlier } = await this.#place(batch);
    const size = { bytes: lines.length, earlierBytes: earlier?.size ?? 0 };
    if (!this.hasRoom(size)) {
      const text = `${bytes} bytes of dead letters in ${this.#dir}, and ${lines.length} more exceed --dead-letters-max (${this.#bytesMax})`;
      throw new DeadLettersFull(text, size);
    }
    const others = Math.max(0, bytes - size.earlierBytes);
    await this.#subdirectory.ensure();
    // after a failed flush neither its bytes nor its name could be trusted
    if (earlier !== null) await unlink(this.#fs, path);
    this.#bytes = others;
    try {
      const fd = await call<number>((done) => {
        this.#fs.open(path, 'wx', 0o640, done);
      });
      try {
        await writeAll(this.#fs, fd, lines, 0);
        await callVoid((done) => {
          this.#fs.fsync(fd, done);
        });
      } finally {
        await callVoid((done) => {
          this.#fs.close(fd, done);
        });
      }
      // as it stands now: someone may have moved the directory away
      await flushDirectory(this.#fs, this.#dir);
    } catch (error) {
      await unlink(this.#fs, path).catch(() => undefined);
      throw error;
    }
    this.#bytes = others + lines.length;
    return path;
  }

  /** The file for the letters of a batch. One of an earlier attempt gives way to it. */
  async #place({ name, key }: BatchName): Promise<{ path: string; earlier: Stats | null }> {
    const file = name.replace(/#.*$/, ''); // each piece of a large one has letters of its own
    for (let number = 1; ; number++) {
      const path = join(this.#dir, number === 1 ? file : `${file}.${number}`);
      const there = await statsOf(this.#fs, path);
      if (there === null) return { path, earlier: null };
      if (there.isFile() && (await this.#isOf(path, key))) return { path, earlier: there };
    }
  }

  /** Whether a file is of this batch. One that does not say of which one it is was cut off, so its batch is there. */
  async #isOf(path: string, key: string): Promise<boolean> {
    const start = await readAll(this.#fs, path, START_BYTES);
    const names = START.exec(start.toString('latin1'));
    if (names === null) return true;
    const [, name = '', own = name] = names;
    // a file of no run may be another one of the same name; of one of a run some events may be damaged meanwhile
    const isOfRun = !key.startsWith(name);
    return own === key || (isOfRun ? withoutDigest(own) : own) === withoutDigest(key);
  }

  async close(): Promise<void> {
    await this.#turn;
  }
}

/**
 * A line with its line feed, or the begin of one, in its two parts; the event's text is not looked at.
 *
 * @returns `null` for a line that no server has written
 */
export function aboutLetter(line: Buffer): { about: LetterAbout; event: Buffer } | null {
  const at = line.indexOf(EVENT);
  if (at === -1) return null;
  const event = line.subarray(at + EVENT.length, line.at(-1) === 0x0a ? -2 : undefined);
  try {
    const about = JSON.parse(`${line.toString('utf8', 0, at)}}`) as LetterAbout;
    return typeof about.reason === 'string' && typeof about.time === 'string' ? { about, event } : null;
  } catch {
    return null;
  }
}

function linesOf({ name, key }: BatchName, letters: readonly DeadLetter[]): Buffer {
  const time = new Date(Date.now()).toISOString();
  return Buffer.concat(
    letters.flatMap(({ index, reason, status, attempts, event }) => {
      const about = JSON.stringify({ batch: name, key, index, reason, status, attempts, time });
      return [Buffer.from(`${about.slice(0, -1)},"event":`), event, Buffer.from('}\n')];
    }),
  );
}
