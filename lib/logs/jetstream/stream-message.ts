import type { ServersMessage } from './servers.js';
import { eventsIn } from './stream-names.js';

/** A message that the servers handed out, until it is confirmed or handed back. */
export interface StreamMessage {
  /** Its place in the stream. */
  readonly seq: number;
  readonly events: number;
  readonly data: Uint8Array;
  /** What it takes of the stream, in bytes. */
  readonly storedBytes: number;
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
const EVENT_BYTES_MIN = 2;

/** The id of a message, by which the servers store it once. */
export const MESSAGE_ID = 'Nats-Msg-Id';
/** What a message takes beside subject, id and content: a head of 22 bytes, a checksum of 8, its headers without the id. */
const STORED_BYTES = 22 + 8 + 4 + `NATS/1.0\r\n${MESSAGE_ID}: \r\n\r\n`.length;

/** What a message takes of a stream, in bytes, as the servers count it (`fileStoreMsgSize` of nats-server). */
export function storedBytes(subject: string, id: string, data: Uint8Array): number {
  return STORED_BYTES + subject.length + id.length + data.length;
}

/** `null`: it is none, but a word of the protocol. */
export function streamMessage({ subject, reply, data, headers }: ServersMessage): StreamMessage | null {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return null;
  const tokens = reply.split('.');
  const from = tokens.length === SHORT_TOKENS ? AFTER_SHORT : AFTER_LONG;
  const [deliveries = NaN, seq = NaN, , time = NaN] = tokens.slice(from).map(Number);
  if (!Number.isSafeInteger(seq)) return null;
  const bytes = storedBytes(subject, headers?.get(MESSAGE_ID) ?? '', data);
  const storedAtMs = time / NANOSECONDS;
  const named = eventsIn(subject);
  // somebody else may have put it there
  const events = named * EVENT_BYTES_MIN <= data.length ? named : 0;
  return { seq, events, data, storedBytes: bytes, reply, deliveries, storedAtMs };
}
