import type { Msg } from '@nats-io/nats-core';
import { eventsIn } from './stream-names.js';

/** A message that the servers handed out, until it is confirmed or handed back. */
export interface StreamMessage {
  /** Its place in the stream. */
  readonly seq: number;
  readonly events: number;
  readonly data: Uint8Array;
  /** Where it is confirmed, held and handed back. */
  readonly reply: string;
  /** How often it was handed out, to any instance. */
  readonly deliveries: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly storedAtMs: number;
}

/** The tokens of a reply subject: `$JS.ACK.STREAM.CONSUMER.…`, or `$JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.…` (ADR-15 of NATS). */
const SHORT_TOKENS = 9;
const AFTER_SHORT = 4;
const AFTER_LONG = 6;
const NANOSECONDS = 1_000_000;

/** `null`: it is none, but a word of the protocol. */
export function streamMessage({ subject, reply, data }: Msg): StreamMessage | null {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return null;
  const tokens = reply.split('.');
  const from = tokens.length === SHORT_TOKENS ? AFTER_SHORT : AFTER_LONG;
  const [deliveries = NaN, seq = NaN, , time = NaN] = tokens.slice(from).map(Number);
  if (!Number.isSafeInteger(seq)) return null;
  return { seq, events: eventsIn(subject), data, reply, deliveries, storedAtMs: time / NANOSECONDS };
}
