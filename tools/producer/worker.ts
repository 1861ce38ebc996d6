/** A worker thread of the producer: sends its share of the events and posts what became of them. */
import { parentPort, workerData } from 'node:worker_threads';
import { asError } from '../../lib/base/errors.js';
import { inGroups, linesOf, madeUpEvents } from './outgoing-events.js';
import { GRACE_MS, Pace } from './pace.js';
import { Schedule } from './schedule.js';
import type { Segment } from './schedule.js';
import { Sender } from './sender.js';
import type { Tally } from './tally.js';
import { AnswerLog } from './timeline.js';

/** What a worker is to do. */
export interface WorkerTask {
  readonly url: string;
  /** Its own rate over time, when it ends, and how many events there are. */
  readonly load: {
    readonly segments: readonly Segment[];
    readonly durationMs: number | null;
    readonly events: number | null;
  };
  /** By which part of the time between two of its requests all of them are later: workers take turns. */
  readonly phase: number;
  /** Events of a request; `null`: one, as JSON. */
  readonly bulk: number | null;
  readonly maxInFlight: number;
  readonly connections: number;
  readonly timeoutMs: number;
  readonly retry: boolean;
  /** What is due before this, from its start, is not counted. */
  readonly warmUpMs: number;
  /** Made-up events, or the lines of the worker's standard input; `live` lines come from someone who may pause. */
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

/** What a worker posts: how far it is, from time to time, and once at the end what became of its events. */
export type WorkerMessage =
  | {
      readonly kind: 'progress';
      /** When it began to count, in milliseconds of the clock that all threads share. */
      readonly startMs: number;
      readonly answers: Float64Array;
      readonly ids: readonly string[];
    }
  | { readonly kind: 'done'; readonly report: WorkerReport };

export interface WorkerReport {
  readonly tally: Tally;
  /** When it began to count and ended, in milliseconds of the clock that all threads share. */
  readonly startMs: number;
  readonly endMs: number;
  /** Events that were due and had not left when its time was over, or when it was stopped. */
  readonly neverSent: number;
  /** The part of its time in which the thread was not waiting for anything, from 0 to 1. */
  readonly busy: number;
  /** Why it could not go on with its events; `null` where nothing was in the way. */
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
// the producer has only one thing to say: stop
port.once('message', () => {
  stoppedMs = performance.now();
  stop.abort();
});
const { signal } = stop;

/** From this thread's `performance.now()` to the clock that all threads share. */
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
postProgress(); // it begins
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

/** Sends the events as they become due. Gives the reason why not all could be. */
async function sendAll(): Promise<string | null> {
  const isLive = events.kind === 'lines' && events.live;
  const over = new AbortController();
  // who pauses makes the events after it due later, but the run no longer; what was due before still leaves
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
        // of a file not all that could have been due is there; what is still to come from someone was not due
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
    // a server that hangs keeps them from being taken: without them a stop would hide how long
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
