import type { Test } from 'tap';

/** Stops the clock `performance.now()`: a busy machine would let time pass. @returns moves it on, in milliseconds */
export function stopClock(t: Test): (ms: number) => void {
  let nowMs = performance.now();
  t.intercept(performance, 'now', { value: () => nowMs });
  return (ms) => {
    nowMs += ms;
  };
}
