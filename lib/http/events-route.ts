import type { IncomingMessage, ServerResponse } from 'node:http';
import { asError, ForebayError } from '../errors.js';
import { decodeUtf8 } from '../event.js';
import type { Forebay } from '../forebay.js';
import type { Logger } from '../log-lines.js';
import { answerAccepted, answerError } from './answers.js';
import { BodyBuffer } from './body-buffer.js';

/** `application/json`, in UTF-8 where a charset is named (RFC 8259 knows no other). */
const JSON_TYPE = /^application\/(?:[\w.-]+\+)?json\s*(?:;\s*charset\s*=\s*"?utf-8"?\s*)?$/i;

export interface EventsRouteOptions {
  readonly forebay: Forebay;
  /** The largest body, in bytes. */
  readonly bodyBytesMax: number;
  readonly logger: Logger;
}

/**
 * `POST /events`: one event as a JSON object. `202` when it is on disk.
 *
 * What can be refused is refused before the body is read. Nothing is taken before the body is whole, so that a
 * refused or cut off upload leaves no trace.
 */
export class EventsRoute {
  readonly #forebay: Forebay;
  readonly #bodyBytesMax: number;
  readonly #logger: Logger;
  /** The bytes of all bodies that are being read: they count towards the queue's bound. */
  #bodyBytes = 0;

  constructor({ forebay, bodyBytesMax, logger }: EventsRouteOptions) {
    this.#forebay = forebay;
    this.#bodyBytesMax = bodyBytesMax;
    this.#logger = logger;
  }

  /** @param waits whether the client waits for `100 Continue` before it sends the body */
  handle(req: IncomingMessage, res: ServerResponse, waits: boolean): void {
    const declared = Number(req.headers['content-length'] ?? 0);
    const refusal = this.#checkHeaders(req, declared) ?? this.#forebay.refusal(1, declared, this.#bodyBytes);
    if (refusal !== null) {
      answerError(req, res, refusal);
      return;
    }
    if (waits) res.writeContinue();
    this.#readBody(req, res, (error, body) => {
      if (error !== null) answerError(req, res, error);
      else void this.#take(req, res, body);
    });
  }

  async #take(req: IncomingMessage, res: ServerResponse, body: Buffer): Promise<void> {
    try {
      await this.#forebay.write(decodeUtf8(body));
      answerAccepted(res);
    } catch (error) {
      answerError(req, res, error instanceof ForebayError ? error : this.#internal(asError(error)));
    }
  }

  #internal(cause: Error): ForebayError {
    this.#logger.error({ err: cause }, 'POST /events failed');
    return new ForebayError('INTERNAL', { cause });
  }

  #checkHeaders({ headers }: IncomingMessage, declared: number): ForebayError | null {
    const type = headers['content-type'];
    if (type !== undefined && !JSON_TYPE.test(type)) {
      return new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Type must be application/json in UTF-8, not ${type}`,
      });
    }
    const encoding = headers['content-encoding'] ?? 'identity';
    if (encoding !== 'identity') {
      return new ForebayError('UNSUPPORTED_MEDIA_TYPE', {
        message: `Content-Encoding ${encoding} is not understood`,
      });
    }
    return declared > this.#bodyBytesMax ? this.#tooLarge() : null;
  }

  /** Calls back once, with the whole body or why it was refused; never if the client goes away before its end. */
  #readBody(
    req: IncomingMessage,
    res: ServerResponse,
    done: (error: ForebayError | null, body: Buffer) => void,
  ): void {
    const body = new BodyBuffer();
    const onData = (piece: Buffer): void => {
      body.append(piece);
      this.#bodyBytes += piece.length;
      const refusal =
        body.length > this.#bodyBytesMax
          ? this.#tooLarge()
          : this.#forebay.refusal(1, body.length, this.#bodyBytes - body.length);
      if (refusal === null) return;
      release();
      done(refusal, Buffer.alloc(0));
    };
    const onEnd = (): void => {
      release();
      done(null, body.bytes);
    };
    const release = (): void => {
      this.#bodyBytes -= body.length;
      req.off('data', onData);
      req.off('end', onEnd);
      req.off('close', release);
      res.off('close', release);
    };
    req.on('data', onData);
    req.on('end', onEnd);
    req.on('close', release);
    // a request that was answered before its end, with 408 say, never closes
    res.on('close', release);
  }

  #tooLarge(): ForebayError {
    return new ForebayError('BODY_TOO_LARGE', {
      message: `The body is larger than ${this.#bodyBytesMax} bytes (--body-max)`,
    });
  }
}
