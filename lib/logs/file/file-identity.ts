import type { BigIntStats } from 'node:fs';
import { systemCode } from '../../base/errors.js';
import { call } from './file-system.js';
import type { FileSystem } from './file-system.js';

const NOT_THERE: readonly (string | undefined)[] = ['ENOENT', 'ENOTDIR'];

/** Tells a file or directory from all others while it is open: its inode number is given to no other until then. */
export type Identity = Pick<BigIntStats, 'dev' | 'ino'>;

export async function identityOf(fs: FileSystem, fd: number): Promise<Identity> {
  return call<BigIntStats>((done) => {
    fs.fstat(fd, { bigint: true }, done);
  });
}

/** Of what is at a path, without following a link; `null` if nothing is. */
export async function identityAt(fs: FileSystem, path: string): Promise<Identity | null> {
  try {
    return await call<BigIntStats>((done) => {
      fs.lstat(path, { bigint: true }, done);
    });
  } catch (error) {
    if (NOT_THERE.includes(systemCode(error))) return null;
    throw error;
  }
}

export function isSame(a: Identity | null, b: Identity): boolean {
  return a !== null && a.ino === b.ino && a.dev === b.dev;
}
