import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { Pool } from 'undici';
import type { Dispatcher } from 'undici';
import type { Batch } from '../append-log/batch.js';
import { asError, ForebayError } from '../errors.js';
import { SinkError } from './sink-error.js';
import type { Refusal } from './sink-error.js';
import type { Sink } from './sink.js';

const compress = promisify(gzip);

export interface HttpSinkOptions {
  readonly url: URL;
  /** `ndjson`: the batch's bytes as they are; `array`: a JSON array of the same texts. */
  readonly format: 'ndjson' | 'array';
  /** Headers of one's own, by name; they go before the sink's. */
  readonly headers: Readonly<Record<string, string>>;
  readonly gzip: boolean;
  /** How long an attempt may take, from the first byte out to the last one in, in milliseconds. */
  readonly timeoutMs: number;
  /** Connections, as many as batches may be on their way. */
  readonly connections: number;
  /** Certificates that are trusted instead of the system's, as PEM. */
  readonly ca: string | null;
}

/** So much of an answer is read: enough to name all events of a large batch. */
const ANSWER_BYTES_MAX = 2 ** 20;
/** So much of it stands in errors and dead letters, in characters. */
const REASON_LENGTH_MAX = 300;
/** Statuses of 4xx that say "not now" (RFC 9110, RFC 8470, RFC 6585). */
const NOT_NOW = new Set([408, 425, 429]);

/**
 * Posts each batch to a URL, with `Idempotency-Key: <batch name>`, the same at each attempt and after a crash.
 *
 * `2xx` confirms, but for events that its JSON body names: `{"refused":[{"index":3,"reason":"…","status":422}]}`, with
 * indices from 0. `408`, `425`, `429`, `5xx`, redirects and whatever is no answer are tried again, after `Retry-After`
 * if the answer has one. Any other `4xx` refuses the batch.
 */
export class HttpSink implements Sink {
  readonly #options: HttpSinkOptions;
  readonly #pool: Pool;
  readonly #path: string;
  readonly #headers: Readonly<Record<string, string>>;

  /** @throws ForebayError `SINK_UNUSABLE` */
  constructor(options: HttpSinkOptions) {
    const { url, format, headers, connections, timeoutMs, ca } = options;
    this.#options = options;
    this.#path = url.pathname + url.search;
    const { 'content-type': type, ...others } = lowerCased(headers);
    this.#headers = {
      ...(url.username !== '' && { authorization: basicAuthorization(url) }),
      'content-type': type ?? (format === 'array' ? 'application/json' : 'application/x-ndjson'),
      ...others,
      ...(options.gzip && { 'content-encoding': 'gzip' }),
    };
    try {
      this.#pool = new Pool(url.origin, {
        connections,
        headersTimeout: timeoutMs,
        bodyTimeout: timeoutMs,
        connect: { timeout: timeoutMs, ...(ca !== null && { ca }) },
      });
    } catch (error) {
      const message = `The sink ${url.origin} cannot be used: ${asError(error).message}`;
      throw new ForebayError('SINK_UNUSABLE', { message, cause: error });
    }
  }

  async deliver(batch: Batch, signal: AbortSignal): Promise<void> {
    const { format, timeoutMs } = this.#options;
    const plain = format === 'array' ? asArray(batch) : batch.bytes;
    const body = this.#options.gzip ? await compress(plain, { level: 1 }) : plain;
    const attempt = new AbortController();
    const stop = (): void => {
      attempt.abort(signal.reason);
    };
    const timer = setTimeout(() => {
      attempt.abort(new Error(`no answer within ${timeoutMs} ms (--sink-timeout)`));
    }, timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (signal.aborted) stop();
      const headers = { ...this.#headers, 'idempotency-key': batch.name };
      const answer = await this.#pool.request({
        path: this.#path,
        method: 'POST',
        headers,
        body,
        signal: attempt.signal,
      });
      judge(answer, await readText(answer.body), batch.events);
    } catch (error) {
      // undici says only that it was aborted
      throw attempt.signal.aborted ? attempt.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** @throws SinkError unless the whole batch is confirmed */
function judge({ statusCode: status, headers }: Dispatcher.ResponseData, text: string, events: number): void {
  if (status >= 200 && status < 300) {
    const refused = refusedEvents(text, events);
    if (refused.length > 0) throw new SinkError(`${refused.length} events were refused`, { status, refused });
    return;
  }
  const reason = text.trim().slice(0, REASON_LENGTH_MAX);
  const message = `the sink answered ${status}${reason === '' ? '' : `: ${reason}`}`;
  if (status >= 400 && status < 500 && !NOT_NOW.has(status))
    throw new SinkError(message, { status, refused: 'all' });
  const retryAfterMs = retryAfter(headers['retry-after']);
  throw new SinkError(message, { status, ...(retryAfterMs !== null && { retryAfterMs }) });
}

/**
 * The events that an answer names; none where it is not of that shape.
 *
 * @throws SinkError where it names what is not in the batch: then nobody knows what it means
 */
function refusedEvents(text: string, events: number): readonly Refusal[] {
  if (!text.includes('"refused"')) return [];
  let named: unknown;
  try {
    named = (JSON.parse(text) as { refused?: unknown }).refused;
  } catch {
    return [];
  }
  if (!Array.isArray(named)) return [];
  const refused = new Map<number, Refusal>();
  for (const each of named as readonly ({ index?: unknown; reason?: unknown; status?: unknown } | null)[]) {
    const index = each?.index;
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= events) {
      throw new SinkError(
        `the sink refused event ${JSON.stringify(index)} of a batch of ${events}: indices go from 0`,
      );
    }
    const { reason, status } = each ?? {};
    refused.set(index, {
      index,
      reason: typeof reason === 'string' ? reason.slice(0, REASON_LENGTH_MAX) : 'refused by the sink',
      status: typeof status === 'number' || typeof status === 'string' ? status : null,
    });
  }
  return [...refused.values()].toSorted((a, b) => a.index - b.index);
}

/** In milliseconds, from seconds or a date (RFC 9110, 10.2.3); `null` where there is none that can be read. */
function retryAfter(value: string | string[] | undefined): number | null {
  const text = [value].flat()[0]?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - Date.now());
}

/** @throws where the answer is longer than any that makes sense, or ends too early */
async function readText(body: Dispatcher.ResponseData['body']): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > ANSWER_BYTES_MAX) throw new SinkError(`the answer is longer than ${ANSWER_BYTES_MAX} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

const LINE_FEED = 0x0a;
const COMMA = 0x2c;

/** The lines of a batch as a JSON array: line feeds become commas, which within an event's text cannot stand. */
function asArray({ bytes }: Batch): Buffer {
  const array = Buffer.allocUnsafe(bytes.length + 1);
  array[0] = 0x5b;
  bytes.copy(array, 1);
  for (let at = array.indexOf(LINE_FEED); at !== -1; at = array.indexOf(LINE_FEED, at)) array[at] = COMMA;
  array[array.length - 1] = 0x5d;
  return array;
}

function lowerCased(headers: Readonly<Record<string, string>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), value]));
}

function basicAuthorization({ username, password }: URL): string {
  const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
  return `Basic ${Buffer.from(pair).toString('base64')}`;
}
