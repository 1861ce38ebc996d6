import type { Keys } from '../../keys/keys.js';
import { counter, gauge } from './family.js';
import type { Family } from './family.js';

/** Events by the name of the key that they came with, and the state of the keys file. */
export function keyFamilies(keys: Keys | null): Family[] {
  if (keys === null) return [];
  const holders = [...keys.holders.values()];
  return [
    counter(
      'key_events_accepted',
      'Events answered with success and stored, by the name of the key: no duplicates.',
      holders.map(({ name, acceptedEvents }) => ({ value: acceptedEvents, labels: { key: name } })),
    ),
    counter(
      'key_events_refused',
      'Events refused with a key of the file, by its name; also one that has expired, or is for other sources.',
      holders.map(({ name, refusedEvents }) => ({ value: refusedEvents, labels: { key: name } })),
    ),
    gauge('keys', 'Keys in the keys file (--keys-file), expired ones included.', keys.size, 'max'),
    gauge(
      'keys_file_stale',
      '1 while the keys file has changed and cannot be read: its last content is used.',
      Number(keys.isStale),
      'max',
    ),
  ];
}
