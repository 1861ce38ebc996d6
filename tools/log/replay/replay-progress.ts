/**
 * How far a replay has come, so that the same command goes on after it was stopped or killed. `replay.jsonl` in the log
 * directory has a line of JSON for the replay, and one for each step, flushed: the last whole line counts. It is deleted at
 * the end. It is locked while a replay runs.
 */
import { constants } from 'node:fs';
import { join } from 'node:path';
import { asError, ForebayError } from '../../../lib/base/errors.js';
import { REPLAY_FILE } from '../../../lib/logs/file/directory-listing.js';
import { callVoid, flushDirectory, readAt, writeAll } from '../../../lib/logs/file/file-system.js';
import { unlink } from '../../../lib/logs/file/closing.js';
import { linesIn } from '../lines.js';
import { flush, statsOfOpen, withFile } from '../tool-file-system.js';
import type { ToolFileSystem } from '../tool-file-system.js';

const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
/** A line is shorter. */
const LINE_BYTES = 65_536;

/** What a replay is, as it was asked for. */
export interface ReplayPlan {
  /** The flags that say what is sent, and where; the same command goes on with it. */
  readonly command: Readonly<Record<string, string | readonly string[] | null>>;
  /** The window, in milliseconds since 1970. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly begun: string;
}

/** Where a replay is: all events before this place are sent. */
export interface ReplayPlace {
  /** The log directory, within that of the server; '' for that itself. */
  readonly dir: string;
  /** The retained file, and the number of the next event in it; `null`: at the start of the directory. */
  readonly file: string | null;
  readonly index: number;
  readonly sent: number;
}

export const START: ReplayPlace = { dir: '', file: null, index: 0, sent: 0 };

export class ReplayProgress {
  readonly #fs: ToolFileSystem;
  readonly #fd: number;
  readonly #logDir: string;
  #bytes: number;
  /** What an earlier run has left unfinished. */
  readonly left: { readonly plan: ReplayPlan; readonly place: ReplayPlace } | null;

  private constructor(
    fs: ToolFileSystem,
    logDir: string,
    fd: number,
    bytes: number,
    left: ReplayProgress['left'],
  ) {
    this.#fs = fs;
    this.#logDir = logDir;
    this.#fd = fd;
    this.#bytes = bytes;
    this.left = left;
  }

  /**
   * Opens it for one replay at a time.
   *
   * @throws ForebayError `LOG_DIR_LOCKED`, `LOG_DIR_UNUSABLE`
   */
  static async with<T>(
    fs: ToolFileSystem,
    logDir: string,
    work: (progress: ReplayProgress) => Promise<T>,
  ): Promise<T> {
    const path = join(logDir, REPLAY_FILE);
    let isOpen = false;
    try {
      return await withFile(fs, path, O_RDWR | O_CREAT | O_NOFOLLOW, async (fd) => {
        if (!fs.tryLock(fd))
          throw new ForebayError('LOG_DIR_LOCKED', { message: `Another replay runs on ${logDir}` });
        const { size } = await statsOfOpen(fs, fd);
        const { left, bytes } = await read(fs, fd, size);
        isOpen = true;
        return work(new ReplayProgress(fs, logDir, fd, bytes, left));
      });
    } catch (error) {
      if (isOpen || error instanceof ForebayError) throw error;
      const message = `${path} cannot be used: ${asError(error).message}`;
      throw new ForebayError('LOG_DIR_UNUSABLE', { message, cause: error });
    }
  }

  /** Another replay starts. */
  async begin(plan: ReplayPlan): Promise<void> {
    await callVoid((done) => {
      this.#fs.ftruncate(this.#fd, 0, done);
    });
    this.#bytes = 0;
    await this.#append(plan);
    await flushDirectory(this.#fs, this.#logDir);
  }

  /** Resolves when it is durable. */
  async reached(place: ReplayPlace): Promise<void> {
    await this.#append(place);
  }

  /** All is sent. */
  async end(): Promise<void> {
    await unlink(this.#fs, join(this.#logDir, REPLAY_FILE));
    await flushDirectory(this.#fs, this.#logDir);
  }

  async #append(line: ReplayPlan | ReplayPlace): Promise<void> {
    const bytes = Buffer.from(`${JSON.stringify(line)}\n`);
    await writeAll(this.#fs, this.#fd, bytes, this.#bytes);
    await flush(this.#fs, this.#fd);
    this.#bytes += bytes.length;
  }
}

/** A line that a kill has cut off does not count, and is overwritten. */
async function read(
  fs: ToolFileSystem,
  fd: number,
  size: number,
): Promise<{ left: ReplayProgress['left']; bytes: number }> {
  const [first] = [...linesIn(await readAt(fs, fd, 0, LINE_BYTES))];
  const plan = first?.isEnded === true ? (parsed(first.bytes) as ReplayPlan | null) : null;
  if (first === undefined || plan === null || typeof plan.fromMs !== 'number')
    return { left: null, bytes: 0 };
  const start = Math.max(first.bytes.length, size - LINE_BYTES);
  const tail = await readAt(fs, fd, start, size - start);
  const end = tail.lastIndexOf('\n') + 1;
  const lines = [...linesIn(tail.subarray(0, end))];
  const place = (parsed(lines.at(-1)?.bytes ?? Buffer.from('null')) as ReplayPlace | null) ?? START;
  return { left: { plan, place }, bytes: start + end };
}

function parsed(line: Buffer): object | null {
  try {
    const value: unknown = JSON.parse(line.toString('utf8'));
    return typeof value === 'object' ? value : null;
  } catch {
    return null;
  }
}
