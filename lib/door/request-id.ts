import { randomBytes } from 'node:crypto';

/** What a client may name its request: printable, and short. */
const GIVEN = /^[\x21-\x7e]{1,128}$/;
/** Differs in each run. */
const RUN = randomBytes(6).toString('base64url');
let made = 0;

/** What a request is named in its answer and in log lines: as its `X-Request-Id` says, or a name that is made. */
export function requestId(given: string | undefined): string {
  return given !== undefined && GIVEN.test(given) ? given : `${RUN}-${++made}`;
}
