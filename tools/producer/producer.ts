import { randomBytes } from 'node:crypto';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { RecordableHistogram } from 'node:perf_hooks';
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { asError, ForebayError } from '../../lib/base/errors.js';
import { loadOf, shareOf } from './load.js';
import type { ProducerSettings } from './producer-settings.js';
import { statisticsOf } from './statistics.js';
import type { Statistics } from './statistics.js';
import { addUp } from './tally.js';
import { Timeline } from './timeline.js';
import type { WorkerMessage, WorkerReport, WorkerTask } from './worker.js';

export interface Run {
  readonly statistics: Statistics;
  /** Latencies of the accepted events that count: for `--hdr`. */
  readonly latencyUs: RecordableHistogram;
  readonly timeline: Timeline;
  /** When counting started and ended, on the clock of the timeline. */
  readonly startMs: number;
  readonly endMs: number;
  /** Why not all events could be sent; `null`: all could. */
  readonly failure: string | null;
}

export interface RunOptions {
  /** Aborted: stops sending. The statistics then cover what was sent. */
  readonly signal: AbortSignal;
  /** Events that are due in this time after the start are sent but not counted. */
  readonly warmUpMs?: number;
  /** Called with new answers a few times a second. */
  readonly onAnswers: (answers: Float64Array) => void;
}

/**
 * Sends events from worker threads and adds up the results.
 *
 * @throws ForebayError `SETTING_INVALID` if a file cannot be opened
 */
export async function produce(settings: ProducerSettings, options: RunOptions): Promise<Run> {
  const { signal, warmUpMs = 0, onAnswers } = options;
  const lines = settings.file === null ? null : await openLines(settings.file);
  const acceptedFile = settings.accepted === null ? null : openOutput('accepted', settings.accepted, 'w');
  const stop = new AbortController();
  const timeline = new Timeline();
  let failure: string | null = null;
  const fail = (reason: string): void => {
    failure ??= reason;
    stop.abort();
  };
  lines?.on('error', (error) => fail(`--file ${settings.file} cannot be read: ${error.message}`));
  const reports = await Promise.all(
    tasksOf(settings, warmUpMs).map((task) =>
      runWorker(task, lines, AbortSignal.any([signal, stop.signal]), (message) => {
        timeline.add(message.answers, message.startMs);
        onAnswers(message.answers);
        if (acceptedFile === null || message.ids.length === 0) return;
        try {
          appendFileSync(acceptedFile, `${message.ids.join('\n')}\n`);
        } catch (error) {
          fail(`--accepted ${settings.accepted} cannot be written: ${asError(error).message}`);
        }
      }).then((report) => {
        if (report.failure !== null) fail(report.failure);
        return report;
      }),
    ),
  );
  lines?.destroy();
  if (acceptedFile !== null) closeSync(acceptedFile);
  const startMs = Math.min(...reports.map((report) => report.startMs));
  const endMs = Math.max(startMs, ...reports.map((report) => report.endMs));
  const tally = addUp(reports.map((report) => report.tally));
  const statistics = statisticsOf(
    tally,
    endMs - startMs,
    reports.reduce((sum, report) => sum + report.neverSent, 0),
    Math.max(...reports.map((report) => report.busy)),
  );
  return { statistics, latencyUs: tally.latencyUs, timeline, startMs, endMs, failure };
}

/** One task for each worker that has events to send. */
export function tasksOf(settings: ProducerSettings, warmUpMs: number): WorkerTask[] {
  const { url, bulk, maxInFlight, timeoutMs, retry, file, workers, accepted, size } = settings;
  const connections = settings.connections ?? maxInFlight;
  const postIds = accepted !== null;
  const { segments, durationMs, events } = loadOf(settings);
  const common = { url, bulk, maxInFlight, connections, timeoutMs, retry, postIds, warmUpMs };
  if (file !== null) {
    const load = { segments, durationMs, events: null };
    return [{ ...common, load, phase: 0, events: { kind: 'lines', live: file === '-' } }];
  }
  // 40 random bits: later runs do not repeat an id
  const prefix = settings.idPrefix ?? `evt-${randomBytes(5).toString('hex')}`;
  return Array.from({ length: Math.min(workers, events ?? workers) }, (_, worker) => ({
    ...common,
    load: { segments, durationMs, events: events === null ? null : shareOf(events, worker, workers) },
    phase: worker / workers,
    events: { kind: 'made up', prefix, worker, bytes: size },
  }));
}

/** Runs a task in a thread. Lines are its standard input, which waits if the thread is slow. */
function runWorker(
  task: WorkerTask,
  lines: Readable | null,
  signal: AbortSignal,
  onProgress: (message: WorkerMessage & { readonly kind: 'progress' }) => void,
): Promise<WorkerReport> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: task,
      stdin: lines !== null,
    });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- a thread is no window
    const stop = (): void => worker.postMessage('stop');
    if (signal.aborted) stop();
    else signal.addEventListener('abort', stop, { once: true });
    if (lines !== null && worker.stdin !== null) lines.pipe(worker.stdin);
    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'progress') return onProgress(message);
      resolve(message.report);
      return void worker.terminate(); // otherwise it would wait for lines that nobody reads
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`A worker ended before its work, with code ${code}`)));
  });
}

async function openLines(file: string): Promise<Readable> {
  if (file === '-') return process.stdin;
  try {
    const handle = await open(file);
    if (!(await handle.stat()).isDirectory()) return handle.createReadStream();
  } catch (error) {
    throw new ForebayError('SETTING_INVALID', {
      message: `--file cannot be read: ${asError(error).message}`,
    });
  }
  throw new ForebayError('SETTING_INVALID', { message: `--file cannot be read: ${file} is a directory` });
}

/** Opens the file of a flag, to overwrite it (`w`) or to append to it (`a`). */
export function openOutput(flag: string, file: string, mode: 'w' | 'a'): number {
  try {
    return openSync(file, mode);
  } catch (error) {
    throw new ForebayError('SETTING_INVALID', {
      message: `--${flag} cannot be written: ${asError(error).message}`,
    });
  }
}
