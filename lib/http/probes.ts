import type { ServerResponse } from 'node:http';
import type { ForebayError } from '../errors.js';
import type { Forebay } from '../forebay.js';
import { answerJson, retryAfter } from './answers.js';

/** `200` while the process works; what it holds, and how the sink does, for who looks. */
export function answerHealth(res: ServerResponse, forebay: Forebay): void {
  const status = forebay.healthy ? 'ok' : 'failed';
  const sink = forebay.sinkState();
  answerJson(res, forebay.healthy ? 200 : 503, { status, events: forebay.counts(), sink });
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
