import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { asError, ForebayError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import type { Logger } from '../log-lines.js';
import { answerAccepted, answerError, answerLenient } from './answers.js';
import { CODINGS, createDecoder, isCoding } from './content-decoder.js';
import { JsonBody, NdjsonBody } from './event-body.js';
import type { EventBody } from './event-body.js';
import { EventLines } from './event-lines.js';
import type { RequestCounts } from './request-counts.js';
import { bodyFormat } from './request-head.js';
import type { BodyFormat } from './request-head.js';

const LENIENT = /(?:^|,)\s*handling\s*=\s*"?lenient"?\s*(?:[,;]|$)/i;
/**
 * A body may inflate to so many times its size, beyond the first mebibyte. JSON events come to about 10, very
 * repetitive ones to 100; a bomb of gzip comes to 1,000.
 */
const INFLATION_MAX = 200;
const INFLATED_BYTES_FREE = 2 ** 20;

export interface EventsRouteOptions {
  readonly forebay: Forebay;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number;
  /** The largest event, in bytes. */
  readonly eventBytesMax: number;
  readonly logger: Logger;
  readonly counts: RequestCounts;
}

/**
 * `POST /events`: one event as a JSON object, many as a JSON array or as NDJSON. `202` when all are on disk.
 *
 * What can be refused is refused before the body is read. Nothing is taken before the body is whole, so that a
 * refused or cut off upload leaves no trace.
 */
export class EventsRoute {
  readonly #forebay: Forebay;
  readonly #bodyBytesMax: number;
  readonly #eventBytesMax: number;
  readonly #logger: Logger;
  readonly #counts: RequestCounts;
  #bodyBytes = 0;

  constructor({ forebay, bodyBytesMax, eventBytesMax, logger, counts }: EventsRouteOptions) {
    this.#forebay = forebay;
    this.#bodyBytesMax = bodyBytesMax;
    this.#eventBytesMax = eventBytesMax;
    this.#logger = logger;
    this.#counts = counts;
  }

  /** The bytes of all bodies that are being read: they count towards the queue's bound. */
  get bodyBytes(): number {
    return this.#bodyBytes;
  }

  /** @param waits whether the client waits for `100 Continue` before it sends the body */
  handle(req: IncomingMessage, res: ServerResponse, waits: boolean): void {
    const declared = Number(req.headers['content-length'] ?? 0);
    const refusal = this.#checkHeaders(req, declared) ?? this.#forebay.refusal(1, declared, this.#bodyBytes);
    if (refusal !== null) {
      answerError(req, res, this.#refused(refusal, 1));
      return;
    }
    if (waits) res.writeContinue();
    const lenient = isLenient(req);
    const events = new EventLines(this.#eventBytesMax, lenient);
    this.#readBody(req, res, events, (error, refused) => {
      if (error !== null) answerError(req, res, this.#refused(error, refused));
      else this.#take(req, res, events, lenient);
    });
  }

  /**
   * A plain request whose body is here whole, as the fast path reads it.
   *
   * @param answer called once: with the error, or with how many events a body for many brought; `null`: one for one
   */
  takeWhole(
    format: BodyFormat,
    body: Buffer,
    answer: (error: ForebayError | null, count: number | null) => void,
  ): void {
    const { length } = body;
    const refusal =
      length > this.#bodyBytesMax ? this.#tooLarge() : this.#forebay.refusal(1, length, this.#bodyBytes);
    if (refusal !== null) {
      answer(this.#refused(refusal, 1), null);
      return;
    }
    const events = new EventLines(this.#eventBytesMax, false);
    try {
      const reading = this.#newBody(format, events);
      reading.append(body);
      reading.end();
    } catch (error) {
      answer(this.#refused(error, events.lines.length + 1), null);
      return;
    }
    this.#forebay.take(events.lines, (error) => {
      if (error !== null) answer(this.#refused(error, events.lines.length), null);
      else answer(null, events.areMany ? events.lines.length : null);
    });
  }

  #take(req: IncomingMessage, res: ServerResponse, events: EventLines, lenient: boolean): void {
    const { lines, refused } = events;
    const answer = (error: Error | null): void => {
      if (error !== null) {
        answerError(req, res, this.#refused(error, lines.length));
        return;
      }
      for (const { code } of refused) this.#counts.refuse(code, 1);
      if (lenient) answerLenient(res, lines.length, refused);
      else answerAccepted(res, events.areMany ? lines.length : null);
    };
    if (lines.length > 0) this.#forebay.take(lines, answer);
    else answer(null);
  }

  /** Counts so many events as refused. */
  #refused(thrown: unknown, events: number): ForebayError {
    const error = this.#named(thrown);
    this.#counts.refuse(error.code, events);
    return error;
  }

  #named(thrown: unknown): ForebayError {
    if (thrown instanceof ForebayError) return thrown;
    const cause = asError(thrown);
    this.#logger.error({ code: 'INTERNAL', err: cause }, 'POST /events failed');
    return new ForebayError('INTERNAL', { cause });
  }

  #checkHeaders({ headers }: IncomingMessage, declared: number): ForebayError | null {
    const type = headers['content-type'];
    if (bodyFormat(type) === null) {
      return new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Type must be application/json or application/x-ndjson in UTF-8, not ${type}`,
      });
    }
    const coding = codingOf(headers);
    if (coding !== 'identity' && !isCoding(coding)) {
      return new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Encoding must be one of ${CODINGS}, not ${coding}`,
      });
    }
    return declared > this.#bodyBytesMax ? this.#tooLarge() : null;
  }

  /**
   * Calls back once: the body is whole, or why it was refused, and so many of its events as were seen; never if the
   * client goes away before its end.
   */
  #readBody(
    req: IncomingMessage,
    res: ServerResponse,
    events: EventLines,
    done: (error: ForebayError | null, refused: number) => void,
  ): void {
    const decoder = createDecoder(codingOf(req.headers));
    const source: Readable = decoder === null ? req : req.pipe(decoder);
    const body = this.#newBody(bodyFormat(req.headers['content-type']), events);
    let sent = 0;
    let length = 0;
    let isOver = false;
    // most often it is the event behind those that were read
    const finish = (error: ForebayError | null, refused = events.lines.length + 1): void => {
      release();
      done(error, refused);
    };
    const attempt = (work: () => void): boolean => {
      try {
        work();
        return true;
      } catch (error) {
        finish(this.#named(error));
        return false;
      }
    };
    const onData = (piece: Buffer): void => {
      if (isOver) return;
      length += piece.length;
      this.#bodyBytes += piece.length;
      const isSound = attempt(() => {
        this.#checkSize(length, sent, decoder !== null);
        body.append(piece);
      });
      if (!isSound) return;
      const taken = Math.max(1, events.lines.length);
      const refusal = this.#forebay.refusal(taken, length, this.#bodyBytes - length);
      if (refusal !== null) finish(refusal, taken);
    };
    const onEnd = (): void => {
      if (!isOver && attempt(() => body.end())) finish(null);
    };
    // the listeners stay: to take them off costs more than to let them go with their request
    const release = (): void => {
      if (isOver) return;
      isOver = true;
      this.#bodyBytes -= length;
      if (decoder === null) return;
      req.unpipe(decoder);
      decoder.destroy();
    };
    if (decoder !== null) {
      req.on('data', (piece: Buffer) => (sent += piece.length));
      decoder.on('error', (cause) => {
        const message = `The body is not valid ${codingOf(req.headers)}: ${cause.message}`;
        if (!isOver) finish(new ForebayError('BODY_NOT_DECODED', { message, cause }));
      });
    }
    source.on('data', onData);
    source.on('end', onEnd);
    req.on('close', () => {
      // a decoder may still be at work on a body that is whole
      if (!req.complete) release();
    });
    // a request that was answered before its end, with 408 say, never closes
    res.on('close', release);
  }

  #newBody(format: BodyFormat | null, events: EventLines): EventBody {
    return format === 'ndjson' ? new NdjsonBody(events, this.#eventBytesMax) : new JsonBody(events);
  }

  /** @throws ForebayError `BODY_TOO_LARGE` */
  #checkSize(length: number, sent: number, isCoded: boolean): void {
    if (length > this.#bodyBytesMax) throw this.#tooLarge();
    if (!isCoded || length <= INFLATED_BYTES_FREE + sent * INFLATION_MAX) return;
    throw new ForebayError('BODY_TOO_LARGE', {
      message: `The body inflates to more than ${INFLATION_MAX} times its size`,
    });
  }

  #tooLarge(): ForebayError {
    return new ForebayError('BODY_TOO_LARGE', {
      message: `The body is larger than ${this.#bodyBytesMax} bytes (--body-max)`,
    });
  }
}

function codingOf({ 'content-encoding': coding = 'identity' }: IncomingHttpHeaders): string {
  return coding.trim().toLowerCase();
}

/** Whether the client asked for a result of each event (RFC 7240, 4.4). */
function isLenient({ headers }: IncomingMessage): boolean {
  const { prefer = [] } = headers;
  return LENIENT.test([prefer].flat().join(','));
}
