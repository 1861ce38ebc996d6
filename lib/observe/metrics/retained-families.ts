import type { Statistics } from '../../statistics.js';
import { counter, gauge, labelled } from './family.js';
import type { Family } from './family.js';

/** The metrics of delivered batches that are kept. They have no samples if the log keeps none. */
export function retainedFamilies({ retained }: Pick<Statistics, 'retained'>): Family[] {
  const oldestMs = retained?.oldestMs ?? null;
  return [
    gauge(
      'retained_files',
      'Delivered batch files that are kept in retained/ (--retain, --retain-max).',
      retained?.files ?? null,
    ),
    gauge('retained_bytes', 'What they take of the disk.', retained?.bytes ?? null),
    gauge(
      'retained_oldest_seconds',
      'When the oldest was delivered, in seconds before now.',
      oldestMs === null ? null : Math.max(0, Date.now() - oldestMs) / 1000,
      'max',
    ),
    counter(
      'retained_deleted',
      'Retained files that were deleted, by reason: age, size, or disk, which had no room and so kept them too short.',
      retained === null ? null : labelled('reason', Object.entries(retained.deleted)),
    ),
    counter(
      'retained_failed',
      'Delivered batch files that could not be kept, and were deleted instead.',
      retained?.unkept ?? null,
    ),
  ];
}
