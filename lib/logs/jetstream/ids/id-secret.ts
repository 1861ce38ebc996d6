import { setTimeout as sleep } from 'node:timers/promises';
import { headers } from '@nats-io/nats-core';
import { ForebayError } from '../../../base/errors.js';
import { newSecret } from '../../file/ids/id-secret.js';
import { SIP_KEY_BYTES } from '../../../event/sip-hash.js';
import type { LogConnection, StreamManager } from '../servers.js';
import { secretSubject } from '../stream-names.js';
import { EXPECTED_LAST } from './id-message.js';

const ANSWER_MS = 5000;
const PAUSE_MS = 250;

/**
 * The secret that all instances hash ids with: the first one stores it in the stream of the events. Of several that try
 * at once, the servers take one, and all read that.
 *
 * @throws ForebayError `LOG_UNUSABLE`; AbortError at a stop
 */
export async function openStreamSecret(
  { nc }: LogConnection,
  { streams }: StreamManager,
  stream: string,
  stopping: AbortSignal,
): Promise<Uint8Array> {
  const subject = secretSubject(stream);
  for (;;) {
    const found = await streams.getMessage(stream, { last_by_subj: subject }).catch(() => undefined);
    if (found?.data.length === SIP_KEY_BYTES) return found.data;
    if (found) throw new ForebayError('LOG_UNUSABLE', { message: `${subject} is no secret of Forebay` });
    if (found === null) {
      const head = headers();
      head.set(EXPECTED_LAST, '0');
      // what became of it is in the next answer
      await nc.request(subject, newSecret(), { timeout: ANSWER_MS, headers: head }).catch(() => undefined);
    }
    if (found === undefined) await sleep(PAUSE_MS, undefined, { signal: stopping });
    else stopping.throwIfAborted();
  }
}
