/**
 * Dead letters: events that the sink refused for good, with its reason. Each batch with refused events has a file in
 * `append-log/dead-letters/`, named like the batch. Each line is one dead letter:
 *
 *   {"batch":"batch_….jsonl","key":"…","index":7,"reason":"…","status":400,"attempts":3,"time":"2026-11-25T09:00:00.000Z","event":{…}}
 *
 * `event` is last and has the client's original text. A file is written once, whole, and flushed with its name before
 * its batch file is deleted. So it can be cut off only while the batch file still exists; then it is written again, or
 * deleted if the sink takes its events after all. One batch of several in a file has its range after the name,
 * `….jsonl.101-200`. Once the batch file is gone, the server keeps each of its letters;
 * `bin/dead-letters.js` may take them out. A name may come again in a later run: if a file has letters of other
 * events, the next one ends in `.2`, and so on.
 */
import { join } from 'node:path';
import { systemCode } from '../../../base/errors.js';
import { batchOf, DEAD_LETTERS } from './letter-files.js';
import { unlink } from '../closing.js';
import type { Batch } from '../../../seams/batch.js';
import { DeadLettersFull } from '../../../seams/dead-letters.js';
import type { DeadLetter, DeadLetterStore, LetterAbout } from '../../../seams/dead-letters.js';
import { withoutDigest } from '../../../seams/batch-key.js';
import { overlap } from '../../../base/batch-range.js';
import { flushDirectory, readAll, statsOf } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { writeNewFile } from '../new-file.js';
import { LettersRoom } from './letters-room.js';
import type { LettersSize } from '../../../seams/dead-letters.js';
import { copies, freePath, writeNewCopy } from './new-copy.js';
import type { EarlierCopy } from './new-copy.js';
import { Subdirectory } from './subdirectory.js';
import type { SubdirectoryOwner } from './subdirectory.js';

/** A batch, with its events as the sink got them. */
type Whose = Pick<Batch, 'name' | 'key' | 'bytes'>;

/** A file to be replaced; `size` is that of its letters of these events. */
interface Earlier extends EarlierCopy {
  /** Its other lines. */
  readonly others: Buffer;
}

