import { constants } from 'node:fs';
import { join } from 'node:path';
import { ForebayError } from '../errors.js';
import { call, callVoid, readToEnd, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

export const LOCK_FILE = 'forebay.lock';
const NOTE_BYTES = 120;

/**
 * The right to use a log directory. The lock belongs to the open file (an OFD lock on Linux), so the system
 * gives it back when the process ends, however it ends: nothing is left that could block a restart, and no
 * process id is compared. It does not reach across machines on a network file system.
 */
export interface DirectoryLock {
  /** The first second of the names of the run before this one; `null` if there was none. */
  readonly firstSecondBefore: number | null;
  /** Notes who holds the lock and from which second on this run gives names. */
  note(firstSecond: number): Promise<void>;
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
    const first = /names from (\S+)/.exec(before)?.[1];
    return {
      firstSecondBefore: before === '' ? null : Math.floor(Date.parse(first ?? '') / 1000) || 0,
      async note(firstSecond) {
        const started = new Date(Date.now()).toISOString();
        const names = new Date(firstSecond * 1000).toISOString();
        const note = `process ${process.pid}, started ${started}, names from ${names}`;
        // always as long and in place, which needs no space on a full disk and leaves no moment without a note
        await writeAll(fs, fd, Buffer.from(`${note.padEnd(NOTE_BYTES - 1)}\n`), 0);
      },
      release,
    };
  } catch (error) {
    await release();
    throw error;
  }
}

function locked(dir: string, note: string): ForebayError {
  const owner = note.trim() === '' ? 'of unknown process id' : note.trim().replace(/, names from .*/, '');
  return new ForebayError('LOG_DIR_LOCKED', {
    message: `Another server uses the log directory ${dir}: ${owner}`,
  });
}
