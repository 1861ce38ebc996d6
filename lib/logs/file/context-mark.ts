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
const FLAG_BITS = 6;
const TRACE_BYTES = 25;
const SUM_BITS = 32;
const TRACE_MARK_BYTES = FLAG_BITS + 8 * TRACE_BYTES;
const AGAIN_MARK_BYTES = FLAG_BITS + SUM_BITS;
export const CONTEXT_MARKS_BYTES: readonly number[] = [FLAG_BITS, AGAIN_MARK_BYTES, TRACE_MARK_BYTES];
/** What the first line of a request has more than its others, at most; also the first that goes into another batch. */
export const CONTEXT_BYTES_MORE = TRACE_MARK_BYTES - AGAIN_MARK_BYTES;
const VERSION = '00';

/** The size of the marks of a request's events, from number `from` to before `to`. */
export function contextMarksBytes({ traceparent }: EventContext, from: number, to: number): number {
  if (traceparent === null) return FLAG_BITS * (to - from);
  const first = from === 0 && to > 0 ? CONTEXT_BYTES_MORE : 0;
  return AGAIN_MARK_BYTES * (to - from) + first;
}

/** The marks of consecutive events of a request. */
export interface ContextMarks {
  readonly first: Uint8Array;
  /** For each event after the first. */
  readonly again: Uint8Array;
}

export function contextMarks({ traceparent, isReplay }: EventContext): ContextMarks {
  const trace = traceparent === null ? null : traceOf(traceparent);
  const first = new Uint8Array(trace === null ? FLAG_BITS : TRACE_MARK_BYTES).fill(SPACE);
  if (isReplay) first[FLAG_BITS - 1] = TAB;
  if (trace === null) return { first, again: first };
  for (const [index, byte] of trace.entries()) setBits(first, FLAG_BITS + 8 * index, byte, 8);
  const again = first.slice(0, AGAIN_MARK_BYTES);
  setBits(again, FLAG_BITS, crc32(trace), SUM_BITS);
  return { first, again };
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
   * Reads the mark of an event.
   *
   * @param index of the event
   */
  add(index: number, lines: Uint8Array, start: number, end: number): void {
    const isReplay = lines[start + FLAG_BITS - 1] === TAB;
    const traceparent = this.#traceparent(lines, start, end);
    const contexts = (this.#contexts ??= []);
    while (contexts.length < index) contexts.push(null);
    contexts.push(traceparent === null && !isReplay ? null : { traceparent, isReplay });
  }

  /** @param events how many were read */
  contexts(events: number): EventContexts {
    const contexts = this.#contexts;
    if (contexts === null) return NO_CONTEXTS;
    while (contexts.length < events) contexts.push(null);
    return contexts;
  }

  #traceparent(lines: Uint8Array, start: number, end: number): string | null {
    const at = start + FLAG_BITS;
    if (end - start === TRACE_MARK_BYTES) {
      const trace = Buffer.allocUnsafe(TRACE_BYTES);
      for (let index = 0; index < TRACE_BYTES; index++) trace[index] = bitsAt(lines, at + 8 * index, 8);
      this.#sum = crc32(trace);
      return (this.last = traceparentOf(trace));
    }
    if (end - start === FLAG_BITS || this.last === null) return null;
    this.#sum ??= crc32(traceOf(this.last));
    return this.#sum === bitsAt(lines, at, SUM_BITS) ? this.last : null;
  }
}

function traceOf(traceparent: string): Buffer {
  return Buffer.from(traceparent.slice(VERSION.length).replaceAll('-', ''), 'hex');
}

function traceparentOf(trace: Buffer): string {
  const hex = trace.toString('hex');
  return `${VERSION}-${hex.slice(0, 32)}-${hex.slice(32, 48)}-${hex.slice(48)}`;
}

function setBits(mark: Uint8Array, at: number, value: number, bits: number): void {
  for (let bit = 0; bit < bits; bit++)
    mark[at + bit] = ((value >>> (bits - 1 - bit)) & 1) === 1 ? TAB : SPACE;
}

function bitsAt(lines: Uint8Array, at: number, bits: number): number {
  let value = 0;
  for (let bit = 0; bit < bits; bit++) value = value * 2 + (lines[at + bit] === TAB ? 1 : 0);
  return value;
}
