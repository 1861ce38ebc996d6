import { promisify } from 'node:util';
import { brotliDecompress, constants, gunzip, inflate } from 'node:zlib';
import type { ZlibOptions } from 'node:zlib';
import type { IncomingMessage } from 'node:http';
import type { Batch } from '../../seams/batch.js';
import { retryAfterMs } from '../../base/retry-after.js';
import { SinkError } from '../../seams/sink-error.js';
import type { Refusal, SinkErrorDetail } from '../../seams/sink-error.js';
import { count } from '../../base/words.js';

type Answer = IncomingMessage;

/** At most this much of an answer is read: enough to name all events of a large batch. */
const ANSWER_BYTES_MAX = 2 ** 20;
/** At most this much of it is in errors and dead letters, in characters. */
const REASON_LENGTH_MAX = 300;
/** At most this much of it is read if its status says all. */
const REASON_BYTES_MAX = 65_536;
/**
 * Statuses of 4xx that are about the connection or the moment. 409: an attempt with the same key still runs there; 421: this
 * connection does not lead there; 423, 424: something else holds it up; 499: something on the way gave up.
 */
const NOT_NOW = new Set([408, 409, 421, 423, 424, 425, 429, 499]);
/**
 * Failures that say nothing about the batch: those above but 409, which may be about what the API has already; of 5xx, an
 * API that is away or full, as it says itself or as an edge says it (507, 509, 511, 520 to 527, 529, 530, 598 and 599).
 */
const AWAY = new Set([503, 507, 509, 511, 520, 521, 522, 523, 524, 525, 526, 527, 529, 530, 598, 599]);
/** Those that are about who asks, where, or how: each batch gets the same until someone corrects a setting. So do redirects. */
const SET_UP_WRONGLY = new Set([401, 402, 403, 404, 405, 406, 407, 410, 411, 414, 415, 417, 426, 428, 431]);
/** Shorter texts are hidden nowhere: they would be found in half of all words. */
const SECRET_LENGTH_MIN = 6;

/** Values of `Content-Encoding` that change nothing; the last two are charsets, sent by mistake. */
const PLAIN = new Set(['', 'identity', 'utf-8', 'utf8']);
const [gunzipped, inflated, unbrotlied] = [
  promisify(gunzip),
  promisify(inflate),
  promisify(brotliDecompress),
];
const DECODERS: Readonly<Record<string, (bytes: Buffer, options: ZlibOptions) => Promise<Buffer>>> = {
  gzip: gunzipped,
  'x-gzip': gunzipped,
  deflate: inflated,
  br: async (bytes, { maxOutputLength }) => unbrotlied(bytes, { maxOutputLength }),
};

/** What answers to a batch mean. */
export class HttpAnswers {
  readonly #secrets: readonly string[];
  readonly #refuses: ReadonlySet<number>;

  /**
   * @param secrets what no error and no reason may show, even if the sink repeats it
   * @param refuses statuses that refuse a batch, whatever they mean elsewhere
   */
  constructor(secrets: readonly string[], refuses: readonly number[] = []) {
    this.#refuses = new Set(refuses);
    this.#secrets = secrets
      .filter(({ length }) => length >= SECRET_LENGTH_MIN)
      .toSorted((a, b) => b.length - a.length);
  }

  /** Whether the head of an answer says that the next attempt may fare better on another connection. */
  isFailure(answer: Answer): boolean {
    return !isConfirmation(answer) && this.#meaningOf(answer).refused === undefined;
  }

  /**
   * Resolves if the sink has the batch.
   *
   * @param stopping once it is aborted nothing is refused: perhaps only the start of the answer has come
   * @throws SinkError what the sink says; another error if its answer does not end well
   */
  async take(answer: Answer, batch: Batch, stopping: AbortSignal): Promise<void> {
    if (!isConfirmation(answer)) throw this.#notTaken(answer, await readReason(answer, stopping));
    const bytesMax = ANSWER_BYTES_MAX + 2 * batch.bytes.length;
    this.#checkConfirmed(answer, await this.#read(answer, bytesMax), batch.events);
  }

