import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import { join } from 'node:path';
import { ForebayError } from '../../base/errors.js';
import { DirectoryIdentity } from './directory-identity.js';
import { call, callVoid, readAt, writeAll } from './file-system.js';
import type { FileSystem } from './file-system.js';

export const LOCK_FILE = 'forebay.lock';
export const NOTE_BYTES = 160;
const NOTE_RETRY_MS = 10_000;

/** The note in the lock file about the present or last holder; each part is `null` if it is missing. */
export interface LockNote {
  /** `process 17, started 2026-11-25T09:00:00.000Z`. */
  readonly owner: string | null;
  readonly runId: string | null;
  /** The kind of sink of the directory. */
  readonly sink: string | null;
}

/**
 * The right to use a log directory. The lock belongs to the open file (an OFD lock on Linux), so the system releases
 * it when the process ends in any way: nothing is left that could block a restart, and no process id is compared. It
 * does not reach across machines on a network file system.
 */
export interface DirectoryLock {
  /** The note of the previous run. */
  readonly before: LockNote;
  /**
   * Notes the present holder of the lock, on the device. No event depends on it. If it fails it throws, and is tried
   * again every ten seconds.
   */
  note(about: Omit<LockNote, 'owner'>): Promise<void>;
  /**
   * Checks that directory and lock file are those that were opened.
   *
   * @throws ForebayError `LOG_DIR_LOST`; the system's error
   */
  confirm(): Promise<void>;
  /** The same, but only if the last check found a difference: otherwise it costs nothing. */
  confirmIfLost(): Promise<void>;
  /** Flushes the names in the directory that was opened, wherever it is now. @throws the system's error */
  flushNames(): Promise<void>;
  release(): Promise<void>;
}

/** @throws ForebayError `LOG_DIR_LOCKED` with the owner if another process holds the lock */
export async function lockDirectory(fs: FileSystem, dir: string): Promise<DirectoryLock> {
  const fd = await call<number>((done) => {
    fs.open(join(dir, LOCK_FILE), constants.O_RDWR | constants.O_CREAT | constants.O_NONBLOCK, 0o640, done);
  });
  let isReleased = false;
  let writing: Promise<void> = Promise.resolve();
  let retry: NodeJS.Timeout | undefined;
  let identity: DirectoryIdentity | null = null;
  const release = async (): Promise<void> => {
    isReleased = true;
    clearTimeout(retry);
    await writing.catch(() => undefined);
    await identity?.close();
    await callVoid((done) => {
      fs.close(fd, done);
    });
  };
  try {
    const stats = await call<Stats>((done) => {
      fs.fstat(fd, done);
    });
    // reading a pipe would never end
    if (!stats.isFile()) throw new Error(`${LOCK_FILE} is no plain file`);
    const before = readNote(await readAt(fs, fd, 0, NOTE_BYTES).then(String, () => '')); // never blocks a start
    if (!fs.tryLock(fd)) throw locked(dir, before);
    const write = async ({ runId, sink }: Omit<LockNote, 'owner'>): Promise<void> => {
      const started = new Date(Date.now()).toISOString();
      const text = `process ${process.pid}, started ${started}${part('run', runId)}${part('sink', sink)}`;
      // always of the same length and in place: it needs no space on a full disk, and there is always a note
      const bytes = Buffer.alloc(NOTE_BYTES, ' ');
      bytes.write(text, 0, NOTE_BYTES - 1);
      bytes.write('\n', NOTE_BYTES - 1);
      await writeAll(fs, fd, bytes, 0);
      await callVoid((done) => {
        fs.fdatasync(fd, done);
      });
    };
    const note = async (about: Omit<LockNote, 'owner'>): Promise<void> => {
      writing = write(about);
      await writing.catch((error: unknown) => {
        retry = isReleased
          ? undefined
          : setTimeout(() => void note(about).catch(() => undefined), NOTE_RETRY_MS).unref();
        throw error;
      });
    };
    const opened = await DirectoryIdentity.of(fs, dir, LOCK_FILE, fd);
    identity = opened;
    const confirm = async (): Promise<void> => opened.confirm();
    const confirmIfLost = async (): Promise<void> => opened.confirmIfLost();
    return { before, note, confirm, confirmIfLost, flushNames: async () => opened.flush(), release };
  } catch (error) {
    await release();
    throw error;
  }
}

export function readNote(note: string): LockNote {
  const owner = /^process \d+, started [^\s,]+/.exec(note)?.[0] ?? null;
  return { owner, runId: valueOf('run', note), sink: valueOf('sink', note) };
}

function part(name: string, value: string | null): string {
  return value === null ? '' : `, ${name} ${value}`;
}

function valueOf(name: string, note: string): string | null {
  return new RegExp(`, ${name} ([\\w-]+)`).exec(note)?.[1] ?? null;
}

function locked(dir: string, { owner }: LockNote): ForebayError {
  return new ForebayError('LOG_DIR_LOCKED', {
    message: `Another server uses the log directory ${dir}: ${owner ?? 'of unknown process id'}`,
  });
}
