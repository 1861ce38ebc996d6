import nodeFs from 'node:fs';
import { dirname, resolve as absolute } from 'node:path';
import { asError, systemCode } from '../../base/errors.js';
import { tryLock } from './native-lock.js';

/** The calls of `node:fs` that the append log makes. */
type Calls = Pick<
  typeof nodeFs,
  | 'open'
  | 'close'
  | 'closeSync'
  | 'read'
  | 'write'
  | 'fdatasync'
  | 'fsync'
  | 'fstat'
  | 'ftruncate'
  | 'mkdir'
  | 'rmdir'
  | 'opendir'
  | 'lstat'
  | 'statfs'
  | 'unlink'
  | 'rename'
>;

/**
 * The append log's view of the system. It is a parameter, so that a test can simulate a failing disk:
 * `Object.create(nodeFileSystem)` with one method replaced is enough.
 */
export interface FileSystem extends Calls {
  /**
   * Takes a lock on an open file, held until it is closed; `false` if another holder has it.
   *
   * @param isShared others may hold a shared lock, too; then it is enough if the file is open for reading
   */
  tryLock(fd: number, isShared?: boolean): boolean;
  /**
   * The flag of `open` with which each write is flushed before it returns: one call instead of a write and a flush,
   * which saves much of the cost of an append. 0 if no such flag can be trusted: `O_DSYNC` promises less on systems
   * other than Linux.
   */
  readonly dsync: number;
}

export const nodeFileSystem: FileSystem = Object.assign(Object.create(nodeFs) as typeof nodeFs, {
  tryLock: (fd: number, isShared = false) => tryLock(fd, { shared: isShared }),
  dsync: process.platform === 'linux' ? nodeFs.constants.O_DSYNC : 0,
});

/** One call with a callback, as a promise. */
export function call<T>(start: (done: (error: Error | null, value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    start((error, value) => {
      if (error) reject(error);
      else resolve(value);
    });
  });
}

/** The same for calls without a result. */
export function callVoid(start: (done: (error: Error | null) => void) => void): Promise<void> {
  return call<void>((done) => {
    start((error) => {
      done(error, undefined);
    });
  });
}

/** Writes all of `bytes` at `position`, in several parts if the system takes fewer. */
export async function writeAll(fs: FileSystem, fd: number, bytes: Buffer, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const written = await call<number>((end) => {
      fs.write(fd, bytes, done, bytes.length - done, position + done, end);
    });
    if (written === 0) throw new Error('the file system took none of the bytes');
    done += written;
  }
}

/** Flushes the entries of a directory: until then a new file's name is not durable. */
export async function flushDirectory(fs: FileSystem, dir: string): Promise<void> {
  const fd = await call<number>((done) => {
    fs.open(dir, 'r', done);
  });
  try {
    await callVoid((done) => {
      fs.fsync(fd, done);
    });
  } finally {
    await callVoid((done) => {
      fs.close(fd, done);
    });
  }
}

/** Creates a directory and all missing ones above it; returns the topmost one that it created. Flushes nothing. */
export async function makeMissing(fs: FileSystem, dir: string): Promise<string | undefined> {
  return call<string | undefined>((done) => {
    fs.mkdir(dir, { recursive: true, mode: 0o750 }, done);
  });
}

/**
 * A directory above may belong to others, or be on a mount that cannot flush: then no run of ours has created a name
 * in it.
 */
const NOT_OURS = new Set(['EACCES', 'EPERM', 'EINVAL']);

/**
 * Creates a directory, and each that is missing above it, with durable names. Existing ones may come from a run that
 * was killed before it could flush their names, so all are flushed. After a failed flush the created ones are removed:
 * the next flush might succeed without them.
 */
export async function makeDirectory(fs: FileSystem, dir: string): Promise<void> {
  const firstMade = await makeMissing(fs, dir);
  const topmost = firstMade === undefined ? null : absolute(firstMade);
  let ours = topmost !== null;
  for (let made = absolute(dir); made !== dirname(made); made = dirname(made)) {
    try {
      await flushDirectory(fs, dirname(made));
    } catch (error) {
      if (ours || !NOT_OURS.has(systemCode(error) ?? '')) {
        if (topmost !== null) await removeMade(fs, absolute(dir), topmost);
        throw error;
      }
    }
    if (made === topmost) ours = false;
  }
}

