import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { systemCode } from '../../../base/errors.js';
import { SIP_KEY_BYTES } from '../../../event/sip-hash.js';
import { unlink } from '../closing.js';
import { readAll } from '../file-system.js';
import type { FileSystem } from '../file-system.js';
import { writeNewFile } from '../new-file.js';

export const SECRET_FILE = 'secret';
const TEXT = new RegExp(`^[\\da-f]{${2 * SIP_KEY_BYTES}}\\n$`);

/**
 * The secret in a directory, which an earlier run has left; a new one if there is none, or if a crash has cut it off.
 *
 * @throws the system's error
 */
export async function openSecret(fs: FileSystem, dir: string): Promise<{ secret: Buffer; isLeft: boolean }> {
  const path = join(dir, SECRET_FILE);
  const text = await readAll(fs, path, null).catch((error: unknown) => {
    if (systemCode(error) === 'ENOENT') return null;
    throw error;
  });
  const found = text === null ? null : secretIn(text);
  if (found !== null) return { secret: found, isLeft: true };
  if (text !== null) await unlink(fs, path);
  const secret = newSecret();
  await writeNewFile(fs, path, Buffer.from(`${secret.toString('hex')}\n`));
  return { secret, isLeft: false };
}

/** The secret that a file holds; `null` if it is malformed. */
export function secretIn(file: Buffer): Buffer | null {
  const text = file.toString('latin1');
  return TEXT.test(text) ? Buffer.from(text, 'hex') : null;
}

export function newSecret(): Buffer {
  return Buffer.from(crypto.getRandomValues(new Uint8Array(SIP_KEY_BYTES)));
}

/** Tells one secret from another, and nothing about it. */
export function checkOf(secret: Buffer): string {
  return createHash('sha256').update(secret).digest('hex').slice(0, 16);
}
