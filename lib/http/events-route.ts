import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http';
import { asError, ForebayError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import type { Logger } from '../log-lines.js';
import { answerAccepted, answerError, answerLenient, isAnswered } from './answers.js';
import { BodyReading, bodyTooLarge } from './body-reading.js';
import { CODINGS, isCoding } from './content-decoder.js';
import { CrossOrigin } from './cross-origin.js';
import { JsonBody, NdjsonBody } from './event-body.js';
import type { EventBody } from './event-body.js';
import { EventLines } from './event-lines.js';
import type { EventBounds } from './event-lines.js';
import { IncomingBodies } from './incoming-bodies.js';
import type { RequestCounts } from './request-counts.js';
import { bodyFormat } from './request-head.js';
import type { BodyFormat } from './request-head.js';
import { guard } from './router.js';
import type { Route } from './router.js';

const LENIENT = /(?:^|,)\s*handling\s*=\s*"?lenient"?\s*(?:[,;]|$)/i;
export interface EventsRouteOptions {
  readonly forebay: Forebay;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number;
  /** The largest event, in bytes. */
  readonly eventBytesMax: number;
  /** The least bytes a second that a body must arrive with; 0: no minimum. */
  readonly bodyRateMin: number;
  /** Origins of web pages that may send. */
  readonly allowedOrigins: readonly string[];
  readonly logger: Logger;
  readonly counts: RequestCounts;
}

/** Bodies that are being read may take this part of the queue; and one of the largest always fits. */
const BODIES_SHARE = 0.25;
/** What a body takes beside its bytes. */
const BODY_ROOM = 2 ** 17;

/**
 * `POST /events`: one event as a JSON object, many as a JSON array or as NDJSON. `202` when all are on disk.
 *
 * What can be refused is refused before the body is read. Nothing is taken before the body is whole, so that a
 * refused or cut off upload leaves no trace.
 */
export class EventsRoute implements Route {
  readonly methods: readonly string[];
  readonly #forebay: Forebay;
  readonly #bodyBytesMax: number;
  readonly #bounds: EventBounds;
  readonly #bodies: IncomingBodies;
  readonly #crossOrigin: CrossOrigin;
  readonly #logger: Logger;
  readonly #counts: RequestCounts;

  constructor(options: EventsRouteOptions) {
    const { forebay, bodyBytesMax, eventBytesMax, bodyRateMin, allowedOrigins, logger, counts } = options;
    const { depthMax, queueSize, queueBytes } = forebay.settings;
    this.#forebay = forebay;
    this.#bodyBytesMax = bodyBytesMax;
    this.#bounds = { eventBytesMax, depthMax, eventsMax: queueSize };
    this.#bodies = new IncomingBodies(
      Math.max(queueBytes * BODIES_SHARE, bodyBytesMax + BODY_ROOM),
      bodyRateMin,
    );
    this.#crossOrigin = new CrossOrigin(allowedOrigins);
    this.methods = allowedOrigins.length === 0 ? ['POST'] : ['POST', 'OPTIONS'];
    this.#logger = logger;
    this.#counts = counts;
  }

  /** The bytes of all bodies that are being read: they count towards the queue's bound. */
  get bodyBytes(): number {
    return this.#bodies.bytes;
  }

  /** @param waits whether the client waits for `100 Continue` before it sends the body */
  handle(req: IncomingMessage, res: ServerResponse, waits: boolean): void {
    if (req.method === 'OPTIONS') {
      this.#crossOrigin.answerPreflight(req, res);
      req.resume();
      return;
    }
    const declared = Number(req.headers['content-length'] ?? 0);
    const refusal =
      this.#crossOrigin.refusal(req, res) ??
      this.#checkHeaders(req, declared) ??
      this.#forebay.refusal(1, declared, this.bodyBytes);
    if (refusal !== null) {
      answerError(req, res, this.#refused(refusal, 1));
      return;
    }
    if (waits) res.writeContinue();
    const coding = codingOf(req.headers);
    const lenient = isLenient(req);
    const events = new EventLines(this.#bounds, lenient);
    const reading = new BodyReading({
      req,
      res,
      coding,
      body: newBody(bodyFormat(req.headers['content-type']), events, coding === 'identity' ? declared : 0),
      bodies: this.#bodies,
      bodyBytesMax: this.#bodyBytesMax,
      refusal: (length) =>
        this.#forebay.refusal(Math.max(1, events.lines.length), length, this.bodyBytes - length),
      done: (error) => {
        // most often it is the event behind those that were read
        if (error !== null) answerError(req, res, this.#refused(error, events.events + 1));
        else this.#take(req, res, events, lenient);
      },
    });
    reading.begin();
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
      length > this.#bodyBytesMax
        ? bodyTooLarge(this.#bodyBytesMax)
        : this.#forebay.refusal(1, length, this.bodyBytes);
    if (refusal !== null) {
      answer(this.#refused(refusal, 1), null);
      return;
    }
    const events = new EventLines(this.#bounds, false);
    try {
      const reading = newBody(format, events, length);
      reading.append(body);
      reading.end();
    } catch (error) {
      answer(this.#refused(error, events.events + 1), null);
      return;
    }
    this.#forebay.take(events.lines, (error) => {
      try {
        if (error !== null) answer(this.#refused(error, events.lines.length), null);
        else answer(null, events.areMany ? events.lines.length : null);
      } catch (thrown) {
        this.#named(thrown); // a fault of the door, and none that may end the process
      }
    });
  }

  #take(req: IncomingMessage, res: ServerResponse, events: EventLines, lenient: boolean): void {
    const { lines, refusedByCode } = events;
    const answer = (error: Error | null): void => {
      void guard(req, res, this.#logger, () => {
        if (error !== null) {
          answerError(req, res, this.#refused(error, lines.length));
          return;
        }
        for (const [code, refused] of refusedByCode) this.#counts.refuse(code, refused);
        if (lenient) answerLenient(res, events);
        else answerAccepted(res, events.areMany ? lines.length : null);
      });
    };
    if (isAnswered(res)) return; // with 408, while the rest of the body came
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
        message: `Content-Type must be application/json or application/x-ndjson in UTF-8, ${type === undefined ? 'and is missing' : `not ${type}`}`,
      });
    }
    const coding = codingOf(headers);
    if (coding !== 'identity' && !isCoding(coding)) {
      return new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Encoding must be one of ${CODINGS}, not ${coding}`,
      });
    }
    return declared > this.#bodyBytesMax ? bodyTooLarge(this.#bodyBytesMax) : null;
  }
}

/** @param lengthDeclared in bytes; 0: not known */
function newBody(format: BodyFormat | null, events: EventLines, lengthDeclared: number): EventBody {
  return format === 'ndjson' ? new NdjsonBody(events) : new JsonBody(events, lengthDeclared);
}

function codingOf({ 'content-encoding': coding = 'identity' }: IncomingHttpHeaders): string {
  return coding.trim().toLowerCase();
}

/** Whether the client asked for a result of each event (RFC 7240, 4.4). */
function isLenient({ headers }: IncomingMessage): boolean {
  const { prefer = [] } = headers;
  return LENIENT.test([prefer].flat().join(','));
}
