import type { Plan } from './load.js';
import { GRACE_MS } from './pace.js';
import { sumOfOutcomes } from './timeline.js';
import { clock, grouped, short } from './words.js';

/** The progress of a run. */
export interface Progress {
  readonly accepted: number;
  readonly backpressure: number;
  readonly errors: number;
  /** How many times events were sent again. */
  readonly again: number;
  /** The recent rate of answers, in events a second. */
  readonly rate: number;
  readonly elapsedMs: number;
  /** From 0 to 1; `null`: unknown. */
  readonly part: number | null;
  /** `null`: unknown. */
  readonly leftMs: number | null;
}

/** The recent rate covers at least this time, in milliseconds. */
const RATE_MS = 1000;

/** Follows the answers of a run and reports its progress. */
export class ProgressMeter {
  readonly #plan: Plan;
  readonly #sum = { accepted: 0, backpressure: 0, errors: 0, again: 0 };
  #startMs: number | null = null;
  /** Recent totals of answers, oldest first. */
  #samples: { readonly atMs: number; readonly answered: number }[] = [];

  constructor(plan: Plan) {
    this.#plan = plan;
  }

  /** The first call starts the run. Takes the numbers of an `AnswerLog`. */
  add(answers: Float64Array, nowMs: number): void {
    this.#startMs ??= nowMs;
    const sum = sumOfOutcomes(answers);
    this.#sum.accepted += sum.accepted;
    this.#sum.backpressure += sum.backpressure;
    this.#sum.errors += sum.errors;
    this.#sum.again += sum.again;
  }

  /** `null` before the run has started. */
  read(nowMs: number): Progress | null {
    if (this.#startMs === null) return null;
    const { events, lengthMs, endMs, dueBefore } = this.#plan;
    const answered = this.#sum.accepted + this.#sum.backpressure + this.#sum.errors;
    const elapsedMs = nowMs - this.#startMs;
    const rate = this.#rate(nowMs, answered);
    const untilDueMs = Math.max(0, lengthMs - elapsedMs);
    const behind = Number.isFinite(events) ? Math.max(0, dueBefore(elapsedMs) - answered) : 0;
    const msFor = (count: number): number => (count === 0 ? 0 : (count * 1000) / rate);
    // a server that is more than a second late answers events at its recent rate, due or not
    const untilAnsweredMs =
      msFor(behind) <= RATE_MS ? untilDueMs + msFor(behind) : Math.max(untilDueMs, msFor(events - answered));
    // answers are awaited as long as --timeout allows: how long that takes is unknown
    const untilOverMs = endMs + GRACE_MS - elapsedMs;
    const leftMs = untilOverMs > 0 ? Math.min(untilAnsweredMs, untilOverMs) : Infinity;
    // the first of the two ends it
    const byEvents = Number.isFinite(events) ? answered / events : 0;
    const part =
      Number.isFinite(endMs) || Number.isFinite(events)
        ? Math.min(1, Math.max(elapsedMs / endMs, byEvents))
        : null;
    return { ...this.#sum, rate, elapsedMs, part, leftMs: Number.isFinite(leftMs) ? leftMs : null };
  }

  #rate(nowMs: number, answered: number): number {
    this.#samples.push({ atMs: nowMs, answered });
    while ((this.#samples[1]?.atMs ?? Infinity) <= nowMs - RATE_MS) this.#samples.shift();
    const oldest = this.#samples[0];
    const first = oldest !== undefined && nowMs - oldest.atMs >= RATE_MS ? oldest : null;
    const sinceMs = nowMs - (first?.atMs ?? this.#startMs ?? nowMs);
    return sinceMs <= 0 ? 0 : ((answered - (first?.answered ?? 0)) * 1000) / sinceMs;
  }
}

/** The shortest and the longest bar. */
const BAR = { least: 10, most: 30 };

/** The progress in one line of a terminal, in the first form that fits into the width. */
export function progressLine(progress: Progress, width: number): string {
  const { accepted, backpressure, errors, again, rate, part, leftMs, elapsedMs } = progress;
  const percent = part === null ? clock(elapsedMs) : `${Math.floor(part * 100)}%`;
  const left = leftMs === null ? [] : [`${leftText(leftMs)} left`];
  const sentAgain = (number: (of: number) => string): string[] =>
    again === 0 ? [] : [`again ${number(again)}`];
  const long = [`${grouped(rate)}/s`, `accepted ${grouped(accepted)}`, `refused ${grouped(backpressure)}`];
  const middle = [`${short(rate)}/s`, `202 ${short(accepted)}`, `429 ${short(backpressure)}`];
  const ending = leftMs === null ? '' : ` ${leftText(leftMs)}`;
  const fields = [
    `${short(rate)}/s`,
    `202 ${short(accepted)}`,
    `429 ${short(backpressure)}`,
    `err ${short(errors)}`,
    ...sentAgain(short),
  ];
  const tight = fields.join(' ');
  const forms = [
    [percent, ...long, `errors ${grouped(errors)}`, ...sentAgain(grouped), ...left].join('  '),
    [percent, ...middle, `errors ${short(errors)}`, ...sentAgain(short), ...left].join('  '),
  ];
  if (part !== null) {
    for (const form of forms) {
      const room = Math.min(BAR.most, width - form.length - 3);
      if (room < BAR.least) continue;
      return `[${'#'.repeat(Math.floor(part * room)).padEnd(room, '-')}] ${form}`;
    }
  }
  forms.push(`${percent} ${tight}${ending}`, `${tight}${ending}`);
  // show a number whole or not at all; keep failures longest
  forms.push(...fields.map((_, index) => fields.slice(index).join(' ')));
  return forms.find((form) => form.length <= width) ?? '';
}

/** The same without a terminal: a line that stays. */
export function progressText(progress: Progress): string {
  const { accepted, backpressure, errors, again, rate, part, leftMs, elapsedMs } = progress;
  const parts = [
    `after ${clock(elapsedMs)}`,
    `${grouped(rate)} events/s`,
    `accepted ${grouped(accepted)}`,
    `refused ${grouped(backpressure)}`,
    `errors ${grouped(errors)}`,
  ];
  if (again > 0) parts.push(`sent again ${grouped(again)}`);
  if (part !== null) parts.push(`${Math.floor(part * 100)} %`);
  if (leftMs !== null) parts.push(`${leftText(leftMs)} left`);
  return parts.join(', ');
}

/** 0:00 only when nothing is left. */
function leftText(ms: number): string {
  return clock(Math.ceil(ms / 1000) * 1000);
}
