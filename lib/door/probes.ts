import type { ServerResponse } from 'node:http';
import { systemCode } from '../base/errors.js';
import type { ErrorCode, ForebayError } from '../base/errors.js';
import type { Forebay } from '../forebay.js';
import { jsonAnswer, retryAfter } from '../seams/http-answer.js';
import { sendAnswer } from './answers.js';
import type { Route } from './router.js';

/** A disk in this state gets well by itself, as delivery makes room: a restart would only be in its way. */
const IS_FULL: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** What an operator should know of events that wait apart. */
const ISOLATED = 'The sink fails at these events while it takes others: they wait on disk';

/** An answer to a probe: of a load balancer, of a supervisor. */
export interface ProbeAnswer {
  readonly status: number;
  readonly body: object;
  readonly headers: Readonly<Record<string, string>>;
}

/**
 * `200` while the process works: no stage has broken, and the disk takes events, or takes none because it is full. With
 * what it holds, and how the sink does, for who looks.
 */
export function health(forebay: Forebay): ProbeAnswer {
  const failure = forebay.logFailure();
  const isFull = IS_FULL.includes(systemCode(failure?.cause));
  const isWell = forebay.healthy && (failure === null || isFull);
  const body = {
    status: isWell ? 'ok' : 'failed',
    log: failure === null ? { writable: true } : { writable: false, reason: reasonOf(failure) },
    events: forebay.counts(),
    sink: forebay.sinkState(),
  };
  return { status: isWell ? 200 : 503, body, headers: {} };
}

/** In the system's own words, where it said something. */
function reasonOf({ cause, message }: ForebayError): string {
  return cause instanceof Error ? cause.message : message;
}

/**
 * `200` if an event would be taken. The sink is shown and makes no difference: the door never waits for it. Nor do batches
 * aside, until they fill the backlog.
 *
 * @param refusal what an event would be refused with now
 */
export function readiness(forebay: Forebay, refusal: ForebayError | null): ProbeAnswer {
  if (refusal === null) {
    const state = forebay.sinkState();
    const code: ErrorCode | undefined = state?.misconfigured === true ? 'SINK_MISCONFIGURED' : undefined;
    const sink = { breaker: state?.breaker, code }; // its errors name hosts and users: they are for operators
    const batches = state?.batchesAside ?? 0;
    const aside = batches === 0 ? {} : { aside: asideWords(batches, state?.deadLettersFull === true) };
    const events = state?.isolatedEvents ?? 0;
    const isolated = events === 0 ? {} : { isolated: { events, code: 'EVENT_ISOLATED', reason: ISOLATED } };
    return { status: 200, body: { status: 'ready', sink, ...aside, ...isolated }, headers: {} };
  }
  const { message: reason, code } = refusal;
  return { status: 503, body: { status: 'not ready', reason, code }, headers: retryAfter(refusal) };
}

/** What an operator should know of batches aside: they take room in the backlog until someone acts. */
function asideWords(batches: number, isFull: boolean): object {
  const code: ErrorCode = isFull ? 'DEAD_LETTERS_FULL' : 'DISK_FAILED';
  const why = isFull ? 'have no room (--dead-letters-max)' : 'cannot be written';
  return { batches, code, reason: `Batches wait on disk, as their dead letters ${why}` };
}

export function answerProbe(res: ServerResponse, { status, body, headers }: ProbeAnswer): void {
  sendAnswer(res, jsonAnswer(status, body, headers));
}

/** @param refusal what an event would be refused with now; `null`: it would be taken */
export function probeRoutes(
  forebay: Forebay,
  refusal: () => ForebayError | null,
): Record<'/health' | '/ready', Route> {
  const probe = (answer: () => ProbeAnswer): Route => ({
    methods: ['GET', 'HEAD'],
    handle: (req, res) => {
      answerProbe(res, answer());
      req.resume();
    },
  });
  return {
    '/health': probe(() => health(forebay)),
    '/ready': probe(() => readiness(forebay, refusal())),
  };
}
