import type { PauseState } from '../messages.js';
import { duration } from './format.js';

/** `Delivery was paused 5 min ago by ann@host (the database moves). The pause ends by itself in 55 min.` */
export function pauseWords({ forSeconds, by, reason, leftSeconds }: PauseState): string {
  const why = reason === '' ? '' : ` (${reason})`;
  const end =
    leftSeconds === null ? 'lasts until someone resumes' : `ends by itself in ${duration(leftSeconds)}`;
  return `Delivery was paused ${duration(forSeconds)} ago by ${by}${why}. The pause ${end}.`;
}

/** Where the control tool looks without `--url`. */
const DEFAULT_ORIGINS = ['', 'http://127.0.0.1:8081', 'http://localhost:8081'];

/** For the control tool; `[` of an IPv6 address is quoted for the shell. */
export function urlFlag(origin: string): string {
  if (DEFAULT_ORIGINS.includes(origin)) return '';
  return origin.includes('[') ? ` --url '${origin}'` : ` --url ${origin}`;
}
