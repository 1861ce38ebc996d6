import type { CircuitBreaker } from './circuit-breaker.js';
import type { SinkAttempts } from './sink-attempts.js';
import type { Course, Failed, Part } from './settlement.js';

/** A batch may become suspect after this many failures, or after two that are this far apart, in milliseconds. */
const FAILURES_SUSPECT = 3;
const FAILING_MS = 10_000;
/** If the sink has taken nothing else meanwhile, a batch gives way to another after this many failures. */
const FAILURES_PROBE = 5;
/** Another batch may be split if the one that is has not been offered for this time, in milliseconds. */
const PROBE_LOST_MS = 300_000;

export interface IsolationOptions {
  readonly attempts: Pick<SinkAttempts, 'answered'>;
  readonly breaker: Pick<CircuitBreaker, 'state' | 'failuresInARow' | 'waitMs'>;
  /** Whether another batch waits for a place. */
  readonly othersWait: () => boolean;
  /** A single event counts as refused after this many failures while the sink takes others. */
  readonly triesMax: number;
}

/**
 * Tells a bad batch from a bad moment. If the sink fails on a batch again and again, but has taken something else
 * since the last failure, the batch is at fault: its parts are offered separately, and single events that fail wait
 * apart. If the sink takes nothing else, it is an outage, and nothing waits apart.
 *
 * So a bad batch holds up no other (N11). To find out, it gives way to another. If there is none, or if others fail as
 * well, one batch is split, and its halves find out; if all its events fail alone, the next batch is.
 */
export class Isolation {
  readonly #options: IsolationOptions;
  /** The batch that is split although it is unknown whether the sink takes others. One is enough, while it gets its turns. */
  #probe: Course | null = null;
  #probedMs = 0;
  /** Attempts at single events of the probe that failed since its last split. */
  #failedAlone = 0;

  constructor(options: IsolationOptions) {
    this.#options = options;
  }

  /**
   * Whether a part must wait. An event that waits apart may probe a sink that is perhaps down only if nothing else
   * can.
   */
  mustWait({ tries }: Part): boolean {
    const { breaker, othersWait } = this.#options;
    if (tries === undefined || breaker.state === 'closed') return false;
    return breaker.state === 'half-open' || breaker.waitMs > 0 || othersWait();
  }

  /**
   * The sink failed on a part of a batch.
   *
   * @returns what becomes of it; `null` to retry it in its place; a number if it counts as refused after this many
   *   tries
   */
  failed(course: Course, part: Part): Failed | number | null {
    const { attempts, breaker, othersWait, triesMax } = this.#options;
    const nowMs = performance.now();
    const isFirst = course.failures === 0;
    if (isFirst) course.failingSinceMs = nowMs;
    course.failures++;
    const takesOthers = !isFirst && attempts.answered !== course.answered;
    course.takesOthers = takesOthers;
    course.answered = attempts.answered;
    const leaves = course.hasOthers || othersWait();
    const isLong = course.failures > 1 && nowMs - course.failingSinceMs >= FAILING_MS;
    if (!course.isSuspect && !this.#suspects(course, leaves, isLong)) {
      const givesWay = course.failures >= FAILURES_PROBE || isLong || breaker.state !== 'closed';
      return leaves && givesWay ? { next: 'keep', leaves } : null;
    }
    course.isSuspect = true;
    if (course === this.#probe) this.#probed(course, part, nowMs);
    // if the sink takes nothing else, its halves go first, down to an event: the sink may take a smaller part; what it took
    // before the breaker opened says nothing about the present
    const othersGoFirst = leaves && takesOthers && breaker.state === 'closed';
    if (part.to - part.from > 1) return { next: 'split', leaves: othersGoFirst };
    // for an event that waits apart already, it is enough if the sink's last other answer was good
    const isKnown = part.tries !== undefined && breaker.state === 'closed' && breaker.failuresInARow === 0;
    const tries = (part.tries ?? 0) + Number(takesOthers || isKnown);
    if (tries >= triesMax) return tries;
    if (takesOthers || part.tries !== undefined) return { next: 'apart', leaves, tries };
    return leaves || course.open.length > 0 ? { next: 'last', leaves } : null;
  }

  #suspects(course: Course, othersWait: boolean, isLong: boolean): boolean {
    const { failures, takesOthers } = course;
    if (failures < FAILURES_SUSPECT && !isLong) return false;
    if (takesOthers) return true;
    const hasGivenWay = failures > FAILURES_PROBE || (isLong && failures > 2);
    return (!othersWait || hasGivenWay) && this.#isProbe(course);
  }

  /**
   * The sink failed on a part of the probe. If each event that is left of it has failed alone, it can find out nothing
   * more, and another batch may: the sink may fail at this event, and take a smaller part of that batch.
   */
  #probed(course: Course, { from, to }: Part, nowMs: number): void {
    this.#probedMs = nowMs;
    this.#failedAlone = to - from > 1 ? 0 : this.#failedAlone + 1;
    if (this.#failedAlone > course.open.length) this.#probe = null;
  }

  #isProbe(course: Course): boolean {
    const nowMs = performance.now();
    // it may wait for something else, as its file for being readable
    const isLost = nowMs - this.#probedMs > PROBE_LOST_MS;
    if (this.#probe === null || this.#probe.open.length === 0 || isLost) {
      this.#probe = course;
      this.#failedAlone = 0;
    }
    if (this.#probe === course) this.#probedMs = nowMs;
    return this.#probe === course;
  }
}
