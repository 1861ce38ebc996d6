/**
 * The context of an event, in its line: white space between the text, or the mark of its id, and the mark of the run; a
 * space is 0, a tab is 1, the most significant bit first. The checksum of the line covers it. Events without a context have
 * no such mark. Its length tells the form:
 *
 * - 6 characters: flags. The last is set for a replay, the others are 0.
 * - 206 characters: the flags, and a `traceparent` in version 00: the trace (128 bits), its parent (64), its flags (8).
 * - 38 characters: the flags, and the CRC-32 of the 25 bytes of a `traceparent`: that of the last line before it that has one.
 *   Only lines of the same request in the same batch refer to each other.
 *
 * If the line before it is damaged, or gone, the CRC-32 is that of another `traceparent`: then the event has none, which is
 * better than a wrong one. All sums with the lengths of other marks differ, so the length of all white space tells which marks
 * a line has.
 */
import { crc32 } from 'node:zlib';
import type { EventContext } from '../../event/event-context.js';
import { NO_CONTEXTS } from '../../seams/event-contexts.js';
import type { EventContexts } from '../../seams/event-contexts.js';

const SPACE = 0x20;
const TAB = 0x09;
const HYPHEN = 0x2d;
const FLAG_BITS = 6;
const SUM_BITS = 32;
const NIBBLE_BITS = 4;
/** `00-`, and where the hyphens of a `traceparent` are. */
const VERSION = '00-';
const HYPHENS = new Set([35, 52]);
const TRACEPARENT_CHARS = 55;
const TRACE_MARK_BYTES = FLAG_BITS + 8 * 25;
const AGAIN_MARK_BYTES = FLAG_BITS + SUM_BITS;
export const CONTEXT_MARKS_BYTES: readonly number[] = [FLAG_BITS, AGAIN_MARK_BYTES, TRACE_MARK_BYTES];
/** What the first line of a request has more than its others, at most; also the first that goes into another batch. */
export const CONTEXT_BYTES_MORE = TRACE_MARK_BYTES - AGAIN_MARK_BYTES;

const HEX = Buffer.from('0123456789abcdef');
/** Where the bits of each digit go. */
const DIGITS = Array.from({ length: TRACEPARENT_CHARS }, (_each, at) => at).filter(
  (at) => at >= VERSION.length && !HYPHENS.has(at),
);
const written = new Uint8Array(TRACE_MARK_BYTES);
const traceparent = Buffer.alloc(TRACEPARENT_CHARS, HYPHEN);
traceparent.write(VERSION);

/** The size of the marks of a request's events, from number `from` to before `to`. */
export function contextMarksBytes(context: EventContext, from: number, to: number): number {
  if (context.traceparent === null) return FLAG_BITS * (to - from);
  const first = from === 0 && to > 0 ? CONTEXT_BYTES_MORE : 0;
  return AGAIN_MARK_BYTES * (to - from) + first;
}

/** The mark of the first of consecutive events of a request. The next call overwrites it. */
export function firstContextMark(context: EventContext): Uint8Array {
  written.fill(SPACE, 0, FLAG_BITS);
  if (context.isReplay) written[FLAG_BITS - 1] = TAB;
  if (context.traceparent === null) return written.subarray(0, FLAG_BITS);
  let at = FLAG_BITS;
  for (const digit of DIGITS) {
    const code = context.traceparent.charCodeAt(digit);
    // digits are at 0x30, letters at 0x61
    const nibble = (code & 15) + 9 * (code >>> 6);
    for (let bit = NIBBLE_BITS - 1; bit >= 0; bit--)
      written[at++] = SPACE - (SPACE - TAB) * ((nibble >>> bit) & 1);
  }
  return written;
}

/** The mark of each event after it. */
export function furtherContextMark({ traceparent: trace, isReplay }: EventContext): Uint8Array {
  const mark = new Uint8Array(trace === null ? FLAG_BITS : AGAIN_MARK_BYTES).fill(SPACE);
  if (isReplay) mark[FLAG_BITS - 1] = TAB;
  const sum = trace === null ? 0 : sumOf(trace);
  for (let at = FLAG_BITS; at < mark.length; at++)
    if (((sum >>> (AGAIN_MARK_BYTES - 1 - at)) & 1) === 1) mark[at] = TAB;
  return mark;
}

/** Reads the contexts of the lines of a batch, or of several, in their order. */
export class ContextReader {
  /** The last `traceparent`, to which the next line may refer. */
  last: string | null;
  /** Its CRC-32; `null`: not known yet. */
  #sum: number | null = null;
  #contexts: (EventContext | null)[] | null = null;

  /** @param last before the first line */
  constructor(last: string | null = null) {
    this.last = last;
  }

  /**
   * Reads the mark of an event (N7).
   *
   * @param index of the event
   */
  add(index: number, lines: Uint8Array, start: number, end: number): void {
    const isReplay = lines[start + FLAG_BITS - 1] === TAB;
    const trace = this.#trace(lines, start, end);
    const contexts = (this.#contexts ??= []);
    while (contexts.length < index) contexts.push(null);
    contexts.push(trace === null && !isReplay ? null : { traceparent: trace, isReplay });
  }

  /** @param events how many were read */
  contexts(events: number): EventContexts {
    const contexts = this.#contexts;
    if (contexts === null) return NO_CONTEXTS;
    while (contexts.length < events) contexts.push(null);
    return contexts;
  }

  #trace(lines: Uint8Array, start: number, end: number): string | null {
    const at = start + FLAG_BITS;
    if (end - start === TRACE_MARK_BYTES) {
      this.#sum = null;
      return (this.last = traceAt(lines, at));
    }
    if (end - start === FLAG_BITS || this.last === null) return null;
    this.#sum ??= sumOf(this.last);
    return this.#sum === sumAt(lines, at) ? this.last : null;
  }
}

function sumOf(trace: string): number {
  return crc32(Buffer.from(trace.slice(VERSION.length).replaceAll('-', ''), 'hex'));
}

/** A tab is odd, a space is even. */
function traceAt(lines: Uint8Array, start: number): string {
  let at = start;
  for (const digit of DIGITS) {
    let nibble = 0;
    for (let bit = 0; bit < NIBBLE_BITS; bit++) nibble = (nibble << 1) | ((lines[at++] ?? 0) & 1);
    traceparent[digit] = HEX[nibble] ?? 0;
  }
  return traceparent.toString('latin1');
}

function sumAt(lines: Uint8Array, start: number): number {
  let sum = 0;
  for (let at = start; at < start + SUM_BITS; at++) sum = (sum << 1) | ((lines[at] ?? 0) & 1);
  return sum >>> 0;
}
