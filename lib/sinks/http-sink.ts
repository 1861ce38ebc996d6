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
/** So much of it is read where its status says all. */
const REASON_BYTES_MAX = 65_536;
/** Statuses of 4xx that say "not now" (RFC 9110, 8470, 6585); 409: an attempt with the same key still runs there. */
const NOT_NOW = new Set([408, 409, 425, 429]);

/**
 * Posts each batch to a URL, with `Idempotency-Key: <batch name>`, the same at each attempt and after a crash.
 *
 * `2xx` confirms, but for events that its JSON body names: `{"refused":[{"index":3,"reason":"…","status":422}]}`, with
 * indices from 0. `408`, `409`, `425`, `429`, `5xx`, redirects and whatever is no answer are tried again, after `Retry-After`
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
      ...(url.username + url.password !== '' && { authorization: basicAuthorization(url) }),
      'content-type': type ?? (format === 'array' ? 'application/json' : 'application/x-ndjson'),
      ...others,
      ...(options.gzip && { 'content-encoding': 'gzip' }),
      'accept-encoding': 'identity',
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
      const { statusCode: status } = answer;
      if (status >= 200 && status < 300) {
        const text = await readText(answer.body, ANSWER_BYTES_MAX + 2 * batch.bytes.length);
        checkConfirmed(answer, text, batch.events);
      } else {
        throw notTaken(answer, await readReason(answer.body, signal));
      }
    } catch (error) {
      // undici says only that it was aborted
      throw attempt.signal.aborted && !(error instanceof SinkError) ? attempt.signal.reason : error;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** What an answer that is not 2xx means. */
function notTaken({ statusCode: status, headers }: Dispatcher.ResponseData, text: string): SinkError {
  const reason = shown(text.trim());
  const message = `the sink answered ${status}${reason === '' ? '' : `: ${reason}`}`;
  if (status >= 400 && status < 500 && !NOT_NOW.has(status))
    return new SinkError(message, { status, refused: 'all' });
  const retryAfterMs = retryAfter(headers['retry-after']);
  return new SinkError(message, { status, ...(retryAfterMs !== null && { retryAfterMs }) });
}

/**
 * Looks for events that an answer with 2xx names.
 *
 * @throws SinkError with these; or to try again, where it may name some and nobody knows which
 */
function checkConfirmed(answer: Dispatcher.ResponseData, text: string, events: number): void {
  const { statusCode: status, headers } = answer;
  const coding = String(headers['content-encoding'] ?? 'identity');
  if (text !== '' && coding !== 'identity')
    throw new SinkError(`the sink's answer is in ${coding}, unasked for`);
  if (!text.includes('"refused"')) return;
  const isJson = /[/+]json\b/i.test(String(headers['content-type'] ?? ''));
  let named: unknown;
  try {
    named = (JSON.parse(text.replace(/^\uFEFF/, '')) as { refused?: unknown } | null)?.refused;
  } catch (cause) {
    if (isJson) throw new SinkError("the sink's answer names refused events and is no JSON", { cause });
    return;
  }
  if (named === undefined || named === null) return; // some write an empty list so
  if (!Array.isArray(named)) throw new SinkError('"refused" in the answer of the sink is no list');
  if (named.length === 0) return;
  throw new SinkError(`${named.length} events were refused`, { status, refused: refusalsIn(named, events) });
}

/** @throws SinkError where it names what is not in the batch: then nobody knows what it means */
function refusalsIn(named: readonly unknown[], events: number): Refusal[] {
  return named.map((each) => {
    const { index, reason, status } = (each ?? {}) as { index?: unknown; reason?: unknown; status?: unknown };
    if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= events) {
      throw new SinkError(
        `the sink refused event ${shown(JSON.stringify(index ?? null))} of a batch of ${events}: indices go from 0`,
      );
    }
    return {
      index,
      reason: typeof reason === 'string' ? shown(reason) : 'refused by the sink',
      status: typeof status === 'string' ? shown(status) : typeof status === 'number' ? status : null,
    };
  });
}

/** What the sink says, as it may stand in logs and dead letters: short, and it cannot steer a terminal. */
function shown(text: string): string {
  return text.slice(0, REASON_LENGTH_MAX).replace(/\p{Cc}/gu, ' ');
}

/** In milliseconds, from seconds or a date (RFC 9110, 10.2.3); `null` where there is none that can be read. */
function retryAfter(value: string | string[] | undefined): number | null {
  const text = [value].flat()[0]?.trim() ?? '';
  if (/^\d{1,9}$/.test(text)) return Number(text) * 1000;
  if (!/[a-z]/i.test(text)) return null;
  const dateMs = Date.parse(text);
  return Number.isNaN(dateMs) ? null : Math.max(0, dateMs - Date.now());
}

/** @throws where the answer is longer than any that makes sense, or ends too early */
async function readText(body: Dispatcher.ResponseData['body'], bytesMax: number): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  for await (const piece of body as AsyncIterable<Buffer>) {
    length += piece.length;
    if (length > bytesMax) throw new SinkError(`the answer is longer than ${bytesMax} bytes`);
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

/** The begin of an answer whose status says all; that it does not end well changes nothing. */
async function readReason(body: Dispatcher.ResponseData['body'], stopping: AbortSignal): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of body as AsyncIterable<Buffer>) {
      pieces.push(piece);
      length += piece.length;
      if (length > REASON_BYTES_MAX) break;
    }
  } catch (error) {
    if (stopping.aborted) throw error;
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

/** @throws ForebayError `SINK_UNUSABLE` */
function basicAuthorization({ username, password }: URL): string {
  try {
    const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
    return `Basic ${Buffer.from(pair).toString('base64')}`;
  } catch {
    const message = 'User and password in --sink-url must be percent-encoded UTF-8 (a % is %25)';
    throw new ForebayError('SINK_UNUSABLE', { message });
  }
}
