import type { PauseState } from '../messages.js';
import { duration } from './format.js';

/** `Delivery has been paused for 5 min by ann@host (the database moves), for 55 min more.` */
export function pauseWords({ forSeconds, by, reason, leftSeconds }: PauseState): string {
  const why = reason === '' ? '' : ` (${reason})`;
  const end = leftSeconds === null ? 'until someone resumes it' : `for ${duration(leftSeconds)} more`;
  return `Delivery has been paused for ${duration(forSeconds)} by ${by}${why}, ${end}.`;
}