const LINE_FEED = 10;
const EVENT = Buffer.from(',"event":');
/** How a file starts. Earlier versions wrote no key. */
const START = /^\{"batch":"([^"]*)",(?:"key":"([^"]*)",)?"index":/;
const START_BYTES = 256;
const RANGES = /#.*$/;

export class DeadLetters implements DeadLetterStore {
  readonly #owner: SubdirectoryOwner;
  readonly #fs: FileSystem;
  readonly #dir: string;
  readonly #subdirectory: Subdirectory;
  readonly #room: LettersRoom;
  /** Whether all deletions in the folder are on the device. Deletions of an earlier run may not be. */
  #isFlushed = false;
  /** One file at a time: each must fit below the bound. */
  #turn: Promise<unknown> = Promise.resolve();

  /** @param bytesMax the bound of all dead letters; those of one batch always have room */
  constructor(owner: SubdirectoryOwner, bytesMax: number) {
    const { fs, logDir } = owner;
    this.#owner = owner;
    this.#fs = fs;
    this.#dir = join(logDir, DEAD_LETTERS);
    this.#subdirectory = new Subdirectory(owner, DEAD_LETTERS);
    this.#room = new LettersRoom(fs, logDir, bytesMax);
  }

  /**
   * Keeps the refused events of a batch, flushed.
   *
   * @returns the path of the file
   * @throws DeadLettersFull; the system's error if it cannot be written
   */
  async keep(batch: Whose, letters: readonly DeadLetter[]): Promise<string> {
    const lines = linesOf(batch, letters);
    return this.#inTurn(() => this.#owner.reserve.lend(() => this.#write(batch, lines)));
  }

  /**
   * The sink has all of a batch: letters that a killed run kept of it are deleted, flushed, as they would be sent
   * again (N10).
   *
   * @throws the system's error
   */
  async withdraw(batch: Whose): Promise<void> {
    await this.#inTurn(async () => {
      await this.#room.look(0);
      const earlier = this.#room.hasAny ? await this.#earlier(batch) : [];
      if (earlier.length > 0) {
        // a server with the lock may be writing them
        await this.#owner.confirmLock();
        this.#isFlushed = false;
      }
      for (const each of earlier) {
        await this.#keepOthers(each);
        await unlink(this.#fs, each.path);
      }
      this.#room.add(batch, -sizeOf(earlier));
      if (this.#isFlushed) return;
      // the batch file goes next, in another directory: a power cut must not undo this deletion alone
      await flushDirectory(this.#fs, this.#dir).catch((error: unknown) => {
        if (systemCode(error) !== 'ENOENT') throw error;
      });
      this.#isFlushed = true;
    });
  }

  /** Called when a batch file is deleted. */
  settled(name: string): void {
    if (this.#room.isUnsettled(name)) void this.#inTurn(async () => this.#room.settled(name));
  }

  /** Checks whether someone has taken letters away, unless that was done just now. @returns the size of all, in bytes */
  async look(): Promise<number> {
    return this.#inTurn(() => this.#room.look(Infinity));
  }

  /** Whether letters of this size have room, as of the last check. */
  hasRoom(size: LettersSize, batch: string | null): boolean {
    return this.#room.has(size, batch);
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(work);
    this.#turn = done.catch(() => undefined);
    return done;
  }

  async #write(batch: Whose, lines: Buffer): Promise<string> {
    const earlier = await this.#earlier(batch);
    const bytes = await this.#room.look(lines.length);
    const size = { bytes: lines.length, earlierBytes: sizeOf(earlier) };
    if (!this.hasRoom(size, batch.name)) {
      const text = `${bytes} bytes of dead letters in ${this.#dir}, and ${lines.length} more exceed --dead-letters-max (${this.#room.bytesMax})`;
      throw new DeadLettersFull(text, size);
    }
    await this.#subdirectory.ensure();
    for (const each of earlier) await this.#keepOthers(each);
    const copy = { first: this.#first(batch), bytes: lines, earlier, batchName: batchOf(batch.name) };
    const path = await writeNewCopy({ ...this.#owner, ...copy });
    this.#room.add(batch, lines.length - size.earlierBytes);
    return path;
  }

  /** Moves letters of other events in a replaced file to their own file: their batch may be gone. */
  async #keepOthers({ path, others }: Earlier): Promise<void> {
    if (others.length === 0) return;
    await writeNewFile(this.#fs, await freePath(this.#fs, path.replace(/\.\d+$/, ''), 2), others);
  }

  /**
   * The files of earlier attempts, to be replaced: with the name and key of the batch, and with letters of these
   * events or of nothing else. The same name and run can come again with other events, in a copy or by hand.
   */
  async #earlier(batch: Whose): Promise<Earlier[]> {
    const earlier: Earlier[] = [];
    for await (const { path, size } of this.#copies(batch)) {
      if (!(await this.#isOf(path, batch.key))) continue;
      const others = await this.#lettersOfOthers(path, batch);
      if (others !== null) earlier.push({ path, size: size - others.length, others });
    }
    return earlier;
  }

  /**
   * The files that may have letters of a batch. Of one batch of several in a file, damage may have changed the range since,
   * and an earlier version gave its letters a number.
   */
  async *#copies(batch: Whose): AsyncGenerator<EarlierCopy, void, undefined> {
    const seen = new Set<string>();
    for await (const copy of copies(this.#fs, this.#first(batch))) {
      seen.add(copy.path);
      yield copy;
    }
    for (const name of await this.#room.leftOf(batchOf(batch.name))) {
      const path = join(this.#dir, name);
      // a file that was cut off names no batch inside: its name does
      if (!overlap(batch.name, name.replace(/\.(?=\d+-\d+)/, '#'))) continue;
      const there = seen.has(path) ? null : await statsOf(this.#fs, path);
      if (there?.isFile() === true) yield { path, size: there.size };
    }
  }

  /** The path for the letters of a batch if it is free. */
  #first({ name }: Whose): string {
    return join(this.#dir, name.replace('#', '.'));
  }

  /** Whether a file belongs to this batch. A file that does not name its batch was cut off, so its batch still exists. */
  async #isOf(path: string, key: string): Promise<boolean> {
    const start = await readAll(this.#fs, path, START_BYTES);
    const names = START.exec(start.toString('latin1'));
    if (names === null) return true;
    const [theirs, ours] = [withoutDigest(names[2] ?? names[1] ?? ''), withoutDigest(key)];
    const [theirFile, ourFile] = [theirs.replace(RANGES, ''), ours.replace(RANGES, '')];
    // damage may have removed the run from the batch since, or have joined it with the one before
    return (theirFile === ourFile || theirFile.endsWith(`-${ourFile}`)) && overlap(theirs, ours);
  }

  /** The lines of a file whose events are not in a batch; `null` if that is true of all. */
  async #lettersOfOthers(path: string, { bytes }: Whose): Promise<Buffer | null> {
    const events = new Set(bytes.toString('latin1').split('\n'));
    const others: Buffer[] = [];
    let letters = 0;
    const there = await readAll(this.#fs, path, null);
    for (let start = 0, end = 0; start < there.length; start = end) {
      end = there.indexOf(LINE_FEED, start) + 1;
      if (end === 0) break; // cut off
      const line = there.subarray(start, end);
      const letter = aboutLetter(line);
      if (letter === null) continue;
      letters++;
      if (!events.has(letter.event.toString('latin1'))) others.push(line);
    }
    return letters > 0 && others.length === letters ? null : Buffer.concat(others);
  }

  async close(): Promise<void> {
    await this.#turn;
  }
}

function sizeOf(earlier: readonly Earlier[]): number {
  return earlier.reduce((bytes, { size }) => bytes + size, 0);
}

/**
 * Splits a line with its line feed, or the start of such a line, into its two parts. The event's text is not parsed.
 *
 * @returns `null` if no server has written the line
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

export function linesOf({ name, key }: Pick<Whose, 'name' | 'key'>, letters: readonly DeadLetter[]): Buffer {
  const time = new Date(Date.now()).toISOString();
  return Buffer.concat(
    letters.flatMap(({ index, reason, status, attempts, event }) => {
      const about = JSON.stringify({ batch: name, key, index, reason, status, attempts, time });
      return [Buffer.from(`${about.slice(0, -1)},"event":`), event, Buffer.from('}\n')];
    }),
  );
}
