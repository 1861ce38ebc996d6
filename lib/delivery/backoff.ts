/** The upper bounds of the first wait and of any wait, in milliseconds. */
const FIRST_MS = 200;
const MOST_MS = 30_000;

/**
 * How long to wait before the next attempt: exponential with full jitter, so that the clients of one sink do not all
 * retry at the same moment (M. Brooker, "Exponential Backoff And Jitter", 2015).
 *
 * @param failures how many attempts in a row have failed, from 1
 * @param random between 0 and 1
 */
export function backoffMs(failures: number, random: number): number {
  return Math.round(Math.min(MOST_MS, FIRST_MS * 2 ** (failures - 1)) * random);
}

/** The same bounds while an operator has to correct a setting, in milliseconds. */
const SETUP_FIRST_MS = 1000;
const SETUP_MOST_MS = 60_000;

/**
 * The same while the sink is misconfigured. An attempt costs a log line and cannot help, so the wait is at least half
 * its bound.
 */
export function setupBackoffMs(failures: number, random: number): number {
  return Math.round(Math.min(SETUP_MOST_MS, SETUP_FIRST_MS * 2 ** (failures - 1)) * (0.5 + random / 2));
}
