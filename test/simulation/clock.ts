import type { Surroundings } from './simulated-disk.js';

const HOUR_MS = 3_600_000;
const YEAR_MS = 365 * 24 * HOUR_MS;
/** As far as a name of four digits for the year goes. */
const END_MS = Date.UTC(9999, 11, 31, 23, 59, 59);

/** Sets the clock wrong, now or in a while; a later step may set it right. What measures durations goes on. */
export function stepClock({ time, random, trace, tally }: Surroundings): void {
  const step = (): void => {
    const offsets = [0, -2000, -HOUR_MS, HOUR_MS, random.pick([1, 10, 100]) * YEAR_MS];
    time.wallOffsetMs = random.pick(offsets);
    trace.add(`  the clock is ${time.wallOffsetMs / 1000} s ahead`);
    tally.count('worlds', 'steps of the clock');
    if (random.chance(0.5)) time.after(random.spread(1, 3000), 'the clock steps', step);
  };
  if (random.chance(0.5)) step();
  else time.after(random.spread(1, 3000), 'the clock steps', step);
}

/** Sets the clock to some seconds before the end of what a name can say. */
export function comeToTheEnd({ time, random, trace }: Surroundings): void {
  time.wallOffsetMs = END_MS - random.whole(0, 5000) - time.nowMs;
  trace.add(`  the clock is ${time.wallOffsetMs / 1000} s ahead`);
}
