import { ForebayError } from '../errors.js';

/** How often the bodies are looked at for their rate, in milliseconds. */
const LOOK_MS = 500;
/** A body may be as slow as it likes for so long: a connection has to get going. */
const RATE_GRACE_MS = 5000;
/** Within this no body is refused for being the slowest, in milliseconds: a rate needs time to show. */
const YIELD_AFTER_MS = 1000;
/** A body beyond this part of the bound yields, if none is slow. */
const BODY_SHARE = 0.25;

/** A body that is being read. */
export interface IncomingBody {
  /** Since when, as `performance.now()` has it. */
  readonly startMs: number;
  /** How much of it has come, in bytes as they were sent. */
  readonly sentBytes: number;
  /** What it takes in memory, in bytes; kept by `IncomingBodies`. */
  heldBytes: number;
  /** Called when it loses its place. */
  refuse(error: ForebayError): void;
}

/**
 * Bounds the memory of all bodies that are being read, inflated, in bytes. When it is full the one that is least likely
 * to end soon makes room: the slowest, or one that is beyond its share. So clients that begin bodies and never end them
 * do not keep the others out.
 */
export class IncomingBodies {
  /** What all of them take. */
  bytes = 0;
  readonly #bytesMax: number;
  readonly #rateMin: number;
  readonly #open = new Set<IncomingBody>();
  #timer: NodeJS.Timeout | null = null;

  /** @param rateMin bytes a second that a body must come with, as it is sent; 0: any */
  constructor(bytesMax: number, rateMin: number) {
    this.#bytesMax = bytesMax;
    this.#rateMin = rateMin;
  }

  add(body: IncomingBody): void {
    this.#open.add(body);
    if (this.#rateMin > 0) this.#timer ??= setInterval(this.#look, LOOK_MS).unref();
  }

  remove(body: IncomingBody): void {
    if (!this.#open.delete(body)) return;
    this.bytes -= body.heldBytes;
    if (this.#open.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Counts what has come of a body that was added; others may have to yield for it, or it itself. */
  hold(body: IncomingBody, bytes: number): void {
    body.heldBytes += bytes;
    this.bytes += bytes;
    while (this.bytes > this.#bytesMax && this.#open.has(body)) {
      const yields = this.#yielding() ?? body;
      yields.refuse(new ForebayError('QUEUE_FULL', { retryAfterMs: 1000 }));
      this.remove(yields);
    }
  }

  /** The slowest, or the largest of those beyond their share; `null`: all have just begun, and are small. */
  #yielding(): IncomingBody | null {
    const share = this.#bytesMax * BODY_SHARE;
    const nowMs = performance.now();
    let largest: IncomingBody | null = null;
    let slowest: IncomingBody | null = null;
    let slowestRate = Infinity;
    for (const body of this.#open) {
      if (body.heldBytes > (largest?.heldBytes ?? share)) largest = body;
      const ageMs = nowMs - body.startMs;
      const rate = body.sentBytes / ageMs;
      if (ageMs < YIELD_AFTER_MS || rate >= slowestRate) continue;
      slowest = body;
      slowestRate = rate;
    }
    return slowest ?? largest;
  }

  readonly #look = (): void => {
    const nowMs = performance.now();
    for (const body of this.#open) {
      const due = ((nowMs - body.startMs - RATE_GRACE_MS) / 1000) * this.#rateMin;
      if (body.sentBytes >= due) continue;
      const message = `The body came with less than ${this.#rateMin} bytes a second (--body-rate-min)`;
      body.refuse(new ForebayError('REQUEST_TIMEOUT', { message }));
      this.remove(body);
    }
  };
}
