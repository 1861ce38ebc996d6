import { DrainRate } from '../base/drain-rate.js';
import type { ClientLimits } from '../seams/client.js';

/** A client that has been quiet may send this much of its rate at once, in milliseconds. */
const BURST_MS = 1000;
/** Sums of times are off by less. */
const ROUNDING_MS = 0.001;
/** What a dead letter takes besides its event: the reason, the key and the like, about, in bytes. */
export const LETTER_BYTES = 400;
/** Only after this many refused events are those that wait taken for refused, too. */
const EVIDENCE = 100;
/** Old outcomes count half after this many new ones: what a client sends may change. */
const OUTCOMES_MAX = 1000;

/** What the events of one client take, and how they fare. */
export class Account {
  /** Taken and not answered yet. */
  queueEvents = 0;
  queueBytes = 0;
  /** In the log, in events and in bytes of it. */
  backlogEvents = 0;
  backlogBytes = 0;
  /** How much less that is as files are compressed: dead letters are not. */
  savedBytes = 0;
  /** Among the dead letters, about. */
  letterBytes = 0;
  /** The account that this one is part of since clients became too many. */
  mergedInto: Account | null = null;
  readonly #drain = new DrainRate();
  /** Events that the sink has taken or refused, and how many of them it refused. */
  #settled = 0;
  #refused = 0;
  /** When the client may send a whole burst again, on the clock of `performance.now()`. */
  #eventsFullMs = 0;
  #bytesFullMs = 0;

  /** Where this account is kept now. */
  get current(): Account {
    return this.mergedInto?.current ?? this;
  }

  /** Whether the sink refused at least half of what it has seen of the client lately. */
  get isMostlyRefused(): boolean {
    return this.#refused > 0 && 2 * this.#refused >= this.#settled;
  }

  /** What its dead letters take, with those that are to be expected, in bytes. */
  get likelyLetterBytes(): number {
    if (this.#refused < EVIDENCE) return this.letterBytes;
    const waiting = this.backlogBytes + this.savedBytes + this.queueBytes;
    return this.letterBytes + waiting + (this.backlogEvents + this.queueEvents) * LETTER_BYTES;
  }

  /** What all of it takes, in bytes. */
  get size(): number {
    return this.queueBytes + this.backlogBytes + this.letterBytes;
  }

  /** Whether forgetting it changes nothing. */
  isIdle(nowMs: number): boolean {
    const isEmpty = this.queueEvents === 0 && this.backlogEvents === 0 && this.letterBytes === 0;
    return isEmpty && this.#eventsFullMs <= nowMs && this.#bytesFullMs <= nowMs;
  }

  /** How long until this many bytes of it are off the log, in milliseconds; `Infinity` if none leave it. */
  drainMs(bytes: number): number {
    return this.#drain.msFor(bytes);
  }

  /** How long until events may come, in milliseconds; 0: now. More than a burst may come once a burst may. */
  rateWaitMs({ eventsPerSecond, bytesPerSecond }: ClientLimits, events: number, bytes: number): number {
    if (eventsPerSecond === null && bytesPerSecond === null) return 0;
    const nowMs = performance.now();
    return Math.max(
      waitMs(this.#eventsFullMs - nowMs, costMs(events, eventsPerSecond)),
      waitMs(this.#bytesFullMs - nowMs, costMs(bytes, bytesPerSecond)),
    );
  }

  /** Events are in the queue. */
  queue(events: number, bytes: number, { eventsPerSecond, bytesPerSecond }: ClientLimits): void {
    this.queueEvents += events;
    this.queueBytes += bytes;
    if (eventsPerSecond === null && bytesPerSecond === null) return;
    const nowMs = performance.now();
    this.#eventsFullMs = Math.max(nowMs, this.#eventsFullMs) + costMs(events, eventsPerSecond);
    this.#bytesFullMs = Math.max(nowMs, this.#bytesFullMs) + costMs(bytes, bytesPerSecond);
  }

  /** Events have their answer. @param isTaken otherwise they do not count towards the rate */
  answer(
    events: number,
    bytes: number,
    isTaken: boolean,
    { eventsPerSecond, bytesPerSecond }: ClientLimits,
  ): void {
    this.queueEvents -= events;
    this.queueBytes -= bytes;
    if (isTaken) return;
    this.#eventsFullMs -= costMs(events, eventsPerSecond);
    this.#bytesFullMs -= costMs(bytes, bytesPerSecond);
  }

  /** Events are in the log. */
  append(events: number, bytes: number): void {
    this.backlogEvents += events;
    this.backlogBytes += bytes;
  }

  /** Its events take this many bytes less of the log. */
  shrink(bytes: number): void {
    this.backlogBytes -= bytes;
    this.savedBytes += bytes;
  }

  /** Events are off the log. @param savedBytes what compressing them had saved */
  settle(events: number, bytes: number, savedBytes = 0): void {
    this.backlogEvents -= events;
    this.backlogBytes -= bytes;
    this.savedBytes -= savedBytes;
    this.#drain.add(bytes);
  }

  /** The sink has taken events, or refused them. */
  see(events: number, refused: number): void {
    this.#settled += events;
    this.#refused += refused;
    if (this.#settled < OUTCOMES_MAX) return;
    this.#settled /= 2;
    this.#refused /= 2;
  }

  /** From now on, all of this one counts there. */
  mergeInto(other: Account): void {
    this.mergedInto = other;
    other.queueEvents += this.queueEvents;
    other.queueBytes += this.queueBytes;
    other.backlogEvents += this.backlogEvents;
    other.backlogBytes += this.backlogBytes;
    other.savedBytes += this.savedBytes;
    other.letterBytes += this.letterBytes;
  }
}

/** How long the rate takes for this much, in milliseconds. */
function costMs(units: number, perSecond: number | null): number {
  return perSecond === null ? 0 : (units / perSecond) * 1000;
}

/** @param fullInMs when a whole burst may come, from now on */
function waitMs(fullInMs: number, cost: number): number {
  const ms = fullInMs + Math.min(cost, BURST_MS) - BURST_MS;
  return ms < ROUNDING_MS ? 0 : ms;
}
