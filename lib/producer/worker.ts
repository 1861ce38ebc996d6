/** A worker thread of the producer: sends its share of the events and posts what became of them. */
import { parentPort, workerData } from 'node:worker_threads';
import { asError } from '../errors.js';
import { linesOf, madeUpEvents } from './outgoing-events.js';
import { Pace } from './pace.js';
import { Sender } from './sender.js';
import { sumOf } from './tally.js';
import type { Tally } from './tally.js';

/** What a worker is to do. */
export interface WorkerTask {
  readonly url: string;
  /** Events a second. */
  readonly rate: number;
  readonly maxInFlight: number;
  readonly timeoutMs: number;
  readonly retry: boolean;
  /** Made-up events, or the lines of the worker's standard input; `live` lines come from someone who may pause. */
  readonly events:
    | { readonly kind: 'made up'; readonly prefix: string; readonly worker: number; readonly count: number }
    | { readonly kind: 'lines'; readonly live: boolean };
  /** Whether it posts the ids of accepted events. */
  readonly postIds: boolean;
}

/** How far a worker is, in events. */
export interface Progress {
  readonly accepted: number;
  readonly backpressure: number;
  readonly errors: number;
}

/** What a worker posts: how far it is, from time to time, and once at the end what became of its events. */
export type WorkerMessage =
  | { readonly kind: 'progress'; readonly progress: Progress; readonly ids: readonly string[] }
  | { readonly kind: 'done'; readonly report: WorkerReport };

export interface WorkerReport {
  readonly tally: Tally;
  /** When it began and ended, in milliseconds of the clock that all threads share. */
  readonly startMs: number;
  readonly endMs: number;
  /** Why it could not go on with its events; `null` where nothing was in the way. */
  readonly failure: string | null;
}

const PROGRESS_INTERVAL_MS = 100;

if (parentPort === null) throw new Error('This file is started by the producer, as a worker thread');
const port = parentPort;
const task = workerData as WorkerTask;
const { events } = task;

const stop = new AbortController();
port.once('message', () => stop.abort()); // the producer has only one thing to say: stop
const { signal } = stop;

let ids: string[] = [];
const sender = new Sender({
  ...task,
  signal,
  onAccepted: (event) => {
    const id = task.postIds ? event.id() : null;
    if (id !== null) ids.push(id);
  },
});

const startMs = sharedClockMs();
const interval = setInterval(postProgress, PROGRESS_INTERVAL_MS);
const failure = await sendAll();
await sender.finish();
clearInterval(interval);
postProgress();
post({ kind: 'done', report: { tally: sender.tally, startMs, endMs: sharedClockMs(), failure } });

/** Sends the events as they become due. Gives the reason why not all could be. */
async function sendAll(): Promise<string | null> {
  const source =
    events.kind === 'lines'
      ? linesOf(process.stdin, signal)
      : madeUpEvents(events.prefix, events.worker, events.count);
  const pace = new Pace(task.rate, signal);
  try {
    let askedMs = performance.now();
    for await (const event of source) {
      if (events.kind === 'lines' && events.live) pace.arrivedNow(askedMs);
      await sender.take(event, await pace.next());
      askedMs = performance.now();
    }
    return null;
  } catch (error) {
    return signal.aborted ? null : asError(error).message;
  }
}

function postProgress(): void {
  const { accepted, backpressure, errors } = sender.tally;
  post({ kind: 'progress', progress: { accepted, backpressure, errors: sumOf(errors) }, ids });
  ids = [];
}

function post(message: WorkerMessage): void {
  port.postMessage(message);
}

function sharedClockMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}
