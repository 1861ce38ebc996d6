import type { ServerResponse } from 'node:http';
import type { AcceptSpan, TracedRequest, Tracer } from '../seams/tracer.js';
import { ABORTED } from './request-counts.js';
import type { TakeWhole, Ways } from './ways.js';

/** The span of a request of `node:http`, which ends with its answer; `null`: it is not traced. */
export function spanOf(
  tracer: Tracer | null,
  request: TracedRequest,
  res: ServerResponse,
): AcceptSpan | null {
  const span = tracer === null ? null : tracer.accept(request);
  if (span === null) return null;
  res.once('close', () => {
    span.end(res.writableFinished ? res.statusCode : ABORTED);
  });
  return span;
}

/** Takes whole bodies, each with a span if it is traced. */
export function tracedTake(
  tracer: Tracer | null,
  request: TracedRequest,
  ways: Ways,
  take: (ways: Ways, ...whole: Parameters<TakeWhole>) => void,
): TakeWhole {
  if (tracer === null) {
    return (body, answer, peer) => {
      take(ways, body, answer, peer);
    };
  }
  return (body, answer, peer) => {
    const span = tracer.accept(request);
    if (span === null) take(ways, body, answer, peer);
    else {
      const answerOfSpan: typeof answer = (given) => {
        span.end(given.status);
        answer(given);
      };
      take({ ...ways, span }, body, answerOfSpan, peer);
    }
  };
}
