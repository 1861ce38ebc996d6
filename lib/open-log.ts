import { join } from 'node:path';
import type { Reporter } from './base/reporter.js';
import type { FileSystem } from './logs/file/file-system.js';
import { sameTag } from './logs/file/ids/id-mark.js';
import { openForSink } from './logs/file/open-for-sink.js';
import { adoptedDirectories, NotAdoptable } from './logs/file/adopted-directories.js';
import { leftWorkerDirectories, workersWithDirectory } from './logs/file/worker-directories.js';
import { workerDirectory } from './logs/file/worker-name.js';
import type { EventLog } from './seams/event-log.js';
import type { IdRule } from './seams/id-store.js';
import type { SinkDescription } from './seams/sink.js';
import type { LogSettings } from './settings/log-settings.js';
import type { PipelineSettings } from './settings/pipeline-settings.js';
import { invalid } from './settings/setting-error.js';

/** Events that are on disk and not delivered yet may take this share of `queueBytes` again. */
const RECENT_SHARE = 0.25;

/** No file of several batches takes more than this share of the backlog, as it leaves it at once. */
const FILE_SHARE = 1 / 64;

export interface LogContext {
  readonly settings: PipelineSettings;
  /** The sink that gets its events. */
  readonly sink: SinkDescription;
  readonly reporter: Reporter;
  /** Sources whose ids are kept. */
  readonly idRules: readonly IdRule[];
}

/** @throws ForebayError `LOG_DIR_UNUSABLE`, `LOG_DIR_LOCKED`, `SINK_DISCARDS` */
export async function openAppendLog(
  { settings, sink, reporter, idRules }: LogContext,
  fs?: FileSystem,
): Promise<EventLog> {
  const { logDir: dir, fsync, queueBytes, discardBacklog } = settings;
  const { deadLettersBytesMax, backlogBytesMax } = settings;
  const fileBytes = Math.min(settings.fileBytes, backlogBytesMax * FILE_SHARE);
  // the batches of a file go to the sink one after the other, so each place gets its part of them
  const eventsMax = Math.floor(settings.fileEvents / settings.sinkConcurrency);
  const fileEvents = eventsMax > settings.batchSize ? eventsMax : 0;
  const recentBytesMax = queueBytes * RECENT_SHARE;
  const sources = checkSources(idRules);
  const windowMs = Math.max(...idRules.map((rule) => rule.windowMs));
  const ids = sources.length > 0 ? { sources, windowMs, idsMax: settings.idWindowMax } : null;
  const retention = { ageMs: settings.retainMs, bytesMax: settings.retainBytesMax };
  const compressAfterMs = settings.logCompress === 'on' ? settings.logCompressAfterMs : null;
  const bounds = {
    recentBytesMax,
    deadLettersBytesMax,
    fileEvents,
    fileBytes,
    ids,
    retention,
    compressAfterMs,
  };
  return openForSink({ dir, fsync, reporter, ...bounds, ...(fs && { fs }) }, sink, discardBacklog);
}

/** @returns the names of sources whose ids are kept @throws ForebayError `SETTING_INVALID` */
function checkSources(idRules: readonly IdRule[]): readonly string[] {
  const sources = idRules.map(({ source }) => source);
  const same = sameTag(sources);
  if (same === null) return sources;
  throw invalid(`The sources ${same.join(' and ')} cannot both have an id window: give one another name`);
}

/** Opens the log in a stream. What it needs is loaded only if it is asked for. @throws ForebayError `LOG_UNUSABLE` */
export async function openStreamLog(
  { settings, reporter, idRules }: LogContext,
  ofLog: LogSettings,
  stopping: AbortSignal,
): Promise<EventLog> {
  const jetstream = await import('./logs/jetstream/open-stream-log.js');
  checkSources(idRules);
  return jetstream.openStreamLog({ ...settings, ...ofLog }, reporter, stopping, idRules);
}

/** The log directory of a worker, within that of the server. */
export function workerLogDir(logDir: string, worker: number): string {
  return join(logDir, workerDirectory(worker));
}

/**
 * The directories of workers of an earlier run that this one has no worker for, if they hold events.
 *
 * @param workers how many this run has; 0: it is one process
 */
export async function leftLogDirs(logDir: string, workers: number): Promise<string[]> {
  return leftWorkerDirectories(logDir, workers + 1);
}

/** The log directory of a server, and those of all its workers. */
export async function allLogDirs(logDir: string): Promise<string[]> {
  const workers = await workersWithDirectory(logDir);
  return [logDir, ...workers.map((worker) => workerLogDir(logDir, worker))];
}

/**
 * The log directories that other servers have left and this one takes over, with those of their workers.
 *
 * @throws ForebayError `SETTING_INVALID`, `LOG_DIR_UNUSABLE`
 */
export async function adoptedLogDirs(dirs: readonly string[], logDir: string): Promise<string[]> {
  try {
    return await adoptedDirectories(dirs, logDir);
  } catch (error) {
    if (error instanceof NotAdoptable) throw invalid(`--adopt: ${error.message}`);
    throw error;
  }
}

export { leftInLog } from './logs/file/left-in-log.js';
