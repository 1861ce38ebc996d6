/** From this number on it counts milliseconds; as seconds it would be in the year 5138. */
const MILLISECONDS_MIN = 1e11;
const RFC_3339 = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)$/;

/** Whether a timestamp, in seconds or milliseconds since 1970 or as RFC 3339, is at most `toleranceMs` from now. */
export function isNear(timestamp: string, nowMs: number, toleranceMs: number): boolean {
  return Math.abs(nowMs - msOf(timestamp)) <= toleranceMs;
}

function msOf(timestamp: string): number {
  if (RFC_3339.test(timestamp)) return Date.parse(timestamp);
  if (!/^\d{1,15}$/.test(timestamp)) return NaN;
  const number = Number(timestamp);
  return number < MILLISECONDS_MIN ? number * 1000 : number;
}
