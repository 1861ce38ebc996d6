import type { IncomingMessage, ServerResponse } from 'node:http';
import { systemCode } from '../base/errors.js';
import type { ErrorCode, ForebayError } from '../base/errors.js';
import type { LogReplicas } from '../seams/event-log.js';
import type { RetainedUsage } from '../seams/retention.js';
import type { Forebay } from '../forebay.js';
import { jsonAnswer, retryAfter } from '../seams/http-answer.js';
import { pauseFacts } from '../seams/pause.js';
import type { Pause, PauseFacts } from '../seams/pause.js';
import { sendAnswer } from './answers.js';
import type { Route } from './router.js';

/** A full disk recovers by itself as delivery makes room. A restart would only delay that. */
const IS_FULL: readonly (string | undefined)[] = ['ENOSPC', 'EDQUOT'];

/** Advice to operators about events that wait apart. */
const ISOLATED = 'The sink fails at these events while it takes others: they wait on disk';

/** The answer to a probe of a load balancer or a supervisor. */
export interface ProbeAnswer {
  readonly status: number;
  readonly body: object;
  readonly headers: Readonly<Record<string, string>>;
}

/** What `/health` says. */
export interface HealthBody {
  readonly status: 'ok' | 'draining' | 'failed';
  readonly log: {
    readonly writable: boolean;
    readonly reason?: string;
    readonly replicas?: LogReplicas;
    readonly retained?: RetainedUsage;
  };
  readonly events: ReturnType<Forebay['counts']>;
  readonly delivery: DeliveryFacts;
  readonly sink: ReturnType<Forebay['sinkState']>;
}

/** Whether delivery is paused, and how long it takes to deliver what is pending; `null`: nothing is delivered. */
export interface DeliveryFacts extends PauseFacts {
  readonly drainSeconds: number | null;
}

export interface HealthAnswer extends ProbeAnswer {
  readonly body: HealthBody;
}

/**
 * `200` while the process works: no stage has broken, and the disk takes events or is only full. The body says what
 * the log holds and how the sink does.
 *
 * @param isDraining whether the door is about to close
 */
export function health(
  forebay: Pick<Forebay, 'healthy' | 'logFailure' | 'counts' | 'sinkState' | 'statistics'>,
  isDraining: boolean = false,
): HealthAnswer {
  const failure = forebay.logFailure();
  const statistics = forebay.statistics();
  const replicas = statistics?.replicas ?? null;
  const retained = statistics?.retained ?? null;
  const isFull = IS_FULL.includes(systemCode(failure?.cause));
  const isWell = forebay.healthy && (failure === null || isFull);
  const body: HealthBody = {
    status: isWell ? wellWord(isDraining) : 'failed',
    log: {
      ...(failure === null ? { writable: true } : { writable: false, reason: reasonOf(failure) }),
      ...(replicas !== null && { replicas }),
      ...(retained !== null && retained.files !== null && retained.files > 0 && { retained }),
    },
    events: forebay.counts(),
    delivery: deliveryFacts(statistics?.paused ?? null, statistics?.drainSeconds ?? Infinity),
    sink: forebay.sinkState(),
  };
  return { status: isWell ? 200 : 503, body, headers: {} };
}

/** @param drainSeconds `Infinity`: nothing is delivered */
export function deliveryFacts(pause: Pause | null, drainSeconds: number): DeliveryFacts {
  return {
    ...pauseFacts(pause),
    drainSeconds: Number.isFinite(drainSeconds) ? Math.ceil(drainSeconds) : null,
  };
}

function wellWord(isDraining: boolean): 'ok' | 'draining' {
  return isDraining ? 'draining' : 'ok';
}

/** In the system's own words, if it gave any. */
function reasonOf({ cause, message }: ForebayError): string {
  return cause instanceof Error ? cause.message : message;
}

/**
 * `200` if an event would be taken. The state of the sink is shown but changes nothing: the door never waits for the
 * sink. Nor does a batch aside, until such batches fill the backlog.
 *
 * @param refusal the error that an event would get now
 */
export function readiness(forebay: Pick<Forebay, 'sinkState'>, refusal: ForebayError | null): ProbeAnswer {
  if (refusal === null) {
    const state = forebay.sinkState();
    const code: ErrorCode | undefined = state?.misconfigured === true ? 'SINK_MISCONFIGURED' : undefined;
    const sink = { breaker: state?.breaker, code }; // its errors name hosts and users, which are for operators
    const batches = state?.batchesAside ?? 0;
    const aside = batches === 0 ? {} : { aside: asideWords(batches, state?.deadLettersFull === true) };
    const events = state?.isolatedEvents ?? 0;
    const isolated = events === 0 ? {} : { isolated: { events, code: 'EVENT_ISOLATED', reason: ISOLATED } };
    return { status: 200, body: { status: 'ready', sink, ...aside, ...isolated }, headers: {} };
  }
  const { message: reason, code } = refusal;
  const status = code === 'DRAINING' ? 'draining' : 'not ready';
  return { status: 503, body: { status, reason, code }, headers: retryAfter(refusal) };
}

/** Advice to operators about batches aside: they take room in the backlog until someone acts. */
function asideWords(batches: number, isFull: boolean): object {
  const code: ErrorCode = isFull ? 'DEAD_LETTERS_FULL' : 'DISK_FAILED';
  const why = isFull ? 'have no room (--dead-letters-max)' : 'cannot be written';
  return { batches, code, reason: `Batches wait on disk, as their dead letters ${why}` };
}

export function answerProbe(res: ServerResponse, { status, body, headers }: ProbeAnswer): void {
  sendAnswer(res, jsonAnswer(status, body, headers));
}

/** The answer of all workers, from that of this one. */
export type WholeProbe = (which: 'health' | 'ready', own: ProbeAnswer) => Promise<ProbeAnswer>;

/** What probes ask a door. */
export interface DoorState {
  /** The error that an event of who asks would get now; `null`: it would be taken. */
  readonly refusal: (req: IncomingMessage) => ForebayError | null;
  readonly isDraining: () => boolean;
}

/**
 * @param whole asks all workers; `null`: the server is this process
 */
export function probeRoutes(
  forebay: Forebay,
  { refusal, isDraining }: DoorState,
  whole: WholeProbe | null = null,
): Record<'/health' | '/ready', Route> {
  const probe = (which: 'health' | 'ready', answer: (req: IncomingMessage) => ProbeAnswer): Route => ({
    methods: ['GET', 'HEAD'],
    handle: async (req, res) => {
      req.resume();
      const own = answer(req);
      if (whole === null) answerProbe(res, own);
      else answerProbe(res, await whole(which, own));
    },
  });
  return {
    '/health': probe('health', () => health(forebay, isDraining())),
    '/ready': probe('ready', (req) => readiness(forebay, refusal(req))),
  };
}
