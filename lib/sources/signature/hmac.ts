import { createHmac, createSecretKey, timingSafeEqual } from 'node:crypto';
import type { KeyObject } from 'node:crypto';

export type Algorithm = 'sha1' | 'sha256' | 'sha512';
export type Encoding = 'hex' | 'base64' | 'base64url';

/** The key of a secret that is a text, as most are. */
export function textKey(secret: string): KeyObject {
  return createSecretKey(secret, 'utf8');
}

/**
 * Whether one of these signatures is the HMAC of the parts with one of the keys. Compares texts, so a signature has one
 * form only.
 */
export function isHmac(
  algorithm: Algorithm,
  encoding: Encoding,
  keys: readonly KeyObject[],
  parts: readonly Buffer[],
  signatures: readonly string[],
): boolean {
  if (signatures.length === 0) return false;
  return keys.some((key) => {
    const hmac = createHmac(algorithm, key);
    for (const part of parts) hmac.update(part);
    const expected = Buffer.from(hmac.digest(encoding), 'latin1');
    // the length is no secret, and a head may hold thousands of short ones
    const candidates = signatures.filter(({ length }) => length === expected.length);
    return candidates.some((each) => timingSafeEqual(Buffer.from(each, 'latin1'), expected));
  });
}
