import type { ForebayClientError } from './client-error.js';
import type { ClientEvent } from './event-text.js';

/** An event in the buffer. */
export interface Entry {
  readonly text: string;
  /** Of its line in a request. */
  readonly bytes: number;
  readonly bornMs: number;
  readonly resolve: () => void;
  readonly reject: (error: ForebayClientError) => void;
}

/** What one request holds, at each repetition. */
export interface Batch {
  readonly entries: readonly Entry[];
  readonly body: string;
  readonly bytes: number;
  /** Whether the good events are taken if others are wrong. */
  readonly isLenient: boolean;
}

/** An answer to a lenient request lists at most this many refused events (docs/http.md). */
const LENIENT_EVENTS_MAX = 100;

export function batchOf(entries: readonly Entry[], isLenient: boolean): Batch {
  const bytes = entries.reduce((sum, entry) => sum + entry.bytes, 0);
  return { entries, body: entries.map(({ text }) => `${text}\n`).join(''), bytes, isLenient };
}

/**
 * Smaller batches of the same events, after an answer that took none of them. If it names a wrong one, the server is
 * asked about each event, in requests of which it can list every one: so no event is accepted or refused unnoticed.
 * Otherwise the batch is too large, and is halved.
 */
export function divided({ entries, isLenient }: Batch, isNamed: boolean): Batch[] {
  const size = isNamed && !isLenient ? LENIENT_EVENTS_MAX : Math.ceil(entries.length / 2);
  const parts: Batch[] = [];
  for (let start = 0; start < entries.length; start += size)
    parts.push(batchOf(entries.slice(start, start + size), isLenient || isNamed));
  return parts;
}

export function eventOf({ text }: Entry): ClientEvent {
  return JSON.parse(text) as ClientEvent;
}
