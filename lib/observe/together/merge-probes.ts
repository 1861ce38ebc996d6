import { readiness } from '../../door/probes.js';
import type { DeliveryFacts, ProbeAnswer } from '../../door/probes.js';
import { mergeCounts, mergeSinks } from './merge-statistics.js';
import { sinkOf } from './whole.js';
import type { Probes, ReportOf } from './report.js';

/** A worker that gives no report, and why, in words: `is being started`. */
export interface Missing {
  readonly worker: number;
  readonly why: string;
}

/** Nobody has said anything. */
const NO_DELIVERY: DeliveryFacts = { paused: false, drainSeconds: null };
/** How soon to ask again, in seconds. */
const RETRY_AFTER = { 'Retry-After': '1' };

/** The answer for all: well if each is. If one is not, it is that worker's, with its number. */
export function mergeProbes(
  which: keyof Probes,
  reports: readonly ReportOf[],
  missing: readonly Missing[],
): ProbeAnswer {
  const workers = {
    number: new Set([...reports, ...missing].flatMap(({ worker }) => (worker === 0 ? [] : worker))).size,
    missing,
  };
  const states = reports.flatMap((each) => {
    const state = each.report.probes.health.body.sink;
    return state === null ? [] : sinkOf(each, state);
  });
  const sink = states.length === 0 ? null : mergeSinks(states);
  const [absent] = missing;
  const why = absent && {
    reason: `Worker ${absent.worker} ${absent.why}`,
    code: 'WORKER_ENDED',
    worker: absent.worker,
  };
  if (which === 'ready') {
    // what is left in other directories keeps no event out
    const doors = reports.filter(({ worker }) => worker !== 0);
    const bad = doors.find(({ report }) => report.probes.ready.status !== 200);
    if (bad !== undefined) {
      const { status, body, headers } = bad.report.probes.ready;
      return { status, body: { ...body, worker: bad.worker, workers }, headers };
    }
    if (why !== undefined)
      return { status: 503, body: { status: 'not ready', ...why, workers }, headers: RETRY_AFTER };
    const { status, body, headers } = readiness({ sinkState: () => sink }, null);
    return { status, body: { ...body, workers }, headers };
  }
  const bad = reports.find(({ report }) => report.probes.health.status !== 200);
  const events = mergeCounts(reports.map(({ report }) => report.probes.health.body.events));
  const log = bad?.report.probes.health.body.log ?? { writable: true };
  const worse = bad === undefined ? why : { worker: bad.worker };
  const drains = reports.some(({ report }) => report.probes.health.body.status === 'draining');
  const well = drains ? 'draining' : 'ok';
  const deliveries = reports.map(({ report }) => report.probes.health.body.delivery);
  const delivery = deliveries.reduce((one, other) => together(one, other), deliveries[0] ?? NO_DELIVERY);
  const body = {
    status: worse === undefined ? well : 'failed',
    ...worse,
    log,
    events,
    delivery,
    sink,
    workers,
  };
  return { status: worse === undefined ? 200 : 503, body, headers: {} };
}

/** Paused if either is, and done when both are. */
function together(one: DeliveryFacts, other: DeliveryFacts): DeliveryFacts {
  const known = one.drainSeconds !== null && other.drainSeconds !== null;
  const drainSeconds = known ? Math.max(one.drainSeconds, other.drainSeconds) : null;
  return { ...(one.paused ? one : other), drainSeconds };
}
