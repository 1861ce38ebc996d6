/**
 * What the id window keeps of an event, in its line: white space between the text and the marks after it (run-mark.ts,
 * checksum.ts), which cover it; a space is 0, a tab is 1, the most significant bit first. So an id is exactly as durable as
 * its event (N14). Lines of other sources have no such mark. Its length tells the form:
 *
 * - 28 characters, if id and content are those of the line: whether the line ends with a `timestamp` that the sender did not
 *   send (4 bits), and the source (24 bits).
 * - 68 characters: also the holder of the key (40 bits).
 * - 152 characters, for all others: the source, the hash of the id (96 bits), the checksum of the content (32 bits). Such an
 *   id is made of more than the line has: the source of a CloudEvent, the body of a webhook, an `Idempotency-Key`.
 */
import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { Ending } from '../../../event/ending.js';
import { contentOf, ID_WORDS, idBytes } from '../../../event/event-ids.js';
import type { EventIds } from '../../../event/event-ids.js';
import { maskOf } from '../../../event/id-scope.js';
import type { IdScope } from '../../../event/id-scope.js';
import { idOfLine } from '../../../event/event.js';
import type { SipHash } from '../../../event/sip-hash.js';

const SPACE = 0x20;
const TAB = 0x09;
const FLAG_BITS = 4;
const SOURCE_BITS = 24;
const HOLDER_BITS = 40;
const WORD_BITS = 32;
const SHORT_BYTES = FLAG_BITS + SOURCE_BITS;
const OF_HOLDER_BYTES = SHORT_BYTES + HOLDER_BITS;
const LONG_BYTES = SOURCE_BITS + ID_WORDS * WORD_BITS;
export const ID_MARKS_BYTES: readonly number[] = [SHORT_BYTES, OF_HOLDER_BYTES, LONG_BYTES];
/** The end of a line whose event came without `timestamp`, as `timestampEnd` makes it. */
const TAIL = /,"timestamp":-?\d+\}$/;

/** The mark of an event, and the CRC-32 of the text before it and of it. */
export type IdMark = Pick<Ending, 'bytes' | 'sumAfter'>;

/** The characters of each half byte, as one number of 32 bits in the order of this machine. */
const NIBBLES = Uint32Array.from({ length: 16 }, (_, nibble) => {
  const bytes = Uint8Array.from([8, 4, 2, 1], (bit) => ((nibble & bit) === 0 ? SPACE : TAB));
  return new Uint32Array(bytes.buffer)[0] ?? 0;
});
const characters = new Uint32Array(LONG_BYTES / 4);
const longMark: IdMark = {
  bytes: new Uint8Array(characters.buffer),
  sumAfter: (sum) => crc32(longMark.bytes, sum),
};

/** The number of a source in the marks of its events. Sources of one server must not have the same. */
export function sourceTag(source: string): number {
  return createHash('sha256')
    .update(source)
    .digest()
    .readUIntBE(0, SOURCE_BITS / 8);
}

/** The number of the source in a mark; of the other forms it is at the start, after some flags. */
export function sourceTagIn(mark: Uint8Array): number {
  let tag = 0;
  const start = mark.length === LONG_BYTES ? 0 : FLAG_BITS;
  for (let at = start; at < start + SOURCE_BITS; at++) tag = tag * 2 + (mark[at] === TAB ? 1 : 0);
  return tag;
}

/** The first two sources with the same number; `null`: there are none. */
export function sameTag(sources: readonly string[]): readonly [string, string] | null {
  const known = new Map<number, string>();
  for (const source of sources) {
    const other = known.get(sourceTag(source));
    if (other !== undefined) return [other, source];
    known.set(sourceTag(source), source);
  }
  return null;
}

/** The marks of a scope: its number, and the short form without and with a timestamp of the server. */
interface OfScope {
  readonly tag: number;
  readonly short: readonly [Ending, Ending];
}

const scopes = new WeakMap<IdScope, OfScope>();
/** Mostly all events that are written together have the same. */
let lastScope: IdScope | null = null;
let lastOfScope: OfScope | null = null;

function ofScope(scope: IdScope): OfScope {
  if (lastOfScope !== null && scope === lastScope) return lastOfScope;
  lastScope = scope;
  return (lastOfScope = newOfScope(scope));
}

function newOfScope(scope: IdScope): OfScope {
  let known = scopes.get(scope);
  if (known === undefined) {
    const { source, holder } = scope;
    const tag = sourceTag(source);
    const short = (flags: number): Ending => {
      const ofHolder = holder === null ? '' : bitsOf(holder, HOLDER_BITS);
      return new Ending(Buffer.from(bitsOf(flags, FLAG_BITS) + bitsOf(tag, SOURCE_BITS) + ofHolder));
    };
    known = { tag, short: [short(0), short(1)] };
    scopes.set(scope, known);
  }
  return known;
}

function bitsOf(value: number, bits: number): string {
  return value.toString(2).padStart(bits, '0').replaceAll('0', ' ').replaceAll('1', '\t');
}

/** The size of the mark of each event of a request. */
export function idMarkBytes({ areInLines, scope }: EventIds): number {
  if (!areInLines) return LONG_BYTES;
  return scope.holder === null ? SHORT_BYTES : OF_HOLDER_BYTES;
}

/** The mark of an event. The next call may overwrite it. */
export function idMark(ids: EventIds, index: number): IdMark {
  const { tag, short } = ofScope(ids.scope);
  if (ids.areInLines) return short[ids.isTimed(index) ? 1 : 0];
  let at = 0;
  for (let bit = SOURCE_BITS - 4; bit >= 0; bit -= 4) characters[at++] = NIBBLES[(tag >>> bit) & 15] ?? 0;
  for (let word = 0; word < ID_WORDS; word++) {
    const value = ids.words[ids.at(index) + word] ?? 0;
    for (let bit = WORD_BITS - 4; bit >= 0; bit -= 4) characters[at++] = NIBBLES[(value >>> bit) & 15] ?? 0;
  }
  return longMark;
}

/**
 * Reads the id of an event.
 *
 * @param text of the event, without marks
 * @param mark of its id
 * @param hash of the window
 * @param words gets the words of the id
 * @returns the number of its source
 */
export function readIdMark(text: Buffer, mark: Uint8Array, hash: SipHash, words: Uint32Array): number {
  let at = 0;
  const next = (bits: number): number => {
    let value = 0;
    for (let bit = 0; bit < bits; bit++) value = value * 2 + (mark[at++] === TAB ? 1 : 0);
    return value;
  };
  if (mark.length === LONG_BYTES) {
    const tag = next(SOURCE_BITS);
    for (let word = 0; word < ID_WORDS; word++) words[word] = next(WORD_BITS);
    return tag;
  }
  const hasTail = next(FLAG_BITS) === 1;
  const tag = next(SOURCE_BITS);
  const mask = maskOf(hash, mark.length === OF_HOLDER_BYTES ? next(HOLDER_BITS) : null);
  const line = text.toString();
  const id = idBytes(idOfLine(line).id);
  hash.hash(id, 0, id.length);
  words[0] = hash.a ^ mask[0];
  words[1] = hash.b ^ mask[1];
  words[2] = hash.c ^ mask[2];
  // the tail is ASCII, so it is as long in bytes
  const tailBytes = hasTail ? (TAIL.exec(line)?.[0].length ?? 1) : 1;
  words[3] = contentOf(text.subarray(0, text.length - tailBytes));
  return tag;
}
