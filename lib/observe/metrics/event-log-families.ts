import type { Statistics } from '../../statistics.js';
import { counter } from './family.js';
import type { Family } from './family.js';
import { replicaFamilies } from './replica-families.js';
import { retainedFamilies } from './retained-families.js';

/** What only some logs have: servers with copies, files that are compressed or retained. */
export function eventLogFamilies(
  statistics: Pick<Statistics, 'replicas' | 'doubtful' | 'compression' | 'retained'>,
): Family[] {
  return [
    ...replicaFamilies(statistics),
    ...compressionFamilies(statistics),
    ...retainedFamilies(statistics),
  ];
}

/** They have no samples if nothing is compressed. */
function compressionFamilies({ compression }: Pick<Statistics, 'compression'>): Family[] {
  return [
    counter(
      'files_compressed',
      'Batch files that were compressed while they waited for the sink.',
      compression?.files ?? null,
    ),
    counter(
      'compression_saved_bytes',
      'What that has saved of the disk, in whole blocks.',
      compression?.savedBytes ?? null,
    ),
    counter(
      'compression_failures',
      'Attempts to compress a file that failed; it stays as it is, and is tried again.',
      compression?.failures ?? null,
    ),
  ];
}
