import { constants } from 'node:fs';
import type { Stats } from 'node:fs';
import type { Method } from './disk-faults.js';
import type { Node } from './simulated-directory.js';
import { SimulatedFile } from './simulated-file.js';

export type Callback<T> = (error: Error | null, value?: T) => void;

/** A call to the disk that is not answered yet. */
export interface DiskCall<T> {
  readonly method: Method;
  readonly path: string;
  /** Whether it needs space: a full disk turns it down. */
  readonly adds?: boolean;
  /** Does it, and gives the answer; throws a system error. */
  readonly apply: () => T;
  /** What is there when it fails, or when it was under way at a power cut; `share` from 0 to 1. */
  readonly fail?: (share: number) => void;
  readonly done: Callback<T>;
}

/** An open file. */
export interface Descriptor {
  readonly fd: number;
  readonly path: string;
  readonly node: Node;
  readonly dsync: boolean;
  locked: 'shared' | 'exclusive' | null;
}

/** What the disk is doing, as the summary names it; `null` for calls that change and promise nothing. */
export function phaseOf({
  method,
  path,
  adds,
}: Pick<DiskCall<unknown>, 'method' | 'path' | 'adds'>): string | null {
  const isBatch = /batch_[^/]*\.jsonl(\.gz)?$/.test(path) && !path.includes('/quarantine/');
  if (path.includes('/quarantine')) return 'setting damaged lines aside';
  if (path.includes('/id-window') && method !== 'close') return 'keeping ids';
  if (path.includes('/retained') && method === 'unlink') return 'deleting a retained file';
  if (path.includes('/retained') && !path.includes('.copy-') && method !== 'close' && method !== 'lstat')
    return 'retaining a file';
  if (path.includes('/forebay.copy-') && method !== 'close' && method !== 'unlink') return 'compressing';
  switch (method) {
    case 'write':
      return isBatch ? 'writing events' : 'noting in the lock file';
    case 'fdatasync':
      return 'flushing a file';
    case 'fsync':
      return isBatch ? 'flushing a file' : 'flushing the directory';
    case 'ftruncate':
      return 'cutting a failed end off';
    case 'unlink':
      return 'deleting a file';
    case 'rename':
      return 'replacing a file';
    case 'mkdir':
    case 'rmdir':
      return 'making the log directory';
    case 'open':
      if (adds === true) return isBatch ? 'creating a batch file' : 'opening the lock file';
      return isBatch ? 'reading a file' : null;
    case 'read':
    case 'fstat':
      return isBatch ? 'reading a file' : null;
    case 'opendir':
      return 'reading the directory';
    case 'close':
    case 'lstat':
      return null;
  }
}

export interface OpenMode {
  readonly write: boolean;
  readonly create: boolean;
  readonly exclusive: boolean;
  readonly truncate: boolean;
  /** Each write is flushed before it is answered. */
  readonly dsync: boolean;
}

export function openMode(flags: string | number): OpenMode {
  if (typeof flags === 'number') {
    return {
      write: (flags & (constants.O_WRONLY | constants.O_RDWR)) !== 0,
      create: (flags & constants.O_CREAT) !== 0,
      exclusive: (flags & constants.O_EXCL) !== 0,
      truncate: (flags & constants.O_TRUNC) !== 0,
      dsync: (flags & constants.O_DSYNC) !== 0,
    };
  }
  if (!/^(r|r\+|wx?\+?)$/.test(flags)) throw new Error(`the simulated disk does not know the flags ${flags}`);
  return {
    write: flags !== 'r',
    create: flags.startsWith('w'),
    exclusive: flags.includes('x'),
    truncate: flags.startsWith('w'),
    dsync: false,
  };
}

export function systemError(code: string, method: Method, path: string): Error {
  return Object.assign(new Error(`${code}: simulated, ${method} '${path}'`), { code, syscall: method, path });
}

/** What there is of a call that failed or was interrupted. */
export function halfDone<T>(call: DiskCall<T>, share: number): void {
  try {
    if (call.fail !== undefined) call.fail(share);
    else if (share > 0.5) call.apply();
  } catch {
    // it would have failed anyway
  }
}

const inodes = new WeakMap<Node, bigint>();
let inodesGiven = 0n;

/** The same for a file or directory as long as it is there. */
function inodeOf(node: Node): bigint {
  const inode = inodes.get(node) ?? ++inodesGiven;
  inodes.set(node, inode);
  return inode;
}

export function statsOf(node: Node): Stats {
  const isFile = node instanceof SimulatedFile;
  const stats = {
    size: isFile ? node.size : 0,
    dev: 1n,
    ino: inodeOf(node),
    isFile: () => isFile,
    isDirectory: () => !isFile,
  };
  return stats as unknown as Stats;
}

export function last<T>(rest: readonly [...unknown[], Callback<T>]): Callback<T> {
  return rest[rest.length - 1] as Callback<T>;
}
