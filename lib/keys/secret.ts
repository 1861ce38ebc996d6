import { createHash, randomBytes } from 'node:crypto';

/** Lets a search for leaked secrets find keys. */
const PREFIX = 'fby_';
const RANDOM_BYTES = 32;
const KEY = /^fby_[\w-]{43}$/;
const BEARER = /^bearer +(\S+)$/i;
const BASIC = /^basic +([a-z\d+/]+=*)$/i;

/** A new key: 256 random bits, so that its hash needs neither salt nor slowness (decision 66). */
export function newKey(): string {
  return PREFIX + randomBytes(RANDOM_BYTES).toString('base64url');
}

/** The SHA-256 of a key: all that is kept of it. */
export function digestOf(key: string): Buffer {
  return createHash('sha256').update(key).digest();
}

/**
 * The key in a header `Authorization`: of `Bearer`, or the password of `Basic`, whatever the user.
 *
 * @returns `null` unless it has the form of a key: nothing else is looked up, so no chosen password can be a key
 */
export function keyIn(authorization: string): string | null {
  const [, token] = BEARER.exec(authorization) ?? [];
  const key = token ?? passwordIn(authorization);
  return KEY.test(key) ? key : null;
}

function passwordIn(authorization: string): string {
  const [, credentials = ''] = BASIC.exec(authorization) ?? [];
  const text = Buffer.from(credentials, 'base64').toString();
  return text.slice(text.indexOf(':') + 1);
}
