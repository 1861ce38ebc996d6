import { linesOfMessage } from '../../../lib/logs/jetstream/message.js';
import type { RestingMessage } from '../../../lib/logs/jetstream/resting-streams.js';
import { BatchInspection } from '../batch-inspection.js';

/** The lines of a message, as a server would read them, and its sound events: NDJSON without marks. */
export function inspectMessage({ data }: Pick<RestingMessage, 'data'>): {
  readonly inspection: BatchInspection;
  readonly events: Buffer;
} {
  const inspection = new BatchInspection();
  const bytes = Buffer.from(data);
  const events = inspection.add({ at: 0, bytes, read: linesOfMessage(bytes) });
  return { inspection, events };
}
