import type { ErrorCode } from '../../base/errors.js';

/** What can keep events out. */
export const REFUSALS: readonly ErrorCode[] = [
  'QUEUE_FULL',
  'BACKLOG_FULL',
  'CONNECTIONS_MAX',
  'LOG_FAILED',
  'IN_DOUBT',
  'LOG_DIR_LOST',
  'NOT_RUNNING',
  'DRAINING',
];
