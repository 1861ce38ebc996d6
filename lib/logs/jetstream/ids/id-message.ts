import { headers } from '@nats-io/nats-core';
import type { MsgHdrs } from '@nats-io/nats-core';
import { ID_WORDS } from '../../../event/event-ids.js';
import { SIP_KEY_BYTES } from '../../../event/sip-hash.js';
import { sourceTag } from '../../file/ids/id-mark.js';
import { BATCH_END, BATCH_ID, BATCH_PLACE, headBytesOf, storedBytes } from '../stream-message.js';
import { secretSubject } from '../stream-names.js';

/** It is stored only if the last message under its subject has this number; 0: if there is none. */
export const EXPECTED_LAST = 'Nats-Expected-Last-Subject-Sequence';
/** How long it is kept. */
const KEPT = 'Nats-TTL';

const TAG_BYTES = 3;
const WORD_BYTES = 4;
const HASH_BYTES = (ID_WORDS - 1) * WORD_BYTES;
/** The random number of a run, and the number of the message with the event. */
const RUN_BYTES = 8;
const KEY_BYTES = RUN_BYTES + WORD_BYTES;
/** What is kept of an id besides its subject: the message that its event is in, and the checksum of its content. */
const CONTENT_BYTES = KEY_BYTES + WORD_BYTES;
/** As many digits in each message, so that all have one size. */
const PLACE_DIGITS = 4;
const SECONDS_DIGITS = 9;

/** Of how many messages a batch may be; the servers take at most 1,000. */
export const ID_BATCH_MAX = 500;

/** Each source has subjects of its own, so none swallows an event of another. */
export function idSubject(stream: string, source: string, words: Uint32Array, at: number): string {
  const bytes = Buffer.alloc(TAG_BYTES + HASH_BYTES);
  bytes.writeUIntBE(tagOf(source), 0, TAG_BYTES);
  for (let word = 0; word < ID_WORDS - 1; word++)
    bytes.writeUInt32BE(words[at + word] ?? 0, TAG_BYTES + word * WORD_BYTES);
  return `${stream}.id.${bytes.toString('base64url')}`;
}

const tags = new Map<string, number>();

function tagOf(source: string): number {
  let tag = tags.get(source);
  if (tag === undefined) tags.set(source, (tag = sourceTag(source)));
  return tag;
}

/** Names a message that this run makes. @param run of 16 hexadecimal digits */
export function messageKey(run: string, number: number): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.write(run, 'hex');
  key.writeUInt32BE(number >>> 0, RUN_BYTES);
  return key;
}

export function idContent(key: Buffer, content: number): Buffer {
  const data = Buffer.alloc(CONTENT_BYTES);
  key.copy(data);
  data.writeUInt32BE(content >>> 0, KEY_BYTES);
  return data;
}

/** What is known of an id: which message its event is in, and the checksum of its content. */
export interface KnownId {
  readonly key: Buffer;
  readonly content: number;
}

/** `null`: somebody else has put it there. */
export function readIdContent(data: Uint8Array): KnownId | null {
  if (data.length !== CONTENT_BYTES) return null;
  const bytes = Buffer.from(data);
  return { key: bytes.subarray(0, KEY_BYTES), content: bytes.readUInt32BE(KEY_BYTES) };
}

/** How long an id is kept, as the servers read it. */
export function keptFor(ms: number): string {
  return `${String(Math.ceil(ms / 1000)).padStart(SECONDS_DIGITS, '0')}s`;
}

function placeOf(place: number): string {
  return String(place).padStart(PLACE_DIGITS, '0');
}

function idHead(batch: string, place: number, kept: string): readonly (readonly [string, string])[] {
  return [
    [BATCH_ID, batch],
    [BATCH_PLACE, placeOf(place)],
    [EXPECTED_LAST, '0'],
    [KEPT, kept],
  ];
}

/** The headers of an id. */
export function idHeaders(batch: string, place: number, kept: string): MsgHdrs {
  return headersOf(idHead(batch, place, kept));
}

function endHead(batch: string, place: number): readonly (readonly [string, string])[] {
  return [
    [BATCH_ID, batch],
    [BATCH_PLACE, placeOf(place)],
    [BATCH_END, '1'],
  ];
}

/** The headers of the message with the events, which is the last one of its batch. */
export function endHeaders(batch: string, place: number): MsgHdrs {
  return headersOf(endHead(batch, place));
}

/** What the message with the events takes of a stream. */
export function endBytes(subject: string, data: Uint8Array): number {
  return storedBytes(subject, headBytesOf(endHead(batchId('0', 0), 1)), data);
}

/** Names an attempt to store a message with its ids. */
export function batchId(run: string, attempt: number): string {
  return messageKey(run, attempt).toString('base64url');
}

function headersOf(lines: readonly (readonly [string, string])[]): MsgHdrs {
  const head = headers();
  for (const [name, value] of lines) head.set(name, value);
  return head;
}

/** What an id takes of a stream, in bytes. All take as much. */
export function idBytes(stream: string): number {
  const subject = idSubject(stream, '', new Uint32Array(ID_WORDS), 0);
  const head = headBytesOf(idHead(batchId('0', 0), 1, keptFor(0)));
  return storedBytes(subject, head, Buffer.alloc(CONTENT_BYTES));
}

/** Ids are looked at once a second, and too many go then: until then there is room for some more. */
const SPARE_IDS = 10_000;

/** What ids may take of a stream beside the events, in bytes. */
export function idsRoom(stream: string, idsMax: number): number {
  return idsMax === 0 ? 0 : (idsMax + SPARE_IDS) * idBytes(stream) + secretBytes(stream);
}

/** The same for the secret. */
export function secretBytes(stream: string): number {
  const secret = Buffer.alloc(SIP_KEY_BYTES);
  return storedBytes(secretSubject(stream), headBytesOf([[EXPECTED_LAST, '0']]), secret);
}
