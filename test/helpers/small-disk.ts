import { execFileSync } from 'node:child_process';
import { closeSync, fsyncSync, mkdtempSync, openSync, rmdirSync, rmSync, writeSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { asError, systemCode } from '../../lib/base/errors.js';

/** A real file system of its own, so small that it fills up. */
export interface SmallDisk {
  readonly dir: string;
  /** Takes all the space that is left, to the last byte; gives it back with `free`. */
  readonly fill: () => void;
  readonly free: () => void;
}

/** @throws where this user may not mount */
export function smallDisk(t: Test, size: string): SmallDisk {
  const dir = mkdtempSync(join(tmpdir(), 'forebay-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', dir], { stdio: 'pipe' });
  } catch (error) {
    rmdirSync(dir);
    throw error;
  }
  t.teardown(() => {
    execFileSync('umount', ['--lazy', dir]);
    rmdirSync(dir);
  });
  const ballast = join(dir, 'ballast');
  return {
    dir,
    fill() {
      const fd = openSync(ballast, 'a');
      for (let length = 65_536; length >= 1;) {
        try {
          writeSync(fd, Buffer.alloc(length, 'x'));
        } catch (error) {
          if (systemCode(error) !== 'ENOSPC') throw error;
          length = Math.floor(length / 2);
        }
      }
      fsyncSync(fd);
      closeSync(fd);
    },
    free() {
      rmSync(ballast);
    },
  };
}

/** Why `smallDisk` cannot be had here; `false` where it can. */
export function noSmallDisk(): string | false {
  if (process.platform !== 'linux') return 'mounts a tmpfs, which is for Linux';
  const dir = mkdtempSync(join(tmpdir(), 'forebay-disk-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', dir], { stdio: 'pipe' });
    execFileSync('umount', [dir]);
    return false;
  } catch (error) {
    return `may not mount a tmpfs here: ${asError(error).message.trim().split('\n').at(-1)}`;
  } finally {
    rmdirSync(dir);
  }
}
