import type { CircuitBreaker } from './circuit-breaker.js';
import type { SinkAttempts } from './sink-attempts.js';
import type { Course, Failed, Part } from './settlement.js';

/** A batch may be suspected after this many failures, or after two that lie this far apart, in milliseconds. */
const FAILURES_SUSPECT = 3;
const FAILING_MS = 10_000;
/** If the sink has taken nothing else meanwhile, a batch gives way to another after this many. */
const FAILURES_PROBE = 5;

export interface IsolationOptions {
  readonly attempts: Pick<SinkAttempts, 'answered'>;
  readonly breaker: Pick<CircuitBreaker, 'state' | 'failuresInARow' | 'waitMs'>;
  /** Whether another batch waits for a place. */
  readonly othersWait: () => boolean;
  /** Failures at a single event, while the sink takes others, after which it counts as refused. */
  readonly triesMax: number;
}

/**
 * Tells a bad batch from a bad moment. The sink fails at a batch again and again: if it has taken something else since it
 * last failed, it is the batch. Then its parts are offered by themselves, and single events that fail wait apart. If it
 * takes nothing else, it is an outage, and nothing waits apart.
 *
 * So it holds up no other (N11). To find out, the batch gives way to another. If there is none, or others fail as well, the halves of one batch find out.
 */
export class Isolation {
  readonly #options: IsolationOptions;
  /** The batch that is split although nobody knows whether the sink takes others. One is enough. */
  #probe: Course | null = null;

  constructor(options: IsolationOptions) {
    this.#options = options;
  }

  /** Whether a part must wait: an event that waits apart is a probe for a sink that may be down only if nothing else is. */
  mustWait({ tries }: Part): boolean {
    const { breaker, othersWait } = this.#options;
    if (tries === undefined || breaker.state === 'closed') return false;
    return breaker.state === 'half-open' || breaker.waitMs > 0 || othersWait();
  }

  /**
   * The sink failed at a part of a batch.
   *
   * @returns what becomes of it; `null`: it is tried again in its place; a number: it counts as refused, after so many tries
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
    // if the sink takes nothing else, its halves go first, down to an event: it may take what is smaller
    if (part.to - part.from > 1) return { next: 'split', leaves: leaves && takesOthers };
    // of one that is known the last other word of the sink will do
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

  #isProbe(course: Course): boolean {
    if (this.#probe === null || this.#probe.open.length === 0) this.#probe = course;
    return this.#probe === course;
  }
}
