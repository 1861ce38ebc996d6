/** A part of a load: its rate changes evenly, or stays. */
export interface Segment {
  /** The rate at its start and at its end, in events a second. */
  readonly from: number;
  readonly to: number;
  /** `null`: it never ends; only the last segment may. */
  readonly durationMs: number | null;
}

/** A segment, with the events and the time before it. */
interface Placed extends Segment {
  readonly startMs: number;
  readonly startEvents: number;
}

/**
 * When events are due: pure arithmetic, with times in milliseconds from the start.
 *
 * In a segment from rate a to rate b that lasts T, after t the events a t + (b - a) t² / 2T were due. Event n (from
 * 0) is due when that sum reaches n, so each moment has the requested rate, and rounding does not add up.
 */
export class Schedule {
  readonly #segments: readonly Placed[];
  /** No event is due from then on; infinite if the number of events or a stop ends the run. */
  readonly endMs: number;
  #eventsMax: number;

  /**
   * @param durationMs ends a schedule whose segment or last rate would go on; `null`: the last segment ends it
   * @param events at most this many; `null`: as many as become due
   */
  constructor(segments: readonly Segment[], durationMs: number | null, events: number | null) {
    let startMs = 0;
    let startEvents = 0;
    const placed: Placed[] = [];
    for (const segment of segments) {
      placed.push({ ...segment, startMs, startEvents });
      const { from, to, durationMs: lastsMs } = segment;
      startMs += lastsMs ?? Infinity;
      startEvents += lastsMs === null ? Infinity : (((from + to) / 2) * lastsMs) / 1000;
    }
    const last = segments.at(-1);
    const goesOn = Number.isFinite(startMs) && last !== undefined && last.to > 0;
    const isLonger = durationMs !== null || events !== null;
    if (goesOn && isLonger) {
      placed.push({ from: last.to, to: last.to, durationMs: null, startMs, startEvents }); // stay at the last rate
    }
    this.#segments = placed;
    this.endMs = Math.min(durationMs ?? Infinity, goesOn && isLonger ? Infinity : startMs);
    this.#eventsMax = events ?? Infinity;
    this.#eventsMax = this.countBefore(Infinity); // events before the end
  }

  /** When event n is due; `null`: there is none. A fraction is a moment between two events. */
  dueMs(n: number): number | null {
    if (n >= this.#eventsMax) return null;
    const segment = this.#segments.findLast(({ startEvents }) => startEvents <= n) ?? this.#segments[0];
    if (segment === undefined) return null;
    const dueMs = segment.startMs + reachedMs(segment, n - segment.startEvents);
    return dueMs < this.endMs ? dueMs : null;
  }

  /** The number of events that are due before a moment. */
  countBefore(ms: number): number {
    const untilMs = Math.min(ms, this.endMs);
    const segment = this.#segments.findLast(({ startMs }) => startMs <= untilMs);
    if (segment === undefined || untilMs <= 0) return 0;
    const { from, to, durationMs, startMs, startEvents } = segment;
    const t = untilMs - startMs;
    if (t === Infinity) return this.#eventsMax;
    const slope = durationMs === null ? 0 : (to - from) / durationMs;
    const due = startEvents + (from * t + (slope * t * t) / 2) / 1000;
    // an event at the very end is not before it; floating point may add a little to a whole number
    return Math.min(this.#eventsMax, Math.ceil(due - 1e-6));
  }

  /** The number of all events; infinite if only a stop ends the run. */
  get events(): number {
    return this.#eventsMax;
  }

  /** When the last event is due; infinite if only a stop ends the run. */
  get lengthMs(): number {
    return Number.isFinite(this.#eventsMax) ? (this.dueMs(this.#eventsMax - 1) ?? this.endMs) : this.endMs;
  }
}

/**
 * The time within a segment until this many events were due, in milliseconds. This form of the root is exact for a =
 * b, or 0.
 */
function reachedMs({ from, to, durationMs }: Segment, events: number): number {
  if (events <= 0) return 0;
  const slope = durationMs === null ? 0 : (to - from) / (durationMs / 1000);
  return (2000 * events) / (from + Math.sqrt(Math.max(0, from * from + 2 * slope * events)));
}
