/** A worker thread of the producer: sends its share of the events and posts the results. */
import { parentPort, workerData } from 'node:worker_threads';
import { asError } from '../../lib/base/errors.js';
import { inGroups, linesOf, madeUpEvents } from './outgoing-events.js';
import { GRACE_MS, Pace } from './pace.js';
import { Schedule } from './schedule.js';
import type { Segment } from './schedule.js';
import { Sender } from './sender.js';
import type { Tally } from './tally.js';
import { AnswerLog } from './timeline.js';

/** The task of a worker. */
export interface WorkerTask {
  readonly url: string;
  /** Its own rate over time, its end, and its number of events. */
  readonly load: {
    readonly segments: readonly Segment[];
    readonly durationMs: number | null;
    readonly events: number | null;
  };
  /** A share of the time between two of its requests, by which all are later: workers take turns. */
  readonly phase: number;
  /** Events of a request; `null`: one, as JSON. */
  readonly bulk: number | null;
  readonly maxInFlight: number;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly retry: boolean;
  /** Events that are due in this time after the start are not counted. */
  readonly warmUpMs: number;
  /** Generated events, or the lines of the worker's standard input. The source of `live` lines may pause. */
  readonly events:
    | {
        readonly kind: 'made up';
        readonly prefix: string;
        readonly worker: number;
        readonly bytes: number | null;
      }
    | { readonly kind: 'lines'; readonly live: boolean };
  /** Whether it posts the ids of accepted events. */
  readonly postIds: boolean;
}

/** Messages of a worker: its progress from time to time, and its results at the end. */
export type WorkerMessage =
  | {
      readonly kind: 'progress';
      /** When it started to count, in milliseconds of the clock that all threads share. */
      readonly startMs: number;
      readonly answers: Float64Array;
      readonly ids: readonly string[];
    }
  | { readonly kind: 'done'; readonly report: WorkerReport };

export interface WorkerReport {
  readonly tally: Tally;
  /** When it started to count and ended, in milliseconds of the clock that all threads share. */
  readonly startMs: number;
  readonly endMs: number;
  /** Events that were due and had not left when its time was over, or when it was stopped. */
  readonly neverSent: number;
  /** The share of its time in which the thread was not waiting, from 0 to 1. */
  readonly busy: number;
  /** Why it could not send its events; `null`: it could. */
  readonly failure: string | null;
}

const PROGRESS_INTERVAL_MS = 100;

if (parentPort === null) throw new Error('This file is started by the producer, as a worker thread');
const port = parentPort;
const task = workerData as WorkerTask;
const { events, load } = task;

const stop = new AbortController();
let stoppedMs = Infinity;
let hopeless: string | null = null;
// the producer sends only one message: stop
port.once('message', () => {
  stoppedMs = performance.now();
  stop.abort();
});
const { signal } = stop;

/** Add this to `performance.now()` of this thread for the clock that all threads share. */
const sharedMs = Number(process.hrtime.bigint()) / 1e6 - performance.now();
const schedule = new Schedule(load.segments, load.durationMs, load.events);
const pace = new Pace(schedule, signal, task.bulk ?? 1, task.phase);
const countFromMs = pace.startMs + task.warmUpMs;
const answers = new AnswerLog();
let ids: string[] = [];
const sender = new Sender({
  ...task,
  isBulk: task.bulk !== null,
  countFromMs,
  signal,
  isOver: () => pace.isOver,
  onHopeless: (reason) => {
    hopeless = `stopped, as the server answers every request with ${reason}`;
    stop.abort();
  },
  onAccepted: (event) => {
    const id = task.postIds ? event.id() : null;
    if (id !== null) ids.push(id);
  },
  onOutcome: (outcome, dueMs, times) => {
    answers.push(outcome, sharedMs + dueMs, sharedMs + performance.now(), times);
  },
});

const startMs = sharedMs + countFromMs;
postProgress(); // report the start
const interval = setInterval(postProgress, PROGRESS_INTERVAL_MS);
let before = performance.eventLoopUtilization();
if (task.warmUpMs > 0) setTimeout(() => (before = performance.eventLoopUtilization()), task.warmUpMs).unref();
let neverSent = 0;
const sent = await sendAll();
await sender.finish();
const failure = hopeless ?? sent;
clearInterval(interval);
postProgress();
const endMs = sharedMs + performance.now();
const { utilization: busy } = performance.eventLoopUtilization(before);
neverSent += sender.neverSent;
post({ kind: 'done', report: { tally: sender.tally, startMs, endMs, neverSent, busy, failure } });

/** Sends the events as they become due. Returns why some could not be sent, or `null`. */
async function sendAll(): Promise<string | null> {
  const isLive = events.kind === 'lines' && events.live;
  const over = new AbortController();
  // a pause makes later events due later but the run no longer; events that were due before still leave
  const timer =
    isLive && Number.isFinite(schedule.endMs)
      ? setTimeout(() => over.abort(), schedule.endMs + GRACE_MS)
      : undefined;
  const source =
    events.kind === 'lines'
      ? linesOf(process.stdin, AbortSignal.any([signal, over.signal]))
      : madeUpEvents(events.prefix, events.worker, schedule.events, events.bytes);
  let leftOver = 0;
  try {
    let askedMs = performance.now();
    for await (const group of inGroups(source, task.bulk ?? 1)) {
      if (isLive) pace.arrivedNow(askedMs);
      const dueMs = leftOver > 0 ? null : await pace.next();
      if (dueMs === null) {
        // a file may hold more events that were due; events still to come from a live source were not due
        leftOver += events.kind === 'made up' ? Infinity : group.length;
        neverSent = Math.min(leftOver, pace.leftAt(performance.now(), countFromMs));
        if (isLive || neverSent < leftOver) break;
        continue;
      }
      await sender.take(group, dueMs);
      askedMs = performance.now();
    }
    return null;
  } catch (error) {
    if (!signal.aborted) return over.signal.aborted ? null : asError(error).message;
    // a hanging server keeps events from being taken: count them, or a stop would hide how long it hung
    if (events.kind === 'made up' && hopeless === null) neverSent = pace.leftAt(stoppedMs, countFromMs);
    return null;
  } finally {
    clearTimeout(timer);
  }
}

function postProgress(): void {
  post({ kind: 'progress', startMs, answers: answers.take(), ids });
  ids = [];
}

function post(message: WorkerMessage): void {
  port.postMessage(message);
}