/** Removes directories that were just created, as far as they are still empty. */
async function removeMade(fs: FileSystem, deepest: string, topmost: string): Promise<void> {
  for (let made = deepest; made.length >= topmost.length; made = dirname(made)) {
    const isGone = await callVoid((done) => {
      fs.rmdir(made, done);
    }).then(
      () => true,
      () => false,
    );
    if (!isGone) return;
  }
}

/** Reads a file from its start, at most `bytes` of it, or all if `null`. */
export async function readAll(
  fs: FileSystem,
  path: string,
  bytes: number | null,
): Promise<Buffer<ArrayBuffer>> {
  return withOpen(fs, path, async (fd, { size }) => readAt(fs, fd, 0, bytes ?? size));
}

/** Opens a file for reading, and closes it when the work is done. */
export async function withOpen<T>(
  fs: FileSystem,
  path: string,
  work: (fd: number, stats: nodeFs.Stats) => Promise<T>,
): Promise<T> {
  const fd = await call<number>((done) => {
    fs.open(path, 'r', done);
  });
  try {
    const stats = await call<nodeFs.Stats>((done) => {
      fs.fstat(fd, done);
    });
    return await work(fd, stats);
  } finally {
    await callVoid((done) => {
      fs.close(fd, done);
    });
  }
}

/** Thrown if another server writes the file. */
export class BeingWritten extends Error {
  constructor(path: string) {
    super(`another server writes ${path}`);
  }
}

/**
 * The same if the expected size is known. If it is wrong, the whole file is read anyway.
 *
 * @param mayBeWritten whether another server may have it open: then it is read only after that server has closed it
 * @throws BeingWritten
 *
 * Two trips to the thread pool instead of four: the size is not asked for, and a file that was only read is closed at
 * once, as that waits for no disk. A trip costs this thread about 40 microseconds.
 */
export function readExpected(
  fs: FileSystem,
  path: string,
  size: number,
  bytes: number | null,
  mayBeWritten: boolean,
): Promise<Buffer<ArrayBuffer>> {
  return new Promise((resolve, reject) => {
    fs.open(path, 'r', (openError, fd) => {
      if (openError !== null) {
        reject(openError);
        return;
      }
      let file: Buffer<ArrayBuffer>;
      const end = (readError: Error | null, read: number): void => {
        try {
          fs.closeSync(fd);
          if (readError !== null) throw readError;
          resolve(read === (bytes ?? size) ? file.subarray(0, read) : readAll(fs, path, bytes));
        } catch (error) {
          reject(asError(error));
        }
      };
      try {
        if (mayBeWritten && !fs.tryLock(fd, true)) throw new BeingWritten(path);
        // one byte more than expected: a read that does not fill it has met the end
        file = Buffer.allocUnsafe(bytes ?? size + 1);
        fs.read(fd, file, 0, file.length, 0, end);
      } catch (error) {
        end(asError(error), 0); // too large for memory, or for one call
      }
    });
  });
}

/** The system reads at most this much in one call. */
const CALL_BYTES_MAX = 2 ** 30;

/** Reads an open file from a position, at most `bytesMax` of it. */
export async function readAt(
  fs: FileSystem,
  fd: number,
  position: number,
  bytesMax: number,
): Promise<Buffer<ArrayBuffer>> {
  const file = Buffer.allocUnsafe(bytesMax);
  let done = 0;
  while (done < bytesMax) {
    const read = await call<number>((end) => {
      fs.read(fd, file, done, Math.min(bytesMax - done, CALL_BYTES_MAX), position + done, end);
    });
    if (read === 0) break;
    done += read;
  }
  return file.subarray(0, done);
}

/** What is at a path, without following links; `null` if nothing is. */
export async function statsOf(fs: FileSystem, path: string): Promise<nodeFs.Stats | null> {
  try {
    return await call<nodeFs.Stats>((done) => {
      fs.lstat(path, done);
    });
  } catch (error) {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  }
}
