import nodeFs from 'node:fs';
import { nodeFileSystem } from '../../lib/logs/file/file-system.js';
import type { FileSystem } from '../../lib/logs/file/file-system.js';

/** `node:fs` with a disk that can be held in the middle of a flush, or fail. */
export interface HeldDisk {
  readonly fs: FileSystem;
  hold(): void;
  release(): void;
  /** Makes the next calls of this name fail. `null`: they work again. */
  fail(
    method: 'open' | 'write' | 'fdatasync' | 'fsync' | 'unlink' | 'read' | 'ftruncate' | 'lstat',
    code: string | null,
  ): void;
  /** Flushes asked for since the disk was last held: a start makes some of its own. */
  readonly flushes: number;
}

export function heldDisk(): HeldDisk {
  let held: (() => void)[] | null = null;
  let flushes = 0;
  const failing = new Map<string, string>();
  // a flush is a call of its own, which can be held
  const fs = Object.create(nodeFileSystem, { dsync: { value: 0 } }) as FileSystem;
  for (const method of [
    'open',
    'write',
    'fdatasync',
    'fsync',
    'unlink',
    'read',
    'ftruncate',
    'lstat',
  ] as const) {
    const real = nodeFs[method] as (...args: unknown[]) => void;
    Object.defineProperty(fs, method, {
      value: (...args: unknown[]) => {
        const code = failing.get(method);
        if (code !== undefined) {
          const done = args.at(-1) as (error: Error) => void;
          setImmediate(done, Object.assign(new Error(`${code}: a test made ${method} fail`), { code }));
          return;
        }
        if (method !== 'fdatasync') {
          real(...args);
          return;
        }
        flushes++;
        const start = (): void => {
          real(...args);
        };
        if (held === null) start();
        else held.push(start);
      },
    });
  }
  return {
    fs,
    hold() {
      flushes = 0;
      held ??= [];
    },
    release() {
      const waiting = held ?? [];
      held = null;
      for (const start of waiting) start();
    },
    fail(method, code) {
      if (code === null) failing.delete(method);
      else failing.set(method, code);
    },
    get flushes() {
      return flushes;
    },
  };
}
