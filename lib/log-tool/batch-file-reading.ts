import { join } from 'node:path';
import { readAll } from '../append-log/file-system.js';
import type { FileSystem } from '../append-log/file-system.js';
import { asError, systemCode } from '../errors.js';

/** What became of reading a file. */
export type FileReading =
  | { readonly file: Buffer<ArrayBuffer> }
  /** A server has delivered it meanwhile, or there never was one. */
  | { readonly gone: true }
  | { readonly unreadable: string };

/** Reads a file of the log directory; whatever stands in the way comes back as a value. */
export async function tryRead(fs: FileSystem, dir: string, name: string): Promise<FileReading> {
  try {
    return { file: await readAll(fs, join(dir, name), null) };
  } catch (error) {
    return systemCode(error) === 'ENOENT' ? { gone: true } : { unreadable: asError(error).message };
  }
}
