import { ForebayError } from '../base/errors.js';
import { LinkedSet } from '../base/linked-set.js';
import type { Links } from '../base/linked-set.js';
import type { Client } from '../seams/client.js';

/** How often the rate of the bodies is checked, in milliseconds. */
const LOOK_MS = 500;
/** A body may be slow for at most this long: a connection needs time to speed up. */
const RATE_GRACE_MS = 5000;
/** No body younger than this, in milliseconds, counts as the slowest: a rate needs time to show. */
const YIELD_AFTER_MS = 1000;
/** If no body is slow, one with more than this share of the bound makes room. */
const BODY_SHARE = 0.25;

/** With fewer clients than this, those that have no body now are not looked for. */
const CLIENTS_FEW = 128;

/** Bound for the windows of all decoders together, in bytes: one of the largest that Brotli knows. */
const WINDOW_BYTES_MAX = 2 ** 24;

/** A body that is being read. */
export interface IncomingBody extends Links<IncomingBody> {
  readonly clientId: string;
  /** When reading started, as `performance.now()` has it. */
  readonly startMs: number;
  /** Bytes received, as they were sent. */
  readonly sentBytes: number;
  /** Memory that the body takes, in bytes; kept by `IncomingBodies`. */
  heldBytes: number;
  /** Memory that its decoder may take for a window, likewise. */
  windowBytes: number;
  /** Called when the body must make room. */
  refuse(error: ForebayError): void;
}

/** What the bodies of a client take. */
interface Held {
  bytes: number;
  windowBytes: number;
}

/**
 * Bounds the memory of all bodies that are being read, inflated, in bytes. When it is full, the client whose bodies take
 * most makes room, with the body that is least likely to end soon: the slowest, or one beyond its share. So clients that
 * never finish their bodies cannot keep others out.
 */
export class IncomingBodies {
  /** Memory of all bodies. */
  bytes = 0;
  #windowBytes = 0;
  readonly #bytesMax: number;
  readonly #rateMin: number;
  readonly #open = new LinkedSet<IncomingBody>();
  readonly #clients = new Map<string, Held>();
  /** At this many clients, those that hold nothing are forgotten: not at each body, see `LinkedSet`. */
  #sweepAt = CLIENTS_FEW;
  #timer: NodeJS.Timeout | null = null;

  /** @param rateMin the least rate of a body in bytes a second, before it is inflated; 0: no minimum */
  constructor(bytesMax: number, rateMin: number) {
    this.#bytesMax = bytesMax;
    this.#rateMin = rateMin;
  }

  /** Memory of the bodies of a client. */
  bytesOf({ id }: Client): number {
    return this.#clients.get(id)?.bytes ?? 0;
  }

  add(body: IncomingBody): void {
    this.#open.add(body);
    if (this.#rateMin > 0) this.#timer ??= setInterval(this.#look, LOOK_MS).unref();
  }

  remove(body: IncomingBody): void {
    if (!this.#open.delete(body)) return;
    this.#count(body, -body.heldBytes, -body.windowBytes);
    if (this.#open.size > 0 || this.#timer === null) return;
    clearInterval(this.#timer);
    this.#timer = null;
  }

  /** Counts bytes of a body that was added. Another body, or this one, may have to make room. */
  hold(body: IncomingBody, bytes: number): void {
    body.heldBytes += bytes;
    this.#count(body, bytes, 0);
    while (this.bytes > this.#bytesMax && this.#open.has(body)) {
      const bodies = this.#ofLargest('heldBytes');
      this.#yield(this.#slowest(bodies) ?? this.#largest(bodies) ?? newest(bodies, body));
    }
  }

  /** Counts the window of its decoder. Another body with a window, or this one, may have to make room. */
  holdWindow(body: IncomingBody, bytes: number): void {
    body.windowBytes += bytes;
    this.#count(body, 0, bytes);
    while (this.#windowBytes > WINDOW_BYTES_MAX && this.#open.has(body)) {
      const bodies = this.#ofLargest('windowBytes').filter((each) => each.windowBytes > 0);
      this.#yield(this.#slowest(bodies) ?? newest(bodies, body));
    }
  }

  #count({ clientId }: IncomingBody, bytes: number, windowBytes: number): void {
    this.bytes += bytes;
    this.#windowBytes += windowBytes;
    let held = this.#clients.get(clientId);
    if (held === undefined) {
      if (this.#clients.size >= this.#sweepAt) this.#sweep();
      this.#clients.set(clientId, (held = { bytes: 0, windowBytes: 0 }));
    }
    held.bytes += bytes;
    held.windowBytes += windowBytes;
  }

  #sweep(): void {
    for (const [id, held] of this.#clients) if (isEmpty(held)) this.#clients.delete(id);
    this.#sweepAt = Math.max(CLIENTS_FEW, 2 * this.#clients.size);
  }

  #yield(body: IncomingBody): void {
    const ofBody = this.#clients.get(body.clientId);
    const isAlone = [...this.#clients.values()].every((held) => isEmpty(held) || held === ofBody);
    const message = 'The bodies that this client sends take more than those of any other: please retry later';
    const error = isAlone
      ? new ForebayError('QUEUE_FULL', { retryAfterMs: 1000 })
      : new ForebayError('CLIENT_SHARE', { message, retryAfterMs: 1000 });
    body.refuse(error);
    this.remove(body);
  }

  /**
   * The bodies of the client that has most beside its largest one, oldest first: one body of the largest size is not to
   * yield to many small ones. If each has one, of the client that has most.
   */
  #ofLargest(what: 'heldBytes' | 'windowBytes'): readonly IncomingBody[] {
    const clients = new Map<string, { all: number; largest: number }>();
    for (const body of this.#open.all) {
      const { all, largest } = clients.get(body.clientId) ?? { all: 0, largest: 0 };
      clients.set(body.clientId, { all: all + body[what], largest: Math.max(largest, body[what]) });
    }
    let [chosen, beside, most] = ['', 0, 0];
    for (const [id, { all, largest }] of clients) {
      if (all - largest < beside || (all - largest === beside && all <= most)) continue;
      [chosen, beside, most] = [id, all - largest, all];
    }
    return this.#open.all.filter(({ clientId }) => clientId === chosen);
  }

  /** The largest body beyond its share; `null`: there is none. */
  #largest(bodies: Iterable<IncomingBody>): IncomingBody | null {
    let largest: IncomingBody | null = null;
    for (const body of bodies)
      if (body.heldBytes > (largest?.heldBytes ?? this.#bytesMax * BODY_SHARE)) largest = body;
    return largest;
  }

  /** `null`: all have just started. */
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
    for (const body of this.#open.all) {
      const due = ((nowMs - body.startMs - RATE_GRACE_MS) / 1000) * this.#rateMin;
      if (body.sentBytes >= due) continue;
      const message = `The body came with less than ${this.#rateMin} bytes a second (--body-rate-min)`;
      body.refuse(new ForebayError('REQUEST_TIMEOUT', { message }));
      this.remove(body);
    }
  };
}

function isEmpty({ bytes, windowBytes }: Held): boolean {
  return bytes === 0 && windowBytes === 0;
}

/** The body that comes right now, or the last one that began. */
function newest(bodies: readonly IncomingBody[], coming: IncomingBody): IncomingBody {
  return bodies.includes(coming) ? coming : (bodies.at(-1) ?? coming);
}
