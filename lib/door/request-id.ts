import { randomBytes } from 'node:crypto';

/** An id that a client may give to its request: printable and short. */
const GIVEN = /^[\x21-\x7e]{1,128}$/;
/** Differs in each run. */
const RUN = randomBytes(6).toString('base64url');
let made = 0;

/** The id of a request in its answer and in log lines: its `X-Request-Id`, or a generated one. */
export function requestId(given: string | undefined): string {
  return given !== undefined && GIVEN.test(given) ? given : `${RUN}-${++made}`;
}
