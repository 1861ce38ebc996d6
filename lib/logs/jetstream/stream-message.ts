import { lineBytesMost, lineBytesOf } from './message.js';
import type { ServersMessage } from './servers.js';
import { eventsIn } from './stream-names.js';

/** A message that the servers handed out, until it is confirmed or handed back. */
export interface StreamMessage {
  /** Its place in the stream. */
  readonly seq: number;
  readonly events: number;
  readonly data: Uint8Array;
  /** The size of its lines: more than `data` if they are compressed. */
  readonly lineBytes: number;
  /** What it takes of the stream, in bytes. */
  readonly storedBytes: number;
  /** Where it is confirmed, held and handed back. */
  readonly reply: string;
  /** How often it was handed out, to any instance. */
  readonly deliveries: number;
  /** When it was stored, in milliseconds since 1970. */
  readonly storedAtMs: number;
  /** Where the messages start that were stored with it: those of its ids are just before it. */
  readonly fromSeq: number;
}

/** The tokens of a reply subject: `$JS.ACK.STREAM.CONSUMER.…`, or `$JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.…` (ADR-15 of NATS). */
const SHORT_TOKENS = 9;
const AFTER_SHORT = 4;
const AFTER_LONG = 6;
const NANOSECONDS = 1_000_000;
const EVENT_BYTES_MIN = 2;

/** The id of a message, by which the servers store it once. */
export const MESSAGE_ID = 'Nats-Msg-Id';
/** Names a message of several that are stored together or not at all, and its place among them (ADR-50 of NATS). */
export const BATCH_ID = 'Nats-Batch-Id';
export const BATCH_PLACE = 'Nats-Batch-Sequence';
export const BATCH_END = 'Nats-Batch-Commit';
/** What a message takes beside subject, headers and content: a head of 22 bytes, a checksum of 8, the size of its headers. */
const STORED_BYTES = 22 + 8 + 4;
/** The headers by which a message of ours comes. The servers may add others when they hand it out. */
const STORED_HEADERS = [MESSAGE_ID, BATCH_ID, BATCH_PLACE, BATCH_END] as const;

/** What a message takes of a stream, in bytes, as the servers count it (`fileStoreMsgSize` of nats-server). */
export function storedBytes(subject: string, headBytes: number, data: Uint8Array): number {
  return STORED_BYTES + subject.length + headBytes + data.length;
}

/** The size of headers, in bytes. */
export function headBytesOf(headers: readonly (readonly [string, string])[]): number {
  return headers.reduce(
    (sum, [name, value]) => sum + name.length + value.length + ': \r\n'.length,
    'NATS/1.0\r\n\r\n'.length,
  );
}

/** `null`: it is none, but a word of the protocol. */
export function streamMessage({ subject, reply, data, headers }: ServersMessage): StreamMessage | null {
  if (reply === undefined || !reply.startsWith('$JS.ACK.')) return null;
  const tokens = reply.split('.');
  const from = tokens.length === SHORT_TOKENS ? AFTER_SHORT : AFTER_LONG;
  const [deliveries = NaN, seq = NaN, , time = NaN] = tokens.slice(from).map(Number);
  if (!Number.isSafeInteger(seq)) return null;
  const ours = STORED_HEADERS.flatMap((name) => {
    const value = headers?.get(name) ?? '';
    return value === '' ? [] : [[name, value] as const];
  });
  const bytes = storedBytes(subject, headBytesOf(ours), data);
  const place = Number(headers?.get(BATCH_PLACE) || 1);
  const storedAtMs = time / NANOSECONDS;
  const named = eventsIn(subject);
  const lineBytes = lineBytesOf(data);
  // somebody else may have put it there
  const events = named * EVENT_BYTES_MIN <= lineBytesMost(data) ? named : 0;
  const fromSeq = seq - place + 1;
  return { seq, events, data, lineBytes, storedBytes: bytes, reply, deliveries, storedAtMs, fromSeq };
}
