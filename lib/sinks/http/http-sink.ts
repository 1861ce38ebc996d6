import { Agent } from 'node:http';
import type { ClientRequest } from 'node:http';
import { Agent as TlsAgent } from 'node:https';
import type { Socket } from 'node:net';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import type { Batch } from '../../seams/batch.js';
import { asError, ForebayError, systemCode } from '../../base/errors.js';
import { post } from '../../base/http-post.js';
import { contextHeaders } from './context-headers.js';
import { HttpAnswers } from './http-answers.js';
import { replayHeader } from './replay-header.js';
import { withDeadline } from '../deadline.js';
import type { SettingFile } from '../../settings/setting-file.js';
import { reachedSink, SinkError } from '../../seams/sink-error.js';
import type { Sink, SinkDescription } from '../../seams/sink.js';

const compress = promisify(gzip);

/** A connection is not used for longer, in milliseconds. */
const CONNECTION_MS_MAX = 60_000;
/** Nor one that has rested this long, in milliseconds: the other side may just be closing it. */
const IDLE_MS = 4000;

export interface HttpSinkOptions {
  readonly url: URL | string;
  /** `ndjson`, the default: the batch's bytes as they are; `array`: a JSON array of the same texts. */
  readonly format?: 'ndjson' | 'array';
  /** Custom headers, by name; they replace the sink's. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Whether each body is compressed. */
  readonly gzip?: boolean;
  /** How long an attempt may take, from the first byte out to the last one in, in milliseconds; 30,000 by default. */
  readonly timeoutMs?: number;
  /** Connections, as many as batches may be on their way (`sinkConcurrency`); 1 by default. */
  readonly connections?: number;
  /** Certificates that are trusted instead of the system's, as PEM. */
  readonly ca?: string | null;
  /** Headers that may change meanwhile; `headers` replace them. */
  readonly headersFile?: SettingFile<Readonly<Record<string, string>>> | null;
  /** Certificates that may change meanwhile, instead of `ca`. */
  readonly caFile?: SettingFile<string> | null;
  /** Statuses that refuse the events of a batch, whatever they mean elsewhere. */
  readonly refuses?: readonly number[];
}

/**
 * Posts each batch to a URL, with its key as `Idempotency-Key`, the same at each attempt and after a crash.
 *
 * `2xx` confirms, but for events that its JSON body names: `{"refused":[{"index":3,"reason":"…","status":422}]}`, with
 * indices from 0. What else it says is about the events (`400`, `413`, `422` and others of `4xx`: the batch is refused),
 * about how the sink is set up (`401`, `404`, redirects and the like: nothing is refused, someone has to correct it), or
 * about the moment (`408`, `409`, `429`, `5xx` and the like, no answer, and whatever has a `Retry-After`).
 */
export class HttpSink implements Sink {
  readonly description: SinkDescription;
  readonly #options: HttpSinkOptions;
  readonly #url: URL;
  readonly #timeoutMs: number;
  #setup: Setup;
  /** When each connection was opened, on the clock of `performance.now()`. */
  readonly #connectedMs = new WeakMap<Socket, number>();
  /** Whether the last answer said that something is set up wrongly: a file may say otherwise by now. */
  #isSuspect = false;

