import { setTimeout as sleep } from 'node:timers/promises';

/** Also where a test has stopped the clock. */
const realNow = performance.now.bind(performance);
/** Many states are reached within a few turns of the event loop. */
const TURNS = 100;
const LOOK_MS = 5;
/** A machine may be several times slower than usual, and stand still for seconds. */
export const WAIT_MS = 180_000;

/**
 * Waits until something holds that nothing announces.
 *
 * @param what that is, for the error
 * @throws Error if it does not hold in time
 */
export async function until(
  holds: () => boolean | Promise<boolean>,
  what: string,
  waitMs: number = WAIT_MS,
): Promise<void> {
  const endMs = realNow() + waitMs;
  for (let looks = 0; !(await holds()); looks++) {
    if (realNow() > endMs) throw new Error(`not within ${waitMs} ms: ${what}`);
    if (looks < TURNS) await new Promise(setImmediate);
    else await sleep(LOOK_MS);
  }
}
