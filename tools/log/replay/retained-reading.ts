import { join } from 'node:path';
import { systemCode } from '../../../lib/base/errors.js';
import { aboutLetter } from '../../../lib/logs/file/aside/dead-letters.js';
import { batchOf, DEAD_LETTERS, deadLetterFiles } from '../../../lib/logs/file/aside/letter-files.js';
import type { FileSystem } from '../../../lib/logs/file/file-system.js';
import { call, callVoid, readAll } from '../../../lib/logs/file/file-system.js';
import type { Ending } from '../../../lib/logs/file/compressed/batch-file-name.js';
import { CompressedView } from '../../../lib/logs/file/compressed/compressed-view.js';
import { inAnyForm } from '../../../lib/logs/file/compressed/forms.js';
import { plainView } from '../../../lib/logs/file/file-view.js';
import { FILE_BOUNDS, readInParts } from '../../../lib/logs/file/large-file.js';
import { firstRetained } from '../../../lib/logs/file/retained/retained-listing.js';
import { byArrival, RETAINED, uncompressed } from '../../../lib/logs/file/retained/retained-name.js';
import type { RetainedName } from '../../../lib/logs/file/retained/retained-name.js';
import { timeOf } from '../../../lib/logs/file/batch-name.js';
import { linesIn } from '../lines.js';
import { statsOfOpen } from '../tool-file-system.js';
import { eventLines } from './event-lines.js';
import type { EventLine } from './event-lines.js';

/** At most this many names are in memory; the folder is read again for the next ones. */
const NAMES_MAX = 2000;
/** Memory for a file at once. */
const BOUNDS = { ...FILE_BOUNDS, piece: 2 ** 20, wholeMax: 0 };

/** An event of a retained file. */
export interface RetainedEvent extends EventLine {
  /** Its number among the sound events of its file, from 0. */
  readonly index: number;
  /** Whether the sink has refused it, and it is among the dead letters: it is sent again from there. */
  readonly isLetter: boolean;
}

/** A time of arrival, in milliseconds since 1970: from this moment on, and before that one. */
export interface TimeWindow {
  readonly fromMs: number;
  readonly toMs: number;
}

/** The retained files of a log directory. */
export class RetainedFolder {
  readonly #fs: FileSystem;
  readonly #logDir: string;
  /** The files of dead letters of each batch that has some. */
  #letters: Map<string, string[]> | null = null;

  constructor(fs: FileSystem, logDir: string) {
    this.#fs = fs;
    this.#logDir = logDir;
  }

  /**
   * The files of a window, in the order in which their first events came.
   *
   * @param from the first one; `null`: all
   * @throws the system's error
   */
  async *files({ fromMs, toMs }: TimeWindow, from: RetainedName | null): AsyncGenerator<RetainedName, void> {
    const isInside = ({ batch }: RetainedName): boolean => {
      const ms = timeOf(batch);
      return ms + 1000 > fromMs && ms < toMs;
    };
    let last: RetainedName | null = null;
    for (;;) {
      const isNext = (file: RetainedName): boolean =>
        last === null ? from === null || byArrival(file, from) >= 0 : byArrival(file, last) > 0;
      const { files, areAll } = await firstRetained(
        this.#fs,
        this.#logDir,
        byArrival,
        NAMES_MAX,
        (file) => isInside(file) && isNext(file),
      );
      for (const file of files) {
        // both forms are there while one takes the place of the other
        if (last !== null && byArrival(file, last) === 0) continue;
        last = file;
        yield file;
      }
      if (areAll) return;
    }
  }

  /**
   * The events of a file, a part at a time.
   *
   * @throws the system's error; `ENOENT` if the file is gone
   */
  async *events(file: RetainedName): AsyncGenerator<RetainedEvent[], void> {
    const letters = await this.#lettersOf(file.batch);
    let index = 0;
    for await (const part of this.#parts(file)) {
      const isLetter = (event: Buffer): boolean => letters.size > 0 && letters.has(event.toString('latin1'));
      yield part.map((each) => ({ ...each, index: index++, isLetter: isLetter(each.event) }));
    }
  }

  async *#parts({ file }: RetainedName): AsyncGenerator<EventLine[], void> {
    const { fd, ending } = await this.#open(uncompressed(file));
    try {
      const { size } = await statsOfOpen(this.#fs, fd);
      // damage was set aside when the batch was delivered, or came since
      const options = { foreignMax: FILE_BOUNDS.wholeMax, setAside: async (): Promise<void> => undefined };
      const view =
        ending === ''
          ? plainView(this.#fs, fd, size)
          : await CompressedView.open(this.#fs, fd, size, ending, options);
      for await (const { bytes, read } of readInParts(view, false, BOUNDS))
        if (read !== null) yield eventLines(bytes, read);
    } finally {
      await callVoid((done) => {
        this.#fs.close(fd, done);
      });
    }
  }

  /** A server may compress it meanwhile. @throws the system's error; `ENOENT` if it is gone */
  async #open(file: string): Promise<{ fd: number; ending: Ending | '' }> {
    return inAnyForm('', async (ending) => {
      const fd = await call<number>((done) => {
        this.#fs.open(join(this.#logDir, RETAINED, `${file}${ending}`), 'r', done);
      });
      return { fd, ending };
    });
  }

  /** The texts of the events of a batch file that the sink has refused, as far as they are still dead letters. */
  async #lettersOf(batch: string): Promise<ReadonlySet<string>> {
    if (this.#letters === null) {
      this.#letters = new Map();
      for (const name of await deadLetterFiles(this.#fs, this.#logDir))
        this.#letters.set(batchOf(name), [...(this.#letters.get(batchOf(name)) ?? []), name]);
    }
    const texts = new Set<string>();
    for (const name of this.#letters.get(batch) ?? []) {
      const bytes = await readAll(this.#fs, join(this.#logDir, DEAD_LETTERS, name), null).catch(
        (error: unknown) => {
          if (systemCode(error) === 'ENOENT') return Buffer.alloc(0); // sent again or dropped meanwhile
          throw error;
        },
      );
      for (const line of linesIn(bytes)) {
        const letter = aboutLetter(line.bytes);
        if (letter !== null) texts.add(letter.event.toString('latin1'));
      }
    }
    return texts;
  }
}
