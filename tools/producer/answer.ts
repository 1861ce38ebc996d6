import { errors } from 'undici';
import type { Dispatcher } from 'undici';
import { systemCode } from '../../lib/base/errors.js';
import { retryAfterMs } from '../../lib/base/retry-after.js';

/** The result of sending a request once. */
export interface Answer {
  /** `202`, `429`, `status 500`, `timeout`, `ECONNRESET`, … */
  readonly kind: string;
  /** How many of its events are accepted. The others are errors, unless the kind is `429`. */
  readonly accepted: number;
  /** Whether a retry can help. */
  readonly canRetry: boolean;
  /** The wait that the server asks for, in milliseconds. */
  readonly retryAfterMs: number | null;
  /** Whether it is a `429` that ends its connection: the server has reached its bound of open connections. */
  readonly isConnectionsMax: boolean;
  /** The server's reason why no request of this kind can succeed; `null`: another one may. */
  readonly hopeless: string | null;
}

/** Statuses that concern every request, whatever its body is. */
const HOPELESS = new Set([
  301, 302, 303, 307, 308, 401, 403, 404, 405, 407, 410, 415, 417, 421, 426, 501, 505,
]);
/** At most this many characters of a reason are shown. */
const REASON_LENGTH_MAX = 200;

/** At most this many bytes of an answer are read for its count: lists of refused events may be long. */
const BODY_BYTES_MAX = 2 ** 20;

/** Reads an answer to its end. Counts events, not requests: the answer says how much of a bulk is accepted. */
export async function readAnswer(
  { statusCode: status, headers, body }: Dispatcher.ResponseData,
  events: number,
  isBulk: boolean,
): Promise<Answer> {
  let counted: number | null = events;
  let hopeless: string | null = null;
  if (status === 202 && isBulk) counted = countIn(await text(body));
  else if (HOPELESS.has(status)) hopeless = `${status}${reasonIn(await text(body), headers['location'])}`;
  else await body.dump();
  const askedMs = retryAfterMs(headers);
  const isConnectionsMax = status === 429 && headers['connection'] === 'close';
  const common = { retryAfterMs: askedMs, isConnectionsMax, hopeless };
  if (counted === null) return { ...common, kind: '202 without a count', accepted: 0, canRetry: false };
  return {
    ...common,
    kind: status === 202 || status === 429 ? `${status}` : `status ${status}`,
    accepted: status === 202 ? Math.min(events, counted) : 0,
    canRetry: status === 429 || status === 503,
  };
}

/** The reason in the body of an answer, and its redirect. */
function reasonIn(body: string, location: string | string[] | undefined): string {
  let reason = body.trim().replaceAll(/\p{Cc}+/gu, ' ');
  try {
    const answer = JSON.parse(body) as { error?: unknown } | null;
    if (typeof answer?.error === 'string') reason = answer.error;
  } catch {
    // plain text
  }
  const where = location === undefined ? '' : ` (Location: ${String(location)})`;
  return (reason === '' ? '' : `: ${reason.slice(0, REASON_LENGTH_MAX)}`) + where;
}

/** The result of a request without an answer. */
export function noAnswer(error: unknown): Answer {
  return {
    kind: kindOf(error),
    accepted: 0,
    canRetry: true,
    retryAfterMs: null,
    isConnectionsMax: false,
    hopeless: null,
  };
}

async function text(body: Dispatcher.ResponseData['body']): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of body as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= BODY_BYTES_MAX) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/** The `count` of `{"status":"accepted","count":100}`. */
function countIn(body: string): number | null {
  try {
    const answer: unknown = JSON.parse(body);
    const count = typeof answer === 'object' && answer !== null && 'count' in answer ? answer.count : null;
    return typeof count === 'number' && Number.isSafeInteger(count) && count >= 0 ? count : null;
  } catch {
    return null;
  }
}

/** Why a request got no answer, in a word or two. */
function kindOf(error: unknown): string {
  if (error instanceof errors.HeadersTimeoutError || error instanceof errors.BodyTimeoutError)
    return 'timeout';
  if (error instanceof errors.ConnectTimeoutError) return 'connect timeout';
  if (error instanceof errors.ClientDestroyedError) return 'no answer before the stop';
  if (error instanceof errors.SocketError) return 'connection closed';
  return systemCode(error) ?? (error instanceof Error ? error.name : String(error));
}
