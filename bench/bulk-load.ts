import { NumberedEvent } from './numbered-event.js';
import type { Load } from './wrk.js';

/**
 * The queue of a server under bulk load: room for what 8 connections send, twice. Events count until the whole group
 * they came with is on disk, and a client that has its answer earlier sends again. Forebay's default holds one body
 * of 5000 events safely; what is beyond it is answered `429`, which ends the run.
 */
export const BULK_QUEUE_SIZE = 100_000;

/** NDJSON of this many events of about 200 bytes, each with an id of its own. */
export function bulkBody(events: number): Buffer {
  const event = new NumberedEvent((text) => `${text}\n`);
  const lines = Array.from({ length: events }, (_, number) => {
    event.number = number;
    return Buffer.from(event.bytes);
  });
  return Buffer.concat(lines);
}

/** The same body again and again. @param bodyPath the file that holds it */
export function bulkLoad(connections: number, bodyPath: string, eventsPerRequest: number): Load {
  return { connections, script: 'post-body.lua', args: [bodyPath], eventsPerRequest };
}
