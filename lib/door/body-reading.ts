import type { IncomingMessage, ServerResponse } from 'node:http';
import { ForebayError } from '../base/errors.js';
import { BodyBuffer } from '../sources/body-buffer.js';
import type { Client } from '../seams/client.js';
import type { EventReader } from '../seams/source.js';
import { createDecoder, windowBytes } from './content-decoder.js';
import type { Decoder } from './content-decoder.js';
import type { IncomingBodies, IncomingBody } from './incoming-bodies.js';
import { turns } from './turns.js';

/** A body may inflate to at most this multiple of its size. JSON events reach about 10, very repetitive ones 100. */
const INFLATION_MAX = 200;
/** The ratio does not apply to the first inflated bytes: a short body can exceed it. */
const INFLATED_BYTES_FREE = 2 ** 16;
/** Memory of a decoder besides its output: its window, its tables and a piece. */
const DECODER_BYTES = 2 ** 16;

export interface BodyReadingOptions {
  readonly req: IncomingMessage;
  readonly res: ServerResponse;
  /** A known `Content-Encoding`. */
  readonly coding: string;
  readonly reader: EventReader;
  readonly bodies: IncomingBodies;
  readonly client: Client;
  /** The largest body, inflated, in bytes. */
  readonly bodyBytesMax: number;
  /** Checks the body as it was sent, before it is inflated or read. Without a check, it is read as it comes. */
  readonly verify: ((sent: Buffer) => void) | undefined;
  /** Why a body that has reached this length, in bytes, inflated, is refused; `null`: it is not. */
  readonly refusal: (length: number) => ForebayError | null;
  /** Called once, with an error or `null` for a whole body. Never called if the client goes away first. */
  readonly done: (error: unknown) => void;
}

/** Reads the body of a request, and inflates it. */
export class BodyReading implements IncomingBody {
  before: IncomingBody | null = null;
  after: IncomingBody | null = null;
  readonly startMs = performance.now();
  readonly clientId: string;
  heldBytes = 0;
  windowBytes = 0;
  /**
   * `null` once reading is over. The listeners stay until the request goes, because removing them costs more; a
   * client may keep the request open, and the listeners must not keep the body.
   */
  #options: BodyReadingOptions | null;
  #decoder: Decoder | null;
  /** The body as it was sent, until it is whole and verified. */
  #unverified: BodyBuffer | null;
  /** Bytes received, as they were sent. */
  #sent = 0;
  /** Bytes after inflating. */
  #inflated = 0;
  /** Whether the decoder has reached the end of the coded data. */
  #isInflated = false;

  constructor(options: BodyReadingOptions) {
    this.#options = options;
    this.clientId = options.client.id;
    this.#decoder = createDecoder(options.coding);
    const { verify, req } = options;
    this.#unverified = verify ? new BodyBuffer(Number(req.headers['content-length'] ?? 0)) : null;
  }