  /** What an answer that is not 2xx means. */
  #notTaken(answer: Answer, text: string): SinkError {
    const { location } = answer.headers;
    const where = location === undefined ? '' : `Location: ${location}`;
    const reason = text.trim();
    const said = this.#shown(reason === '' || where === '' ? reason + where : `${reason} (${where})`);
    return new SinkError(`the sink answered ${answer.statusCode}`, { ...this.#meaningOf(answer), said });
  }

  #meaningOf({ statusCode: status = 0, headers }: Answer): SinkErrorDetail {
    const askedMs = retryAfterMs(headers);
    // "not now", whatever else it is
    if (askedMs !== null) return { status, retryAfterMs: askedMs };
    if (this.#refuses.has(status)) return { status, refused: 'all' };
    // or something on the way, such as a firewall, takes offence at one event: then others are taken
    if (isSetUpWrongly(status)) return { status, misconfigured: true, reached: true };
    const isOfEvents = status >= 400 && status < 500 && !NOT_NOW.has(status);
    const reached = status === 409 || !(NOT_NOW.has(status) || AWAY.has(status));
    return { status, reached, ...(isOfEvents && { refused: 'all' }) };
  }

  /**
   * Looks for events that an answer with 2xx names.
   *
   * @throws SinkError with these; or to try again, if it may name some and nobody knows which
   */
  #checkConfirmed({ statusCode: status = 200, headers }: Answer, text: string, events: number): void {
    if (!text.includes('"refused"')) return;
    const isJson = /[/+]json\b/i.test(headers['content-type'] ?? '');
    let named: unknown;
    try {
      named = (JSON.parse(text.replace(/^\uFEFF/, '')) as { refused?: unknown } | null)?.refused;
    } catch (cause) {
      if (isJson)
        throw new SinkError("the sink's answer names refused events and is not JSON", { said: '', cause });
      return;
    }
    // some write an empty list so, or how many there are
    if (named === undefined || named === null || named === false || named === 0) return;
    if (!Array.isArray(named))
      throw new SinkError('"refused" in the answer of the sink is not a list', { said: '' });
    if (named.length === 0) return;
    const refused = this.#refusalsIn(named, events);
    throw new SinkError(`${count(named.length, 'event was', 'events were')} refused`, { status, refused });
  }

  /** @throws SinkError if it names what is not in the batch: then nobody knows what it means */
  #refusalsIn(named: readonly unknown[], events: number): Refusal[] {
    return named.map((each) => {
      const { index, reason, status } = (each ?? {}) as {
        index?: unknown;
        reason?: unknown;
        status?: unknown;
      };
      if (typeof index !== 'number' || !Number.isInteger(index) || index < 0 || index >= events) {
        throw new SinkError(
          `the sink refused event ${this.#shown(JSON.stringify(index ?? null))} of a batch of ${events}: indices go from 0`,
        );
      }
      return {
        index,
        reason: typeof reason === 'string' ? this.#shown(reason) : 'refused by the sink',
        status: typeof status === 'string' ? this.#shown(status) : typeof status === 'number' ? status : null,
      };
    });
  }

  /** What the sink says, fit for logs and dead letters: short, without secrets, and it cannot control a terminal. */
  #shown(text: string): string {
    const open = this.#secrets.reduce((rest, secret) => rest.replaceAll(secret, '…'), text);
    const cut = open.length > REASON_LENGTH_MAX ? `${open.slice(0, REASON_LENGTH_MAX)}…` : open;
    return cut.replace(/\p{Cc}/gu, ' ');
  }

  /** @throws if the answer is too long, ends too early, or is in a coding that cannot be read */
  async #read(answer: Answer, bytesMax: number): Promise<string> {
    const pieces: Buffer[] = [];
    let length = 0;
    for await (const piece of answer as AsyncIterable<Buffer>) {
      length += piece.length;
      if (length > bytesMax) throw new SinkError(`the answer is longer than ${bytesMax} bytes`, { said: '' });
      pieces.push(piece);
    }
    if (length === 0) return '';
    const { headers } = answer;
    try {
      return await decoded(Buffer.concat(pieces), headers, { maxOutputLength: bytesMax });
    } catch (cause) {
      const coding = this.#shown(String(headers['content-encoding']));
      throw new SinkError(`the sink's answer is in ${coding}, unasked for, and cannot be read`, {
        said: '',
        cause,
      });
    }
  }
}

function isConfirmation({ statusCode: status = 0 }: Answer): boolean {
  return status >= 200 && status < 300;
}

function isSetUpWrongly(status: number): boolean {
  return (status >= 300 && status < 400) || SET_UP_WRONGLY.has(status);
}

/** The start of an answer whose status says all. If it does not end well, or cannot be read, that changes nothing. */
async function readReason(answer: Answer, stopping: AbortSignal): Promise<string> {
  const pieces: Buffer[] = [];
  let length = 0;
  try {
    for await (const piece of answer as AsyncIterable<Buffer>) {
      pieces.push(piece);
      length += piece.length;
      if (length > REASON_BYTES_MAX) break;
    }
  } catch (error) {
    if (stopping.aborted) throw error;
  }
  // what is there is decoded even if the rest is missing
  const options = { maxOutputLength: 16 * REASON_BYTES_MAX, finishFlush: constants.Z_SYNC_FLUSH };
  return decoded(Buffer.concat(pieces), answer.headers, options).catch(() => '');
}

/**
 * The text of an answer. It was asked for as it is; some servers and proxies compress all the same.
 *
 * @throws if a coding is not known, or the bytes are not in it
 */
async function decoded(bytes: Buffer, headers: Answer['headers'], options: ZlibOptions): Promise<string> {
  const codings = (headers['content-encoding'] ?? '')
    .split(',')
    .map((name) => name.trim().toLowerCase())
    .filter((name) => !PLAIN.has(name));
  let plain = bytes;
  // in the order in which they were applied (RFC 9110, 8.4)
  for (const coding of codings.toReversed()) {
    const decode = Object.hasOwn(DECODERS, coding) ? DECODERS[coding] : undefined;
    if (decode === undefined) throw new Error(`${coding} is not known`);
    plain = await decode(plain, options);
  }
  return plain.toString('utf8');
}