  /** @throws ForebayError `SINK_UNUSABLE` */
  constructor(options: HttpSinkOptions) {
    this.#options = options;
    this.#timeoutMs = options.timeoutMs ?? 30_000;
    this.#url = asUrl(options.url);
    this.description = { kind: 'http', target: shownUrl(this.#url) };
    try {
      this.#setup = this.#newSetup();
    } catch (error) {
      if (error instanceof ForebayError) throw error;
      const message = `The sink ${this.#url.origin} cannot be used: ${asError(error).message}`;
      throw new ForebayError('SINK_UNUSABLE', { message, cause: error });
    }
  }

  async deliver(batch: Batch, stopping: AbortSignal, traceparent?: string): Promise<void> {
    const { format, gzip: isGzip } = this.#options;
    await this.#refresh(this.#isSuspect);
    const plain = format === 'array' ? asArray(batch) : batch.bytes;
    const body = isGzip ? await compress(plain, { level: 1 }) : plain;
    const { agent, headers: all, answers } = this.#setup;
    const ofContexts = {
      ...contextHeaders(batch.contexts, traceparent ?? null),
      ...replayHeader(batch.contexts),
    };
    const headers = { ...ofContexts, ...all, 'idempotency-key': batch.key };
    await withDeadline(stopping, this.#timeoutMs, async (signal) => {
      try {
        const { answer, request, sent } = await post({ url: this.#url, headers, body, agent, signal });
        if (this.#isOld(request) || answers.isFailure(answer)) request.shouldKeepAlive = false;
        await answers.take(answer, batch, stopping);
        await sent;
      } catch (error) {
        const isSaid = error instanceof SinkError;
        if (stopping.aborted && !isSaid) throw stopping.reason;
        // the request says only that it was aborted
        const failure = isSaid ? error : unanswered(asError(signal.aborted ? signal.reason : error));
        this.#isSuspect = failure.misconfigured;
        throw failure;
      }
    });
  }

  async reload(): Promise<void> {
    if (!(await this.#refresh(true))) this.#renew();
  }

  close(): Promise<void> {
    this.#setup.agent.destroy();
    return Promise.resolve();
  }

  /** Looks at the files. @returns whether one has changed, and all is set up again */
  async #refresh(atOnce: boolean): Promise<boolean> {
    const { headersFile, caFile } = this.#options;
    if (!headersFile && !caFile) return false;
    const changed = await Promise.all([headersFile?.refresh(atOnce), caFile?.refresh(atOnce)]);
    if (!changed.includes(true)) return false;
    this.#renew();
    return true;
  }

  /** From now on attempts use what the files say, and new connections. */
  #renew(): void {
    const { agent } = this.#setup;
    this.#setup = this.#newSetup();
    agent.maxFreeSockets = 0; // attempts that run end on it
    for (const socket of Object.values(agent.freeSockets).flat()) socket?.destroy();
  }

  /** Whether it is time to look up the name again, and so to reach what a balancer has for new connections. */
  #isOld({ socket }: ClientRequest): boolean {
    if (socket === null) return true;
    const nowMs = performance.now();
    const connectedMs = this.#connectedMs.get(socket);
    if (connectedMs === undefined) this.#connectedMs.set(socket, nowMs);
    return nowMs - (connectedMs ?? nowMs) > CONNECTION_MS_MAX;
  }

  #newSetup(): Setup {
    const { headersFile, caFile, connections = 1, refuses } = this.#options;
    const headers = headersOf(this.#url, this.#options, headersFile?.value);
    const ca = caFile?.value ?? this.#options.ca ?? null;
    const options = { keepAlive: true, maxSockets: connections, timeout: IDLE_MS };
    const isTls = this.#url.protocol === 'https:';
    return {
      headers,
      answers: new HttpAnswers(secretsOf(this.#url, headers), refuses),
      agent: isTls ? new TlsAgent({ ...options, ...(ca !== null && { ca }) }) : new Agent(options),
    };
  }
}

/** What an attempt uses. */
interface Setup {
  readonly headers: Readonly<Record<string, string>>;
  readonly answers: HttpAnswers;
  readonly agent: Agent;
}

/** @throws ForebayError `SINK_UNUSABLE` */
function headersOf(
  url: URL,
  { format, headers = {}, gzip: isGzip }: HttpSinkOptions,
  fromFile: Readonly<Record<string, string>> = {},
): Readonly<Record<string, string>> {
  const { 'content-type': type, ...others } = { ...lowerCased(fromFile), ...lowerCased(headers) };
  return {
    ...(url.username + url.password !== '' && { authorization: basicAuthorization(url) }),
    'content-type': type ?? (format === 'array' ? 'application/json' : 'application/x-ndjson'),
    ...others,
    ...(isGzip && { 'content-encoding': 'gzip' }),
    'accept-encoding': 'identity',
  };
}

const LINE_FEED = 0x0a;
const COMMA = 0x2c;

/** The lines of a batch as a JSON array: line feeds become commas, as an event's text cannot contain one. */
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
function asUrl(given: URL | string): URL {
  const url = URL.canParse(String(given)) ? new URL(given) : null;
  if (url !== null && /^https?:$/.test(url.protocol)) return url;
  throw new ForebayError('SINK_UNUSABLE', { message: 'The URL of the sink must be like https://host/path' });
}

/** Codes of TLS for a certificate that is not trusted, or not for this host. */
const CERTIFICATE = /CERT|^UNABLE_TO_|^INVALID_(?:CA|PURPOSE)$|^HOSTNAME_MISMATCH$/;

/** An attempt without an answer: the system's words, or Forebay's. */
function unanswered(error: Error): SinkError {
  const misconfigured = CERTIFICATE.test(systemCode(error) ?? '');
  const reached = !misconfigured && reachedSink(error);
  return new SinkError(error.message, { misconfigured, reached, said: '', cause: error });
}

/** A part of a path that may be a secret, as in the URLs of webhooks: it is long, or not short and has a digit. */
const SECRET_SEGMENT = /[^/]{20,}|(?=[^/]{8})[^/\d]*\d[^/]*/g;

/** A URL without user, password, query and any part of the path that may be a secret. */
function shownUrl({ origin, pathname }: URL): string {
  return origin + pathname.replaceAll(SECRET_SEGMENT, '…');
}

/** Headers that are never credentials. */
const OPEN_HEADERS = /^(?:content-.*|accept.*|user-agent)$/;
/** Parameters of a URL that are; others, such as a query, would only be missing in what the sink says about them. */
const SECRET_PARAMETERS = /auth|pass|pwd|secret|token|key|sig|cred/i;

/** What identifies Forebay to the sink, in the forms in which the sink may repeat it. */
function secretsOf(
  { username, password, pathname, searchParams }: URL,
  headers: Readonly<Record<string, string>>,
): string[] {
  const values = Object.entries(headers).flatMap(([name, value]) =>
    // also without its scheme (RFC 9110, 11.4)
    OPEN_HEADERS.test(name) ? [] : [value, value.replace(/^\S+ +/, '')],
  );
  const parameters = [...searchParams].flatMap(([name, value]) =>
    SECRET_PARAMETERS.test(name) ? [value, encodeURIComponent(value)] : [],
  );
  // a user without a password is a key
  const encoded = [password === '' ? username : password, ...(pathname.match(SECRET_SEGMENT) ?? [])];
  return [...values, ...parameters, ...encoded, ...encoded.map(unescaped)];
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
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
