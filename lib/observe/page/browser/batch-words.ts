import type { Snapshot } from '../messages.js';

/** What an earlier run left is named once its turn has come. */
export function noBatches({ disk }: Snapshot): string {
  return disk.bytes > 0
    ? 'None yet: what waits has not been to the sink in this run.'
    : 'None yet: a batch ends a second after its first event.';
}
