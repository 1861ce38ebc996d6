/**
 * What the id window keeps of an event, in its line: 24 bits for the source, 96 of the hash of its id, and the 32 bits of
 * the checksum of its content, as 152 characters of white space between the text and the marks after it (run-mark.ts,
 * checksum.ts), which cover it: the most significant bit first; a space is 0, a tab is 1. So an id is exactly as
 * durable as its event (N14), whatever the source made of the request. Lines of other sources have none.
 */
import { createHash } from 'node:crypto';
import type { EventIds } from '../../../event/event-ids.js';
import { ID_WORDS } from '../../../event/event-ids.js';

const SPACE = 0x20;
const TAB = 0x09;
const SOURCE_BITS = 24;
const WORD_BITS = 32;
const SOURCE_CHARACTERS = SOURCE_BITS;
export const ID_MARK_BYTES = SOURCE_CHARACTERS + ID_WORDS * WORD_BITS;

/** The characters of each half byte, as one number of 32 bits in the order of this machine. */
const NIBBLES = Uint32Array.from({ length: 16 }, (_, nibble) => {
  const bytes = Uint8Array.from([8, 4, 2, 1], (bit) => ((nibble & bit) === 0 ? SPACE : TAB));
  return new Uint32Array(bytes.buffer)[0] ?? 0;
});
const characters = new Uint32Array(ID_MARK_BYTES / 4);
const mark = new Uint8Array(characters.buffer);

/** The number of a source in the marks of its events. Sources of one server must not have the same. */
export function sourceTag(source: string): number {
  return createHash('sha256')
    .update(source)
    .digest()
    .readUIntBE(0, SOURCE_BITS / 8);
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

const tags = new Map<string, number>();

/** The mark of an event. The next call overwrites it. */
export function idMark({ scope, words }: EventIds, index: number): Uint8Array {
  let tag = tags.get(scope.source);
  if (tag === undefined) {
    tag = sourceTag(scope.source);
    tags.set(scope.source, tag);
  }
  let at = 0;
  for (let bit = SOURCE_BITS - 4; bit >= 0; bit -= 4) characters[at++] = NIBBLES[(tag >>> bit) & 15] ?? 0;
  for (let word = index * ID_WORDS; word < (index + 1) * ID_WORDS; word++) {
    const value = words[word] ?? 0;
    for (let bit = WORD_BITS - 4; bit >= 0; bit -= 4) characters[at++] = NIBBLES[(value >>> bit) & 15] ?? 0;
  }
  return mark;
}

/** Reads the mark that starts at a position. @param words gets the words of the id @returns the tag of the source */
export function readIdMark(line: Uint8Array, start: number, words: Uint32Array): number {
  let at = start;
  const next = (bits: number): number => {
    let value = 0;
    for (let bit = 0; bit < bits; bit++) value = (value << 1) | (line[at++] === TAB ? 1 : 0);
    return value >>> 0;
  };
  const tag = next(SOURCE_BITS);
  for (let word = 0; word < ID_WORDS; word++) words[word] = next(WORD_BITS);
  return tag;
}
