import { randomBytes } from 'node:crypto';

/** An id that a client may give to its request: printable and short. */
const GIVEN = /^[\x21-\x7e]{1,128}$/;
/** Differs in each run. */
const RUN = randomBytes(6).toString('base64url');
/** The ends of ids. V8 keeps the text of each new number for a while, so its garbage would grow old (decision 72). */
const ENDS = Array.from({ length: 1000 }, (_, end) => String(end).padStart(3, '0'));
let made = 0;
let start = '';

/** The id of a request in its answer and in log lines: its `X-Request-Id`, or a generated one. */
export function requestId(given: string | undefined): string {
  return given !== undefined && GIVEN.test(given) ? given : newId();
}

function newId(): string {
  const end = ++made % ENDS.length;
  if (end === 0 || start === '') start = `${RUN}-${Math.floor(made / ENDS.length)}`;
  return start + (ENDS[end] ?? '');
}
