import { VERSION } from '../../base/version.js';
import { counter, gauge, histogram } from './family.js';
import type { Family } from './family.js';
import type { ProcessStatistics } from './process-statistics.js';

/** The metrics of a process. */
export function processFamilies(process: ProcessStatistics): Family[] {
  const { cpuSeconds, residentBytes, heapBytes, startSeconds, eventLoopDelay } = process.read();
  return [
    gauge(
      'build_info',
      'The version of Forebay and of Node.js.',
      [{ value: 1, labels: { version: VERSION, node: process.node } }],
      'max',
    ),
    histogram(
      'event_loop_delay_seconds',
      'How late a timer of 100 ms is: more than 0.1 delays everything.',
      eventLoopDelay,
    ),
    counter('process_cpu_seconds', 'CPU time of the process.', cpuSeconds, 'each'),
    gauge('process_resident_memory_bytes', 'Resident memory of the process.', residentBytes, 'each'),
    gauge('nodejs_heap_used_bytes', 'Used heap of V8.', heapBytes, 'each'),
    gauge(
      'process_start_time_seconds',
      'When the process was started, in seconds since 1970.',
      startSeconds,
      'each',
    ),
  ];
}

/**
 * @param running how many workers this is about
 * @param max how many there should be
 * @param restarts of them
 */
export function workerFamilies(running: number, max: number, restarts: number): Family[] {
  return [
    gauge('workers', 'Worker processes that answer; without --workers the one process.', running),
    gauge('workers_max', 'How many there should be (--workers).', max, 'max'),
    counter('worker_restarts', 'How often a worker process ended and was started again.', restarts),
  ];
}
