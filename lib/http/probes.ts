import type { ServerResponse } from 'node:http';
import { systemCode } from '../errors.js';
import type { ForebayError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import { answerJson, retryAfter } from './answers.js';

/** A disk in this state gets well by itself, as delivery makes room: a restart would only be in its way. */
const IS_FULL: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/**
 * `200` while the process works: no stage has broken, and the disk takes events, or takes none because it is full. With
 * what it holds, and how the sink does, for who looks.
 */
export function answerHealth(res: ServerResponse, forebay: Forebay): void {
  const failure = forebay.logFailure();
  const isFull = IS_FULL.includes(systemCode(failure?.cause));
  const isWell = forebay.healthy && (failure === null || isFull);
  answerJson(res, isWell ? 200 : 503, {
    status: isWell ? 'ok' : 'failed',
    log: failure === null ? { writable: true } : { writable: false, reason: reasonOf(failure) },
    events: forebay.counts(),
    sink: forebay.sinkState(),
  });
}

/** In the system's own words, where it said something. */
function reasonOf({ cause, message }: ForebayError): string {
  return cause instanceof Error ? cause.message : message;
}

/** `200` if an event would be taken. The sink is shown and makes no difference: the door never waits for it. */
export function answerReady(res: ServerResponse, forebay: Forebay, refusal: ForebayError | null): void {
  const state = forebay.sinkState();
  const sink = { breaker: state?.breaker, lastError: state?.lastError };
  if (refusal === null) {
    answerJson(res, 200, { status: 'ready', sink });
    return;
  }
  const { message: reason, code } = refusal;
  answerJson(res, 503, { status: 'not ready', reason, code }, retryAfter(refusal));
}
