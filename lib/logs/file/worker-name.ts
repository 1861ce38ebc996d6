import type { Entry } from './directory-entries.js';

/** The log directory of a worker, within the one of the server: `worker-3`. */
const WORKER_DIRECTORY = /^worker-([1-9]\d{0,3})$/;

/** The name of a worker's log directory. @param worker from 1 */
export function workerDirectory(worker: number): string {
  return `worker-${worker}`;
}

/** The number of the worker whose directory has this name; `null`: it is none. */
export function workerOf(name: string): number | null {
  const [, number] = WORKER_DIRECTORY.exec(name) ?? [];
  return number === undefined ? null : Number(number);
}

export function isWorkerDirectory(entry: Entry): boolean {
  return workerOf(entry.name) !== null && !entry.isFile();
}
