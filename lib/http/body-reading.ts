import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Readable } from 'node:stream';
import { ForebayError } from '../errors.js';
import { createDecoder } from './content-decoder.js';
import type { Decoder } from './content-decoder.js';
import type { EventBody } from './event-body.js';
import type { IncomingBodies, IncomingBody } from './incoming-bodies.js';

/** A body may inflate to so many times its size: JSON events come to about 10, very repetitive ones to 100. */
const INFLATION_MAX = 200;
/** So many bytes of it are not looked at: short bodies have a head, and inflate to more. */
const INFLATED_BYTES_FREE = 2 ** 16;
/** What a decoder takes beside what it has inflated: its window, its tables and a piece. */
const DECODER_BYTES = 2 ** 16;

export interface BodyReadingOptions {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** The `Content-Encoding`, one that is known. */
  readonly coding: string;
  readonly body: EventBody;
  readonly bodies: IncomingBodies;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number;
  /** Why what has come so far is refused, which is so many bytes, inflated; `null`: go on. */
  readonly refusal: (length: number) => ForebayError | null;
  /** Called once: the body is whole, or what is wrong. Never if the client goes away before its end. */
  readonly done: (error: unknown) => void;
}

/** Reads the body of a request, and inflates it. */
export class BodyReading implements IncomingBody {
  readonly startMs = performance.now();
  heldBytes = 0;
  readonly #options: BodyReadingOptions;
  readonly #decoder: Decoder | null;
  /** In bytes, as it was sent, */
  #sent = 0;
  /** and inflated. */
  #length = 0;
  #isOver = false;

  constructor(options: BodyReadingOptions) {
    this.#options = options;
    this.#decoder = createDecoder(options.coding);
  }

  begin(): void {
    const { req, res, bodies } = this.#options;
    bodies.add(this);
    if (this.#decoder !== null) bodies.hold(this, DECODER_BYTES);
    if (this.#isOver) return;
    const source: Readable = this.#decoder === null ? req : req.pipe(this.#decoder);
    if (this.#decoder !== null) {
      req.on('data', (piece: Buffer) => (this.#sent += piece.length));
      this.#decoder.on('error', this.#onDecoderError);
    }
    source.on('data', this.#onData);
    source.on('end', this.#onEnd);
    // a decoder may still be at work on a body that is whole
    req.on('close', () => {
      if (!req.complete) this.#release();
    });
    // a request that was answered before its end, with 408 say, never closes
    res.on('close', this.#release);
  }

  get sentBytes(): number {
    return this.#decoder === null ? this.#length : this.#sent;
  }

  refuse(error: ForebayError): void {
    this.#finish(error);
  }

  #finish(error: unknown): void {
    if (this.#isOver) return;
    this.#release();
    this.#options.done(error);
  }

  readonly #onData = (piece: Buffer): void => {
    if (this.#isOver) return;
    this.#length += piece.length;
    this.#options.bodies.hold(this, piece.length);
    this.#attempt(() => {
      this.#checkSize();
      this.#options.body.append(piece);
      const refusal = this.#options.refusal(this.#length);
      if (refusal !== null) throw refusal;
    });
  };

  readonly #onEnd = (): void => {
    const { req } = this.#options;
    if (this.#decoder === null || req.complete) this.#end();
    else req.once('end', this.#end); // what is coded is over, and what was sent is not
  };

  readonly #end = (): void => {
    const isWhole = this.#attempt(() => {
      if (this.#decoder !== null && this.#decoder.bytesWritten < this.#sent) {
        const message = `Something stands behind the end of the ${this.#options.coding} body`;
        throw new ForebayError('BODY_NOT_DECODED', { message });
      }
      this.#options.body.end();
    });
    if (isWhole) this.#finish(null);
  };

  readonly #onDecoderError = (cause: Error): void => {
    const message = `The body is not valid ${this.#options.coding}: ${cause.message}`;
    this.refuse(new ForebayError('BODY_NOT_DECODED', { message, cause }));
  };

  #attempt(work: () => void): boolean {
    if (this.#isOver) return false;
    try {
      work();
      return true;
    } catch (error) {
      this.#finish(error);
      return false;
    }
  }

  /** @throws ForebayError `BODY_TOO_LARGE` */
  #checkSize(): void {
    const { bodyBytesMax } = this.#options;
    if (this.#length > bodyBytesMax) throw bodyTooLarge(bodyBytesMax);
    if (this.#decoder === null || this.#length <= INFLATED_BYTES_FREE + this.#sent * INFLATION_MAX) return;
    const message = `The body inflates to more than ${INFLATION_MAX} times its size`;
    throw new ForebayError('BODY_TOO_LARGE', { message });
  }

  // the listeners stay: to take them off costs more than to let them go with their request
  readonly #release = (): void => {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#options.bodies.remove(this);
    if (this.#decoder === null) return;
    this.#options.req.unpipe(this.#decoder);
    this.#decoder.destroy();
  };
}

export function bodyTooLarge(bodyBytesMax: number): ForebayError {
  const message = `The body is larger than ${bodyBytesMax} bytes (--body-max)`;
  return new ForebayError('BODY_TOO_LARGE', { message });
}
