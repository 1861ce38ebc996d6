import type { ProducerSettings } from './producer-settings.js';
import { Schedule } from './schedule.js';
import type { Segment } from './schedule.js';

/** The default rate of each worker, in events a second. */
export const RATE = 100;
/** Events in all, if nothing else ends the run. */
const BURST = 500;

/** The load of each worker. `events` is the number of all workers together. */
export interface Load {
  readonly segments: readonly Segment[];
  /** `null`: segments, events or a file end the run. */
  readonly durationMs: number | null;
  /** `null`: as many as become due, or as a file has. */
  readonly events: number | null;
}

export function loadOf({ rate, ramp, burst, durationMs, file }: LoadSettings): Load {
  const segments = ramp ?? rate ?? [{ from: RATE, to: RATE, durationMs: null }];
  const isEndless = segments.at(-1)?.durationMs === null && durationMs === null;
  const events = burst ?? (isEndless && file === null ? BURST : null);
  return { segments, durationMs, events };
}

type LoadSettings = Pick<ProducerSettings, 'rate' | 'ramp' | 'burst' | 'durationMs' | 'file'>;

/** The part of a worker, as even as possible. */
export function shareOf(events: number, worker: number, workers: number): number {
  return Math.floor(events / workers) + (worker < events % workers ? 1 : 0);
}

/** The plan of all workers together: shows how far a run should be. */
export interface Plan {
  /** Infinite if only the end of a file or a stop ends the run. */
  readonly events: number;
  readonly lengthMs: number;
  /** When time ends the run; infinite if the number of events ends it. */
  readonly endMs: number;
  readonly dueBefore: (ms: number) => number;
}

export function planOf(settings: LoadSettings & Pick<ProducerSettings, 'workers'>): Plan {
  const { workers, file } = settings;
  const { segments, durationMs, events } = loadOf(settings);
  const schedules = Array.from({ length: Math.min(workers, events ?? workers) }, (_, worker) => {
    const share = events === null ? null : shareOf(events, worker, workers);
    return new Schedule(segments, durationMs, share);
  });
  const sum = (number: (schedule: Schedule) => number): number =>
    schedules.reduce((total, schedule) => total + number(schedule), 0);
  return {
    events: file === null ? sum((schedule) => schedule.events) : Infinity,
    lengthMs: Math.max(...schedules.map((schedule) => schedule.lengthMs)),
    endMs: Math.max(...schedules.map((schedule) => schedule.endMs)),
    dueBefore: (ms) => sum((schedule) => schedule.countBefore(ms)),
  };
}
