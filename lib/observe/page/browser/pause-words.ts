import type { PauseState, Snapshot } from '../messages.js';
import { duration, quoted } from './format.js';

/** Where the control tool looks without `--url`. */
const DEFAULT_ORIGINS = ['', 'http://127.0.0.1:8081', 'http://localhost:8081'];
const LOOPBACK = /^https?:\/\/(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d+)?$/;

/** `Delivery was paused 5 min ago by ann@host (the database moves). The pause ends by itself in 55 min.` */
export function pauseWords({ forSeconds, by, reason, leftSeconds }: PauseState): string {
  const why = reason === '' ? '' : ` (${reason})`;
  const end =
    leftSeconds === null ? 'lasts until someone resumes' : `ends by itself in ${duration(leftSeconds)}`;
  return `Delivery was paused ${duration(forSeconds)} ago by ${by}${why}. The pause ${end}.`;
}

/**
 * The command that works on this server, as the page is reached; `undefined`: there is none.
 *
 * @param origin of the page: the address of the server for operators, if it has one; '': not known
 */
export function resumeCommand({ tools, resuming }: Snapshot, origin: string): string | undefined {
  const { toolFrom, pid } = resuming;
  if (toolFrom === 'anywhere' || (toolFrom === 'this machine' && (origin === '' || LOOPBACK.test(origin)))) {
    const at = DEFAULT_ORIGINS.includes(origin) ? '' : ` --url ${quoted(origin)}`;
    return `${tools.control} resume${at}`;
  }
  return pid === null ? undefined : `kill -USR2 ${pid}`;
}
