import { workerLogDir } from '../../open-log.js';
import type { ServerSettings } from '../server-settings.js';
import type { Task } from './messages.js';

/**
 * The settings of one worker: its own directory, and its part of what all may have on disk. Bounds of memory,
 * connections and batches at the sink are each worker's.
 */
export function workerSettings(settings: ServerSettings, task: Task): ServerSettings {
  const { worker, workers, port, adminPort } = task;
  return {
    ...settings,
    ...diskShare(settings, workers),
    logDir: workerLogDir(settings.logDir, worker),
    port,
    adminPort,
  };
}

type DiskBounds = Pick<ServerSettings, 'backlogBytesMax' | 'deadLettersBytesMax' | 'retainBytesMax'>;

/** What one of several log directories may take of the disk. */
export function diskShare(bounds: DiskBounds, workers: number): DiskBounds {
  const { backlogBytesMax, deadLettersBytesMax, retainBytesMax } = bounds;
  return {
    backlogBytesMax: Math.floor(backlogBytesMax / workers),
    deadLettersBytesMax: Math.floor(deadLettersBytesMax / workers),
    retainBytesMax: retainBytesMax === null ? null : Math.floor(retainBytesMax / workers),
  };
}
