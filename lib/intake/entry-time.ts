const EPOCH_S = Date.UTC(2020, 0, 1) / 1000;

/** A time as entries have it: in seconds since 2020, at least 1. @param ms milliseconds since 1970 */
export function entryTime(ms: number): number {
  return Math.max(1, Math.floor(ms / 1000) - EPOCH_S);
}
