/** Time and chance, so that a test can decide about them. */
export interface Clock {
  /** Milliseconds since 1970. */
  nowMs(): number;
  /** Runs something after a time. @returns what cancels it */
  after(ms: number, run: () => void): () => void;
  /** From 0 to 1, without 1. */
  random(): number;
}

export const CLOCK: Clock = {
  nowMs: () => Date.now(),
  after: (ms, run) => {
    const timer = setTimeout(run, ms);
    return () => {
      clearTimeout(timer);
    };
  },
  random: () => Math.random(),
};
