/** What supervisor and workers send to each other, as plain data. No event is in it. */
import type { EventCounts } from '../../event-counts.js';
import type { ErrorCode } from '../../base/errors.js';
import type { Exposition } from '../../observe/metrics/metrics-route.js';
import type { Depth, Report } from '../../observe/together/report.js';
import type { ProbeAnswer } from '../../door/probes.js';
import type { Pause, PauseOutcome, PauseRequest } from '../../seams/pause.js';

/** What a worker asks for, on behalf of someone who looks: metrics, of OpenMetrics if asked for, a probe, the page. */
export type Question =
  | { readonly about: 'metrics'; readonly isOpen: boolean }
  | { readonly about: 'health' | 'ready' }
  | { readonly about: 'page' };

/** What a worker asks for, on behalf of an operator. */
export interface Order {
  readonly about: 'pause' | 'resume';
  readonly request: PauseRequest;
}

/** The answer to each, or why there is none. */
export type Reply =
  | { readonly exposition: Exposition }
  | { readonly probe: ProbeAnswer }
  | { readonly text: string }
  | { readonly outcome: PauseOutcome }
  | { readonly refused: { readonly code: ErrorCode; readonly message: string } }
  | { readonly failure: string };

export type FromWorker =
  /** It answers when it is asked for a report. */
  | { readonly kind: 'reporting' }
  | { readonly kind: 'listening'; readonly isTls: boolean }
  | { readonly kind: 'failed'; readonly code: ErrorCode | null; readonly message: string }
  /** How far a worker has come in closing its door; all go from one step to the next together. */
  | { readonly kind: 'step'; readonly step: ClosingStep }
  /** It has accepted a connection, from this port, and holds it. */
  | { readonly kind: 'held'; readonly port: number }
  | { readonly kind: 'stopped'; readonly counts: EventCounts }
  | { readonly kind: 'report'; readonly id: number; readonly report: Report }
  | { readonly kind: 'question'; readonly id: number; readonly question: Question | Order };

export type FromSupervisor =
  | { readonly kind: 'leftovers delivered' }
  | { readonly kind: 'stop' }
  /** All have come as far. */
  | { readonly kind: 'go on'; readonly step: ClosingStep }
  | { readonly kind: 'reload' }
  /** Delivery is paused from now on, or goes on. */
  | { readonly kind: 'pause'; readonly pause: Pause | null }
  | { readonly kind: 'report'; readonly id: number; readonly depth: Depth }
  | { readonly kind: 'reply'; readonly id: number; readonly reply: Reply }
  /** A text for open pages. */
  | { readonly kind: 'page'; readonly text: string };

/** Its delivery has ended; it holds the connections it accepts; it accepts none. */
export type ClosingStep = 'ended' | 'holding' | 'closed';

/** The environment variable with the task of a worker, as JSON. It is no setting. */
export const TASK_VARIABLE = 'TASK_OF_FOREBAY_WORKER';

/** What a worker is. */
export interface Task {
  /** From 1. */
  readonly worker: number;
  readonly workers: number;
  /** The ports that the supervisor has found free. */
  readonly port: number;
  readonly adminPort: number | null;
  /** Whether it takes the place of one that has ended: others take events meanwhile. */
  readonly isRestart: boolean;
  /** As of the start of its process. */
  readonly pause: Pause | null;
}
