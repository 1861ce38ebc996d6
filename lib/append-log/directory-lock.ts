import { closeSync, constants, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { tryLock } from 'fs-native-extensions';
import { asError, ForebayError } from '../errors.js';

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
  note(firstSecond: number, failed: (error: Error) => void): void;
  release(): void;
}

/** @throws ForebayError `LOG_DIR_LOCKED` with the owner, where another process holds the lock */
export function lockDirectory(dir: string): DirectoryLock {
  const path = join(dir, LOCK_FILE);
  const fd = openSync(path, constants.O_RDWR | constants.O_CREAT, 0o640);
  const before = readFileSync(path, 'utf8');
  if (!tryLock(fd)) {
    closeSync(fd);
    const owner = before.trim() === '' ? 'of unknown process id' : before.trim().replace(/, names from .*/, '');
    throw new ForebayError('LOG_DIR_LOCKED', {
      message: `Another server uses the log directory ${dir}: ${owner}`,
    });
  }
  const first = /names from (\S+)/.exec(before)?.[1];
  return {
    firstSecondBefore: before === '' ? null : Math.floor(Date.parse(first ?? '') / 1000) || 0,
    note(firstSecond, failed) {
      const started = new Date().toISOString();
      const names = new Date(firstSecond * 1000).toISOString();
      const note = `process ${process.pid}, started ${started}, names from ${names}`;
      // always as long and in place, which needs no space on a full disk and leaves no moment without a note
      try {
        writeSync(fd, `${note.padEnd(NOTE_BYTES - 1)}\n`, 0);
      } catch (error) {
        failed(asError(error));
      }
    },
    release() {
      closeSync(fd);
    },
  };
}
