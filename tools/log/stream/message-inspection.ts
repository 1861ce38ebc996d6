import { linesOfMessage } from '../../../lib/logs/jetstream/message.js';
import type { RestingMessage } from '../../../lib/logs/jetstream/resting-streams.js';
import { BatchInspection } from '../batch-inspection.js';

export interface InspectedMessage {
  readonly inspection: BatchInspection;
  /** Its sound events: NDJSON without marks. */
  readonly events: Buffer;
  /** Its lines with their marks; the message as it is if its lines were compressed, and are damaged. */
  readonly raw: Buffer;
  /** Whether they are: what is inspected is what could be read of them. */
  readonly isPartial: boolean;
}

/** The lines of a message, as a server would read them. */
export async function inspectMessage({ data }: Pick<RestingMessage, 'data'>): Promise<InspectedMessage> {
  const inspection = new BatchInspection();
  const { bytes, read, isPartial } = await linesOfMessage(data);
  const events = inspection.add({ at: 0, bytes, read });
  return { inspection, events, raw: isPartial ? Buffer.from(data) : bytes, isPartial };
}
