import type { Batch } from './batch.js';
import { ForebayClientError } from './client-error.js';
import type { Clock } from './clock.js';
import type { Settings } from './settings.js';
import { verdictOf } from './verdict.js';
import type { Divide, Repeat, Settled } from './verdict.js';

/** Browsers finish requests of a page that is gone if all of them together have at most 64 KiB. */
const KEEPALIVE_BYTES_MAX = 60_000;

/** Sends a batch once. What has no whole answer in time must come again: the server may have it, or not. */
export async function post(
  { entries, body, bytes, isLenient }: Batch,
  { fetch, url, key, timeoutMs }: Settings,
  clock: Clock,
  request: AbortController,
): Promise<Settled | Divide | Repeat> {
  const cancel = clock.after(timeoutMs, () => {
    request.abort(new ForebayClientError('TIMEOUT', `No answer within ${timeoutMs} ms`));
  });
  try {
    const answer = await fetch(url, {
      method: 'POST',
      headers: {
        'content-type': 'application/x-ndjson',
        ...(key !== undefined && { authorization: `Bearer ${key}` }),
        ...(isLenient && { prefer: 'handling=lenient' }),
      },
      body,
      redirect: 'error', // no other server gets the key or the events
      keepalive: bytes <= KEEPALIVE_BYTES_MAX,
      signal: request.signal,
    });
    const text = await textOf(answer);
    const redacted = key === undefined ? text : text.replaceAll(key, '[key]');
    return verdictOf(answer, redacted, entries.length, clock.nowMs());
  } catch (thrown) {
    const error =
      thrown instanceof ForebayClientError ? thrown : new ForebayClientError('UNREACHABLE', reasonOf(thrown));
    return { kind: 'repeat', error, waitMs: null, isSetup: false };
  } finally {
    cancel();
  }
}

/** The body of an answer, if it is JSON. Another may have no end. */
async function textOf(answer: Response): Promise<string> {
  if (/^application\/json\b/i.test(answer.headers.get('content-type') ?? '')) return answer.text();
  await answer.body?.cancel();
  return '';
}

/** In Node.js the reason of a failed `fetch` is in its cause. */
function reasonOf(thrown: unknown): string {
  const { message, cause } = thrown instanceof Error ? thrown : new Error(String(thrown));
  return cause instanceof Error ? `${message}: ${cause.message}` : message;
}
