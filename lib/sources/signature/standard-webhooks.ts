import { createPublicKey, createSecretKey, verify } from 'node:crypto';
import type { KeyObject } from 'node:crypto';
import { isHmac } from './hmac.js';
import type { Scheme } from './verification.js';

const SECRET = 'whsec_';
const PUBLIC_KEY = 'whpk_';
const BASE64 = /^(?:[\w+/-]{4})*(?:[\w+/-]{2,3}={0,2})?$/;
const PUBLIC_KEY_BYTES = 32;
/** An Ed25519 key costs a signature a pass over the body each, and anyone can send many signatures. */
const PUBLIC_SIGNATURES_MAX = 4;

/** Standard Webhooks, also with the headers that they had at Svix, where they come from. */
export const standardWebhooksScheme: Scheme<KeyObject> = {
  keyOf: (line) => {
    const text = line.trim();
    const encoded = text.replace(/^wh(?:sec|pk)_/, '');
    const bytes = Buffer.from(encoded, 'base64');
    if (!BASE64.test(encoded) || bytes.length === 0)
      throw new Error(`must be ${SECRET} and base64, or ${PUBLIC_KEY} and base64`);
    if (!text.startsWith(PUBLIC_KEY)) return createSecretKey(bytes);
    if (bytes.length !== PUBLIC_KEY_BYTES) throw new Error('must be an Ed25519 key of 32 bytes');
    return createPublicKey({
      key: { kty: 'OKP', crv: 'Ed25519', x: bytes.toString('base64url') },
      format: 'jwk',
    });
  },
  isSigned: (head, body, keys, isNow) => {
    const prefix = head.header('webhook-id') === undefined ? 'svix' : 'webhook';
    const id = head.header(`${prefix}-id`) ?? '';
    const timestamp = head.header(`${prefix}-timestamp`) ?? '';
    if (id === '' || !isNow(timestamp)) return false;
    // two lines with this header are joined by a comma
    const signatures = (head.header(`${prefix}-signature`) ?? '').split(/,? +/);
    const ofVersion = (version: string): string[] =>
      signatures.filter((each) => each.startsWith(version)).map((each) => each.slice(version.length));
    const parts = [Buffer.from(`${id}.${timestamp}.`, 'latin1'), body];
    const ofType = (type: KeyObject['type']): KeyObject[] => keys.filter((key) => key.type === type);
    if (isHmac('sha256', 'base64', ofType('secret'), parts, ofVersion('v1,'))) return true;
    const publicKeys = ofType('public');
    const asymmetric = publicKeys.length === 0 ? [] : ofVersion('v1a,').slice(0, PUBLIC_SIGNATURES_MAX);
    if (asymmetric.length === 0) return false;
    const signed = Buffer.concat(parts);
    return asymmetric.some((signature) => {
      const bytes = Buffer.from(signature, 'base64');
      return (
        bytes.toString('base64') === signature && publicKeys.some((key) => verify(null, signed, key, bytes))
      );
    });
  },
};
