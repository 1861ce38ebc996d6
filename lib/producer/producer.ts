import { randomBytes } from 'node:crypto';
import { appendFileSync, closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { Worker } from 'node:worker_threads';
import { asError, ForebayError } from '../errors.js';
import type { ProducerSettings } from './producer-settings.js';
import { statisticsOf } from './statistics.js';
import type { Statistics } from './statistics.js';
import { addUp } from './tally.js';
import type { Progress, WorkerMessage, WorkerReport, WorkerTask } from './worker.js';

export interface Run {
  readonly statistics: Statistics;
  /** Why not all events could be sent; `null` where nothing was in the way. */
  readonly failure: string | null;
}

/**
 * Sends events from worker threads and adds up what became of them.
 *
 * @param signal aborted: stops sending; the statistics then tell what was done
 * @param onProgress told a few times a second how far all workers are together
 * @throws ForebayError `SETTING_INVALID` where a file cannot be opened
 */
export async function produce(
  settings: ProducerSettings,
  signal: AbortSignal,
  onProgress: (progress: Progress) => void,
): Promise<Run> {
  const lines = settings.file === null ? null : await openLines(settings.file);
  const acceptedFile = settings.accepted === null ? null : openAccepted(settings.accepted);
  const stop = new AbortController();
  const progress = new Map<number, Progress>();
  let failure: string | null = null;
  const fail = (reason: string): void => {
    failure ??= reason;
    stop.abort();
  };
  lines?.on('error', (error) => fail(`--file ${settings.file} cannot be read: ${error.message}`));
  const reports = await Promise.all(
    tasksOf(settings).map((task, worker) =>
      runWorker(task, lines, AbortSignal.any([signal, stop.signal]), (message) => {
        progress.set(worker, message.progress);
        onProgress(sumOfProgress([...progress.values()]));
        if (acceptedFile === null || message.ids.length === 0) return;
        try {
          appendFileSync(acceptedFile, `${message.ids.join('\n')}\n`);
        } catch (error) {
          fail(`--accepted ${settings.accepted} cannot be written: ${asError(error).message}`);
        }
      }),
    ),
  );
  lines?.destroy();
  if (acceptedFile !== null) closeSync(acceptedFile);
  for (const report of reports) if (report.failure !== null) failure ??= report.failure;
  const startMs = Math.min(...reports.map((report) => report.startMs));
  const endMs = Math.max(...reports.map((report) => report.endMs));
  return { statistics: statisticsOf(addUp(reports.map(({ tally }) => tally)), endMs - startMs), failure };
}

/** One task for each worker that has anything to send. */
function tasksOf(settings: ProducerSettings): WorkerTask[] {
  const { url, rate, maxInFlight, timeoutMs, retry, file, burst, workers, accepted } = settings;
  const common = { url, rate, maxInFlight, timeoutMs, retry, postIds: accepted !== null };
  if (file !== null) return [{ ...common, events: { kind: 'lines', live: file === '-' } }];
  // 40 random bits: runs to come will not repeat an id
  const prefix = settings.idPrefix ?? `evt-${randomBytes(5).toString('hex')}`;
  return Array.from({ length: Math.min(workers, burst) }, (_, worker) => {
    const count = Math.floor(burst / workers) + (worker < burst % workers ? 1 : 0);
    return { ...common, events: { kind: 'made up', prefix, worker, count } };
  });
}

/** Runs a task in a thread; lines are its standard input, which waits for the thread when that cannot follow. */
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
      return void worker.terminate(); // it would wait for lines that nobody reads
    });
    worker.on('error', reject);
    worker.on('exit', (code) => reject(new Error(`A worker ended before its work, with code ${code}`)));
  });
}

function sumOfProgress(parts: readonly Progress[]): Progress {
  return parts.reduce((sum, part) => ({
    accepted: sum.accepted + part.accepted,
    backpressure: sum.backpressure + part.backpressure,
    errors: sum.errors + part.errors,
  }));
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

function openAccepted(file: string): number {
  try {
    return openSync(file, 'w');
  } catch (error) {
    throw new ForebayError('SETTING_INVALID', {
      message: `--accepted cannot be written: ${asError(error).message}`,
    });
  }
}
