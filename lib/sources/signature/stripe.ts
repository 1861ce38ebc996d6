import type { KeyObject } from 'node:crypto';
import { isHmac, textKey } from './hmac.js';
import type { Scheme } from './verification.js';

/** `Stripe-Signature: t=…,v1=…`, with a `v1` for each secret while one is rolled. Other versions count for nothing. */
export const stripeScheme: Scheme<KeyObject> = {
  keyOf: textKey,
  isSigned: (head, body, keys, isNow) => {
    const items = (head.header('stripe-signature') ?? '').split(',').map((item) => item.trim());
    const valuesOf = (key: string): string[] =>
      items.filter((item) => item.startsWith(key)).map((item) => item.slice(key.length));
    const [timestamp = ''] = valuesOf('t=');
    return (
      isNow(timestamp) && isHmac('sha256', 'hex', keys, [Buffer.from(`${timestamp}.`), body], valuesOf('v1='))
    );
  },
};
