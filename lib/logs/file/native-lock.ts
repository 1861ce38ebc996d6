import { createRequire } from 'node:module';
import { asError } from '../../base/errors.js';

type Native = typeof import('fs-native-extensions');

const require = createRequire(import.meta.url);
let native: Native | null = null;

/**
 * Takes a lock on an open file, held until it is closed; `false` if another holder has it.
 *
 * The library is native code, loaded at the first call: if there is none for the system, a start says so, and nothing
 * else needs it.
 *
 * @throws Error if there is no library for the system; the system's error
 */
export function tryLock(fd: number, options: { readonly shared: boolean }): boolean {
  return load().tryLock(fd, options);
}

function load(): Native {
  try {
    native ??= require('fs-native-extensions') as Native;
    return native;
  } catch (error) {
    const [reason = ''] = asError(error).message.split('\n');
    const system = `${process.platform}-${process.arch}`;
    const text = `there is no native lock for this system (${system}); on Linux it needs glibc, and Alpine has musl: take an image such as node:20-slim`;
    throw new Error(`${text} (${reason})`, { cause: error });
  }
}
