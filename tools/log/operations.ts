/**
 * Records who has changed what in a log directory by hand. The tools append to `operations.jsonl`: one line before
 * the first change, with the plan, and one with the result, each flushed. A line without its second one is of a tool
 * that was killed or still runs. Tools may write at the same time, because each line is one write to the end of the
 * file. No server reads it.
 */
import { randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { hostname, userInfo } from 'node:os';
import { join } from 'node:path';
import { EARLIER_OPERATIONS, OPERATIONS } from '../../lib/logs/file/directory-listing.js';
import { call, callVoid, flushDirectory, statsOf } from '../../lib/logs/file/file-system.js';
import { asError, ForebayError } from '../../lib/base/errors.js';
import { flush, statsOfOpen, withFile } from './tool-file-system.js';
import type { ToolFileSystem } from './tool-file-system.js';

/** A larger file is renamed before the next operation. */
const BYTES_MAX = 2 ** 20;

const LINE_FEED = 0x0a;

const { O_RDWR, O_APPEND, O_CREAT, O_NOFOLLOW } = constants;

/** A planned operation. */
export interface Operation {
  readonly what: 'redrive' | 'drop' | 'replay';
  /** The request, by flag; what is `null` or empty was not given. */
  readonly selection: Readonly<Record<string, string | readonly string[] | null>>;
  /** Where a redrive or a replay sends events; `null`: nowhere, or to a sink. */
  readonly url: URL | null;
  readonly counts: Counts;
}

/** Counts of events, files and the like, each with a name. */
export type Counts = Readonly<Record<string, number>>;

/** The result of an operation. */
export interface Done {
  readonly counts: Counts;
  /** Failures in words. Only their number is recorded, because they may quote an event. */
  readonly failures: readonly string[];
  /** Set if the operator has stopped it, which is no failure: where it was, in words. */
  readonly interruption?: string | null;
}

/**
 * Changes a log directory and records who does it, before the change and after it.
 *
 * @returns the result of `work`, with one more failure if its end could not be recorded
 * @throws ForebayError `LOG_DIR_UNUSABLE` if nothing can be recorded: then nothing was done
 */
export async function recorded<T extends Done>(
  fs: ToolFileSystem,
  dir: string,
  operation: Operation,
  work: () => Promise<T>,
): Promise<T> {
  const { what, selection, url, counts } = operation;
  const about = { id: randomUUID(), ...operator(), what, selection, url: url === null ? null : bare(url) };
  const write = (fields: object): Promise<void> =>
    append(fs, dir, JSON.stringify({ time: new Date().toISOString(), ...about, ...fields }));
  const writeEnd = (outcome: string, done: Partial<Done>): Promise<void> =>
    write({ state: 'ended', outcome, failures: done.failures?.length ?? null, ...done.counts });
  try {
    await makeRoom(fs, dir);
    await write({ state: 'begun', ...counts });
  } catch (error) {
    const message = `${notWritten(dir, error)}, so nothing was done`;
    throw new ForebayError('LOG_DIR_UNUSABLE', { message, cause: error });
  }
  let done: T;
  try {
    done = await work();
  } catch (error) {
    await writeEnd('failed', {}).catch(() => undefined); // the error of the work matters more
    throw error;
  }
  try {
    const { failures, interruption = null } = done;
    const whole = failures.length === 0 ? 'done' : 'incomplete';
    await writeEnd(interruption === null ? whole : 'interrupted', done);
    return done;
  } catch (error) {
    return { ...done, failures: [...done.failures, `The end of it: ${notWritten(dir, error)}`] };
  }
}

/** Who runs this process, as far as the system knows. */
function operator(): object {
  let user: string | null = null;
  try {
    user = userInfo().username;
  } catch {
    // the system has no name for the id, as in some containers
  }
  // tools run as the user of the server; this may be the person
  const sudoUser = process.env['SUDO_USER'] ?? null;
  return { user, uid: process.geteuid?.() ?? null, sudoUser, host: hostname(), pid: process.pid };
}

/** The URL without user, password and query, which may be secrets. */
function bare({ origin, pathname }: URL): string {
  return origin + pathname;
}

function notWritten(dir: string, error: unknown): string {
  return `who does what cannot be written to ${join(dir, OPERATIONS)} (${asError(error).message})`;
}

/** Appends a line in one write, and makes it durable. */
async function append(fs: ToolFileSystem, dir: string, text: string): Promise<void> {
  await withOperations(fs, dir, async (fd, { size }) => {
    // a failed write may have left a part of a line
    const start = size > 0 && (await byteAt(fs, fd, size - 1)) !== LINE_FEED ? '\n' : '';
    const bytes = Buffer.from(`${start}${text}\n`);
    const written = await call<number>((done) => {
      fs.write(fd, bytes, 0, bytes.length, null, done);
    });
    if (written < bytes.length) throw new Error(`only ${written} of ${bytes.length} bytes were taken`);
    await flush(fs, fd);
  });
  await flushDirectory(fs, dir); // also if the file existed: its creator may have been killed before flushing
}

/** Renames a large file. If tools do so at the same time, one gets the lock and the others go on. */
async function makeRoom(fs: ToolFileSystem, dir: string): Promise<void> {
  const path = join(dir, OPERATIONS);
  if (((await statsOf(fs, path))?.size ?? 0) < BYTES_MAX) return;
  await withOperations(fs, dir, async (fd, { ino }) => {
    if (!fs.tryLock(fd) || (await statsOf(fs, path))?.ino !== ino) return;
    await callVoid((done) => {
      fs.rename(path, join(dir, EARLIER_OPERATIONS), done);
    });
  });
}

async function withOperations(
  fs: ToolFileSystem,
  dir: string,
  work: (fd: number, stats: Stats) => Promise<void>,
): Promise<void> {
  await withFile(fs, join(dir, OPERATIONS), O_RDWR | O_APPEND | O_CREAT | O_NOFOLLOW, async (fd) => {
    const stats = await statsOfOpen(fs, fd);
    if (!stats.isFile()) throw new Error('it is not a plain file');
    await work(fd, stats);
  });
}

async function byteAt(fs: ToolFileSystem, fd: number, position: number): Promise<number | undefined> {
  const byte = Buffer.alloc(1);
  await call<number>((done) => {
    fs.read(fd, byte, 0, 1, position, done);
  });
  return byte[0];
}