  begin(): void {
    if (this.#options === null) return;
    const { req, res, bodies } = this.#options;
    bodies.add(this);
    if (this.#decoder !== null) bodies.hold(this, DECODER_BYTES);
    if (this.#isOver()) return;
    req.on('data', this.#onSent);
    req.on('end', this.#onAllSent);
    this.#decoder?.on('error', this.#onDecoderError);
    this.#decoder?.on('data', this.#onInflated);
    this.#decoder?.on('end', this.#onAllInflated);
    if (this.#decoder !== null && this.#unverified === null) req.pipe(this.#decoder);
    // a decoder may still be working on a body that is whole
    req.on('close', () => {
      if (!req.readableEnded) this.#release();
    });
    // a request that was answered early, for example with 408, never closes
    res.on('close', this.#release);
  }

  get sentBytes(): number {
    return this.#sent;
  }

  refuse(error: ForebayError): void {
    this.#finish(error);
  }

  #isOver(): boolean {
    return this.#options === null;
  }

  #finish(error: unknown): void {
    if (this.#options === null) return;
    const { done } = this.#options;
    this.#release();
    done(error);
  }

  /**
   * Passes on a piece as it was sent, to the buffer for verification or to the reader. The stream feeds the decoder.
   */
  readonly #onSent = (piece: Buffer): void => {
    const isFirst = this.#sent === 0;
    this.#sent += piece.length;
    if (this.#options === null) return;
    const { bodies, coding, reader } = this.#options;
    if (isFirst) bodies.holdWindow(this, windowBytes(coding, piece));
    if (this.#unverified !== null) this.#add(piece, this.#sent, this.#unverified);
    else if (this.#decoder === null) this.#add(piece, this.#sent, reader);
  };

  readonly #onAllSent = (): void => {
    const body = this.#unverified?.take();
    if (body !== undefined) {
      this.#attempt(({ verify, reader }) => {
        verify?.(body);
        if (this.#decoder === null) reader.append(body);
      });
      this.#decoder?.end(body);
    }
    if (this.#decoder === null || this.#isInflated) this.#end();
  };

  readonly #onInflated = (piece: Buffer): void => {
    if (this.#options === null) return;
    this.#inflated += piece.length;
    this.#add(piece, this.#inflated, this.#options.reader);
    if (this.#decoder === null || turns.hasTime) return;
    // other decoders may have used up this turn
    this.#decoder.pause();
    turns.wait(this.#readOn);
  };

  readonly #readOn = (): void => {
    this.#decoder?.resume();
  };

  readonly #onAllInflated = (): void => {
    this.#isInflated = true;
    if (this.#options?.req.complete === true) this.#end(); // otherwise more may follow the coded data
  };

  /** Counts a piece and adds it. `length` is the length of the body so far, with this piece. */
  #add(piece: Buffer, length: number, to: Pick<EventReader, 'append'>): void {
    this.#options?.bodies.hold(this, piece.length); // this body may have to make room itself
    this.#attempt((options) => {
      this.#checkSize(options, length);
      to.append(piece);
      const refusal = options.refusal(length);
      if (refusal !== null) throw refusal;
    });
  }

  #end(): void {
    const isWhole = this.#attempt(({ coding, reader }) => {
      if (this.#decoder !== null && this.#decoder.bytesWritten < this.#sent) {
        const message = `There is data after the end of the ${coding} body`;
        throw new ForebayError('BODY_NOT_DECODED', { message });
      }
      reader.end();
    });
    if (isWhole) this.#finish(null);
  }

  readonly #onDecoderError = (cause: Error): void => {
    this.#attempt(({ coding }) => {
      const message = `The body is not valid ${coding}: ${cause.message}`;
      throw new ForebayError('BODY_NOT_DECODED', { message, cause });
    });
  };

  #attempt(work: (options: BodyReadingOptions) => void): boolean {
    if (this.#options === null) return false;
    try {
      work(this.#options);
      return true;
    } catch (error) {
      this.#finish(error);
      return false;
    }
  }

  /** @throws ForebayError `BODY_TOO_LARGE` */
  #checkSize({ bodyBytesMax }: BodyReadingOptions, length: number): void {
    if (length > bodyBytesMax) throw bodyTooLarge(bodyBytesMax);
    if (this.#decoder === null || length <= INFLATED_BYTES_FREE + this.#sent * INFLATION_MAX) return;
    const message = `The body inflates to more than ${INFLATION_MAX} times its size`;
    throw new ForebayError('BODY_TOO_LARGE', { message });
  }

  readonly #release = (): void => {
    if (this.#options === null) return;
    const { req, bodies } = this.#options;
    bodies.remove(this);
    if (this.#decoder !== null) {
      req.unpipe(this.#decoder);
      this.#decoder.destroy();
    }
    this.#options = null;
    this.#decoder = null;
    this.#unverified = null;
  };
}

export function bodyTooLarge(bodyBytesMax: number): ForebayError {
  const message = `The body is larger than ${bodyBytesMax} bytes (--body-max)`;
  return new ForebayError('BODY_TOO_LARGE', { message });
}
