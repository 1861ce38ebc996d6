import type { PauseState } from '../messages.js';
import { duration, quoted } from './format.js';

/** Where the control tool looks without `--url`. */
const DEFAULT_ORIGINS = ['', 'http://127.0.0.1:8081', 'http://localhost:8081'];

/** `Delivery was paused 5 min ago by ann@host (the database moves). The pause ends by itself in 55 min.` */
export function pauseWords({ forSeconds, by, reason, leftSeconds }: PauseState): string {
  const why = reason === '' ? '' : ` (${reason})`;
  const end =
    leftSeconds === null ? 'lasts until someone resumes' : `ends by itself in ${duration(leftSeconds)}`;
  return `Delivery was paused ${duration(forSeconds)} ago by ${by}${why}. The pause ${end}.`;
}

/** @param origin of the page: the address of the server for operators, if it has one; '': not known */
export function resumeCommand(control: string, origin: string): string {
  const at = DEFAULT_ORIGINS.includes(origin) ? '' : ` --url ${quoted(origin)}`;
  return `${control} resume${at}`;
}
