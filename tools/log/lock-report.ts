/**
 * Reports who uses a log directory, without touching the lock. Trying the lock would take it for a moment, and a
 * server that starts in that moment would fail. Linux lists all locks in `/proc/locks`, by device and inode. If that
 * list cannot be trusted, the report says that the state is unknown; it never says that no server runs.
 */
import { constants } from 'node:fs';
import { open, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { LOCK_FILE, NOTE_BYTES, readNote } from '../../lib/logs/file/directory-lock.js';
import { asError, systemCode } from '../../lib/base/errors.js';
import type { BatchInspection } from './batch-inspection.js';

/** File systems whose locks are all in `/proc/locks`, with the device and inode from `stat`. */
const LISTED = new Set(['ext2', 'ext3', 'ext4', 'xfs', 'jfs', 'f2fs', 'tmpfs']);

/** The system returns the list in parts: a lock elsewhere that ends meanwhile may hide one. */
const LOOKS = 3;

/** `missing`: there is no lock file; `unknown`: this system does not say. */
export type LockState = 'held' | 'free' | 'missing' | 'unknown';

export interface LockReport {
  readonly state: LockState;
  /** The current or last holder of the lock, as the lock file says: `process 17, started …`. */
  readonly owner: string | null;
  /** The id of that run, as in its files. */
  readonly runId: string | null;
  /** Why the state is unknown. */
  readonly why: string | null;
}

/** Checks whether a server uses the directory. Changes nothing and does not throw. */
export async function reportLock(dir: string): Promise<LockReport> {
  const path = join(dir, LOCK_FILE);
  const { owner, runId } = readNote(await noteOf(path));
  try {
    const why = await stateOf(path);
    if (why === 'held' || why === 'free') return { state: why, owner, runId, why: null };
    return { state: 'unknown', owner, runId, why };
  } catch (error) {
    const isMissing = systemCode(error) === 'ENOENT';
    return { state: isMissing ? 'missing' : 'unknown', owner, runId, why: asError(error).message };
  }
}

/** The report in one line. */
export function lockText({ state, owner, why }: LockReport): string {
  const process = owner ?? 'of unknown process id';
  switch (state) {
    case 'held':
      return `A server runs on it: ${process}`;
    case 'free':
      return `No server runs on it${owner === null ? '' : ` (last locked by ${owner})`}`;
    case 'missing':
      return `There is no ${LOCK_FILE}: no server runs on it, unless someone has deleted that file under it`;
    case 'unknown':
      return `Not known whether a server runs on it: ${why}. ${noteText(owner)}`;
  }
}

/** Whether a server may be writing the end of a file right now: it writes only files of its own run. */
export function mayBeWritten(
  { state, runId: current }: LockReport,
  { runId, events }: Pick<BatchInspection, 'runId' | 'events'>,
): boolean {
  if (state === 'free' || state === 'missing') return false;
  // the first line names the run; a file without one may be new
  return current === null || runId === current || (runId === null && events === 0);
}

function noteText(owner: string | null): string {
  const id = Number(/^process (\d+)/.exec(owner ?? '')?.[1]);
  if (owner === null || Number.isNaN(id)) return `${LOCK_FILE} names no process`;
  return `${LOCK_FILE} names ${owner}; that process ${lives(id) ? 'lives' : 'cannot be seen from here'}`;
}

function lives(processId: number): boolean {
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    return systemCode(error) === 'EPERM';
  }
}

async function noteOf(path: string): Promise<string> {
  try {
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK); // a pipe would wait for a writer
    try {
      if (!(await file.stat()).isFile()) return '';
      const { buffer, bytesRead } = await file.read(Buffer.alloc(NOTE_BYTES), 0, NOTE_BYTES, 0);
      return buffer.toString('utf8', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    return '';
  }
}

/** `held`, `free`, or why the state is unknown. */
async function stateOf(path: string): Promise<string> {
  const { dev, ino } = await stat(path, { bigint: true });
  const major = ((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn);
  const minor = (dev & 0xffn) | ((dev >> 12n) & ~0xffn);
  const hex = (part: bigint): string => part.toString(16).padStart(2, '0');
  const entry = ` ${hex(major)}:${hex(minor)}:${ino} `;
  for (let look = 0; look < LOOKS; look++) {
    const locks = await procFile('locks');
    if (locks === null) return 'this system does not list its locks in /proc/locks';
    if (locks.includes(entry)) return 'held';
  }
  const type = await fileSystemType(`${major}:${minor}`);
  if (type !== null && LISTED.has(type)) return 'free';
  return `/proc/locks may not list every lock on a file system of ${type === null ? 'this' : `the`} type${type === null ? '' : ` ${type}`}`;
}

async function fileSystemType(device: string): Promise<string | null> {
  const mounts = (await procFile('self/mountinfo')) ?? '';
  const mount = mounts.split('\n').find((line) => line.split(' ')[2] === device);
  return / - (\S+)/.exec(mount ?? '')?.[1] ?? null;
}

async function procFile(name: string): Promise<string | null> {
  return readFile(join('/proc', name), 'utf8').catch(() => null);
}
