import type { RecordableHistogram } from 'node:perf_hooks';
import { valueAtPercent } from './percentile-file.js';
import { latencyHistogram, recordMs } from './tally.js';

/** Answers within a slice of time, and latencies of events that were due in it. */
interface Slice {
  readonly index: number;
  accepted: number;
  backpressure: number;
  errors: number;
  /** Latencies of accepted events that were due in it; `null`: none. */
  latencyUs: RecordableHistogram | null;
}

/** What an answer made of events; `again`: they are sent again, and have another answer still. */
const OUTCOMES = ['accepted', 'backpressure', 'errors', 'again'] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** Numbers per answer in an `AnswerLog`: outcome, due time, time of arrival, and events. */
const FIELDS = 4;

/** Answers on their way from a worker thread to the `Timeline`: four numbers each. */
export class AnswerLog {
  #numbers: number[] = [];

  /** @param dueMs like `atMs`, on the clock that all threads share */
  push(outcome: Outcome, dueMs: number, atMs: number, events: number): void {
    this.#numbers.push(OUTCOMES.indexOf(outcome), dueMs, atMs, events);
  }

  /** Returns the numbers and empties the log. */
  take(): Float64Array {
    const numbers = Float64Array.from(this.#numbers);
    this.#numbers = [];
    return numbers;
  }
}

/** Events by outcome, from the numbers of an `AnswerLog`. */
export function sumOfOutcomes(answers: Float64Array): Record<Outcome, number> {
  const sum = { accepted: 0, backpressure: 0, errors: 0, again: 0 };
  for (let at = 0; at < answers.length; at += FIELDS) {
    sum[OUTCOMES[answers[at] ?? 0] ?? 'errors'] += answers[at + FIELDS - 1] ?? 0;
  }
  return sum;
}

/** A part of a run. */
export interface Column {
  /** Its start and length, in milliseconds; the run starts at 0. */
  readonly atMs: number;
  readonly lengthMs: number;
  /** Answers a second. */
  readonly accepted: number;
  readonly backpressure: number;
  readonly errors: number;
  /** In milliseconds; `null`: no event that was due here was accepted. */
  readonly p50: number | null;
  readonly p99: number | null;
}

const SLICE_MS = 100;
/** More slices are joined in pairs: at 27 KB each they take at most 7 MB. */
const SLICES_MAX = 240;

/**
 * A run over time, in slices of 100 ms; their length doubles each time there are too many. An answer belongs to the
 * moment at which it came, a latency to the moment at which its event was due. If a server hangs for two seconds, the
 * answers stop there, and the latency starts at two seconds and falls.
 */
export class Timeline {
  #slices = new Map<number, Slice>();
  #sliceMs = SLICE_MS;
  /** Slices start with the run: when the first worker started to count. */
  #originMs: number | null = null;

  /**
   * Adds the numbers of a worker's `AnswerLog`.
   *
   * @param countFromMs events that were due earlier are warm-up and do not count
   */
  add(answers: Float64Array, countFromMs: number): void {
    this.#originMs ??= countFromMs;
    for (let at = 0; at < answers.length; at += FIELDS) {
      const [code = 0, dueMs = 0, atMs = 0, events = 0] = answers.subarray(at, at + FIELDS);
      if (dueMs < countFromMs) continue;
      const outcome = OUTCOMES[code] ?? 'errors';
      if (outcome === 'again') continue;
      this.#at(atMs)[outcome] += events;
      if (outcome !== 'accepted') continue;
      const slice = this.#at(dueMs);
      slice.latencyUs ??= latencyHistogram(2);
      recordMs(slice.latencyUs, atMs - dueMs, events);
    }
  }

  /**
   * The run from start to end in at most `most` columns. The first and the last may be half as long as the others, or
   * longer.
   */
  columns(startMs: number, endMs: number, most: number): Column[] {
    const originMs = this.#originMs ?? startMs;
    const start = (startMs - originMs) / this.#sliceMs;
    const first = Math.round(start);
    const slices = (endMs - originMs) / this.#sliceMs - first;
    const each = Math.max(1, Math.ceil(slices / most));
    const columns = Math.max(1, Math.round(slices / each));
    return Array.from({ length: columns }, (_, column) => {
      const from = first + column * each;
      const isFirst = column === 0;
      const isLast = column === columns - 1;
      const fromMs = isFirst ? startMs : originMs + from * this.#sliceMs;
      const untilMs = isLast ? endMs : originMs + (from + each) * this.#sliceMs;
      const until = isLast ? first + Math.ceil(slices) + 1 : from + each;
      return this.#column(
        isFirst ? Math.floor(start) : from,
        until,
        fromMs - startMs,
        Math.max(1, untilMs - fromMs),
      );
    });
  }

  #column(from: number, until: number, atMs: number, lengthMs: number): Column {
    const sum = { accepted: 0, backpressure: 0, errors: 0 };
    const latencyUs = latencyHistogram(2);
    for (let index = from; index < until; index += 1) {
      const slice = this.#slices.get(index);
      if (slice === undefined) continue;
      sum.accepted += slice.accepted;
      sum.backpressure += slice.backpressure;
      sum.errors += slice.errors;
      if (slice.latencyUs !== null) latencyUs.add(slice.latencyUs);
    }
    const perSecond = (events: number): number => Math.round((events * 1000) / lengthMs);
    const atPercent = (percent: number): number | null =>
      latencyUs.count === 0 ? null : valueAtPercent(latencyUs, percent) / 1000;
    return {
      atMs: Math.round(atMs),
      lengthMs: Math.round(lengthMs),
      accepted: perSecond(sum.accepted),
      backpressure: perSecond(sum.backpressure),
      errors: perSecond(sum.errors),
      p50: atPercent(50),
      p99: atPercent(99),
    };
  }

  #at(ms: number): Slice {
    const index = Math.floor((ms - (this.#originMs ?? ms)) / this.#sliceMs);
    const found = this.#slices.get(index);
    if (found !== undefined) return found;
    if (this.#slices.size >= SLICES_MAX) {
      this.#joinPairs();
      return this.#at(ms);
    }
    const slice = { index, accepted: 0, backpressure: 0, errors: 0, latencyUs: null };
    this.#slices.set(index, slice);
    return slice;
  }

  #joinPairs(): void {
    const before = [...this.#slices.values()];
    this.#slices = new Map();
    this.#sliceMs *= 2;
    for (const { index, accepted, backpressure, errors, latencyUs } of before) {
      const slice = this.#at((this.#originMs ?? 0) + (Math.floor(index / 2) + 0.5) * this.#sliceMs);
      slice.accepted += accepted;
      slice.backpressure += backpressure;
      slice.errors += errors;
      if (slice.latencyUs === null) slice.latencyUs = latencyUs;
      else if (latencyUs !== null) slice.latencyUs.add(latencyUs);
    }
  }
}
