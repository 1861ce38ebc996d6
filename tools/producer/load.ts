import type { ProducerSettings } from './producer-settings.js';
import { Schedule } from './schedule.js';
import type { Segment } from './schedule.js';

/** The rate of each worker, in events a second, where none is given. */
export const RATE = 100;
/** Events in all, where nothing says when a run ends. */
const BURST = 500;

/** What the settings ask of each worker; the events are those of all together. */
export interface Load {
  readonly segments: readonly Segment[];
  /** `null`: it ends with its segments, its events or its file. */
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

/** The part of a worker, as even as it can be. */
export function shareOf(events: number, worker: number, workers: number): number {
  return Math.floor(events / workers) + (worker < events % workers ? 1 : 0);
}

/** What is due when, of all workers together: how far a run should be, for those who watch it. */
export interface Plan {
  /** Infinite where only the end of a file or a stop ends it. */
  readonly events: number;
  readonly lengthMs: number;
  /** When time ends it; infinite where the number of events does. */
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
