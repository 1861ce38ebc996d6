import { ForebayError } from '../../base/errors.js';
import { errorAnswer } from '../../seams/http-answer.js';
import type { HttpAnswer } from '../../seams/http-answer.js';
import type { Source } from '../../seams/source.js';

/** In the list of senders: all. */
const ANY = '*';
/** Requests a minute. */
const RATE = /^[1-9]\d{0,8}$/;
const ALLOW = { Allow: 'POST, OPTIONS' };

/**
 * The answer to a sender that asks whether it may send ("HTTP 1.1 Web Hooks for Event Delivery", 4). The rate that it
 * asks for is granted: what is too much at a moment gets `429` whatever was agreed.
 *
 * @param name of the source
 * @param allowed names of senders, or `*`
 */
export function handshakeWith(name: string, allowed: readonly string[]): Pick<Source, 'handshake'> {
  if (allowed.length === 0) return {};
  const names = new Set(allowed.map((each) => each.toLowerCase()));
  return {
    handshake: (head): HttpAnswer | null => {
      const origin = head.header('webhook-request-origin');
      if (origin === undefined) return null;
      const isAny = names.has(ANY);
      if (!isAny && !names.has(origin.toLowerCase())) {
        const message = `The sender ${JSON.stringify(origin)} may not send here: webhook-origins of the source ${name} names those that may`;
        return errorAnswer(new ForebayError('ORIGIN_NOT_ALLOWED', { message }), ALLOW);
      }
      const rate = head.header('webhook-request-rate') ?? '';
      return {
        status: 200,
        headers: {
          ...ALLOW,
          'WebHook-Allowed-Origin': isAny ? ANY : origin,
          'WebHook-Allowed-Rate': RATE.test(rate) ? rate : ANY,
        },
        body: '',
      };
    },
  };
}
