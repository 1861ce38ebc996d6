import { constants } from 'node:fs';
import { join } from 'node:path';
import { ForebayError } from '../errors.js';
import { call, callVoid, readToEnd, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

export const LOCK_FILE = 'forebay.lock';
const NOTE_BYTES = 120;
/** The year in a name has four digits. */
const NAMES_END_MS = Date.UTC(9999, 0, 1);
/** Each restart within a second puts the names a second ahead of the clock; nobody restarts so often in a row. */
const SECONDS_AHEAD_MAX = 60;

/**
 * The right to use a log directory. The lock belongs to the open file (an OFD lock on Linux), so the system
 * gives it back when the process ends, however it ends: nothing is left that could block a restart, and no
 * process id is compared. It does not reach across machines on a network file system.
 */
export interface DirectoryLock {
  /**
   * From which second on this run gives names. The run before may have given some up to now, or up to a second
   * after its own first one.
   */
  readonly firstSecond: number;
  /** Notes who holds the lock and that second, once, on the device. No name may be given before. */
  note(): Promise<void>;
  release(): Promise<void>;
}

/** @throws ForebayError `LOG_DIR_LOCKED` with the owner, where another process holds the lock */
export async function lockDirectory(fs: FileSystem, dir: string): Promise<DirectoryLock> {
  const fd = await call<number>((done) => {
    fs.open(join(dir, LOCK_FILE), constants.O_RDWR | constants.O_CREAT, 0o640, done);
  });
  const release = (): Promise<void> =>
    callVoid((done) => {
      fs.close(fd, done);
    });
  try {
    const before = await readToEnd(fs, fd, NOTE_BYTES).then(String, () => 'unreadable'); // never blocks a start
    if (!fs.tryLock(fd)) throw locked(dir, before);
    const now = Math.floor(Date.now() / 1000);
    const firstSecond = before === '' ? now : Math.max(now, firstSecondIn(before) ?? now + SECONDS_AHEAD_MAX) + 1;
    const started = new Date(Date.now()).toISOString();
    const names = new Date(firstSecond * 1000).toISOString();
    const text = `process ${process.pid}, started ${started}, names from ${names}`;
    const write = async (): Promise<void> => {
      // always as long and in place, which needs no space on a full disk and leaves no moment without a note
      await writeAll(fs, fd, Buffer.from(`${text.padEnd(NOTE_BYTES - 1)}\n`), 0);
      await callVoid((done) => {
        fs.fdatasync(fd, done);
      });
    };
    // one for all who wait, in their order, until one has succeeded
    let noting: Promise<void> | null = null;
    const note = (): Promise<void> => {
      noting ??= write().catch((error: unknown) => {
        noting = null;
        throw error;
      });
      return noting;
    };
    return { firstSecond, note, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** `null` where it cannot be read. */
function firstSecondIn(note: string): number | null {
  const ms = Date.parse(/names from (\S+)/.exec(note)?.[1] ?? '');
  return ms >= 0 && ms < NAMES_END_MS ? Math.floor(ms / 1000) : null;
}

function locked(dir: string, note: string): ForebayError {
  const owner = note.trim() === '' ? 'of unknown process id' : note.trim().replace(/, names from .*/, '');
  return new ForebayError('LOG_DIR_LOCKED', {
    message: `Another server uses the log directory ${dir}: ${owner}`,
  });
}
