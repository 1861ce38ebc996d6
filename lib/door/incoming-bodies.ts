import { ForebayError } from '../base/errors.js';

/** How often the bodies are looked at for their rate, in milliseconds. */
const LOOK_MS = 500;
/** A body may be as slow as it likes for so long: a connection has to get going. */
const RATE_GRACE_MS = 5000;
/** Within this no body is refused for being the slowest, in milliseconds: a rate needs time to show. */
const YIELD_AFTER_MS = 1000;
/** A body beyond this part of the bound yields, if none is slow. */
const BODY_SHARE = 0.25;

/** The windows of all decoders together, in bytes: one of the largest that Brotli knows. */
const WINDOW_BYTES_MAX = 2 ** 24;

/** A body that is being read. */
export interface IncomingBody {
  /** Since when, as `performance.now()` has it. */
  readonly startMs: number;
  /** How much of it has come, in bytes as they were sent. */
  readonly sentBytes: number;
  /** What it takes in memory, in bytes; kept by `IncomingBodies`. */
  heldBytes: number;
  /** What its decoder may take for a window, likewise. */
  windowBytes: number;
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
  #windowBytes = 0;
  readonly #bytesMax: number;
  readonly #rateMin: number;
  readonly #open = new Set<IncomingBody>();
  #timer: NodeJS.Timeout | null = null;

  /** @param rateMin the least bytes a second that a body must arrive with, before it is inflated; 0: no minimum */
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
    this.#windowBytes -= body.windowBytes;
    if (this.#open.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Counts what has come of a body that was added; others may have to yield for it, or it itself. */
  hold(body: IncomingBody, bytes: number): void {
    body.heldBytes += bytes;
    this.bytes += bytes;
    while (this.bytes > this.#bytesMax && this.#open.has(body))
      this.#yield(this.#slowest(this.#open) ?? this.#largest() ?? body);
  }

  /** Counts the window of its decoder; others with one may have to yield for it, or it itself. */
  holdWindow(body: IncomingBody, bytes: number): void {
    body.windowBytes += bytes;
    this.#windowBytes += bytes;
    while (this.#windowBytes > WINDOW_BYTES_MAX && this.#open.has(body))
      this.#yield(this.#slowest([...this.#open].filter((each) => each.windowBytes > 0)) ?? body);
  }

  #yield(body: IncomingBody): void {
    body.refuse(new ForebayError('QUEUE_FULL', { retryAfterMs: 1000 }));
    this.remove(body);
  }

  /** The largest of those beyond their share; `null`: there is none. */
  #largest(): IncomingBody | null {
    let largest: IncomingBody | null = null;
    for (const body of this.#open)
      if (body.heldBytes > (largest?.heldBytes ?? this.#bytesMax * BODY_SHARE)) largest = body;
    return largest;
  }

  /** `null`: all have just begun. */
  #slowest(bodies: Iterable<IncomingBody>): IncomingBody | null {
    const nowMs = performance.now();
    let slowest: IncomingBody | null = null;
    let slowestRate = Infinity;
    for (const body of bodies) {
      const ageMs = nowMs - body.startMs;
      const rate = body.sentBytes / ageMs;
      if (ageMs < YIELD_AFTER_MS || rate >= slowestRate) continue;
      slowest = body;
      slowestRate = rate;
    }
    return slowest;
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
