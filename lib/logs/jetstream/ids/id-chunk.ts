import { ForebayError } from '../../../base/errors.js';
import { ID_WORDS } from '../../../event/event-ids.js';
import type { EventIds } from '../../../event/event-ids.js';
import type { BatchPart, EventLog, EventRange, PartEnded, QueuedEvents } from '../../../seams/event-log.js';
import { ID_BATCH_MAX, idSubject } from './id-message.js';
import type { KnownId } from './id-message.js';

/** An event with an id that is to be stored. */
export interface IdEvent {
  readonly request: QueuedEvents;
  readonly index: number;
  readonly ids: EventIds;
  readonly subject: string;
}

/** Events of a part: those without ids, and some at a time of those with. */
export interface PartShares {
  readonly plain: BatchPart | null;
  readonly chunks: readonly BatchPart[];
}

export type BytesOf = EventLog['bytesOf'];

/** Sorts the events of a part: those with ids are stored together with them, a bounded number at a time. */
export function sharesOf(part: BatchPart, bytesOf: BytesOf): PartShares {
  const hasIds = ({ request }: EventRange): boolean => request.block.ids !== null;
  if (!part.ranges.some(hasIds)) return { plain: part.events > 0 ? part : null, chunks: [] };
  const plain = part.ranges.filter((range) => !hasIds(range));
  const chunks: EventRange[][] = [];
  let room = 0;
  for (const { request, ...range } of part.ranges.filter(hasIds)) {
    for (let { from } = range; from < range.to;) {
      if (room === 0) {
        chunks.push([]);
        room = ID_BATCH_MAX - 1;
      }
      const to = Math.min(range.to, from + room);
      chunks.at(-1)?.push({ request, from, to });
      room -= to - from;
      from = to;
    }
  }
  return {
    plain: plain.length > 0 ? partOf(plain, bytesOf) : null,
    chunks: chunks.map((ranges) => partOf(ranges, bytesOf)),
  };
}

export function partOf(ranges: readonly EventRange[], bytesOf: BytesOf): BatchPart {
  const events = ranges.reduce((sum, { from, to }) => sum + to - from, 0);
  const bytes = ranges.reduce((sum, { request, from, to }) => sum + bytesOf(request.block, from, to), 0);
  return { ranges, events, bytes, end: null };
}

/** Events with ids on their way into one message, without those that turn out to be known. */
export class IdChunk {
  /** Names the message, at each attempt. */
  readonly key: Buffer;
  /** Those that are to be stored. */
  events: readonly IdEvent[];
  readonly #ranges: readonly EventRange[];
  readonly #bytesOf: BytesOf;
  /** Requests that are not taken: an event of theirs has the id of another one, and such are refused. */
  readonly #refused = new Set<QueuedEvents>();

  constructor(stream: string, { ranges }: BatchPart, key: Buffer, bytesOf: BytesOf) {
    this.#ranges = ranges;
    this.key = key;
    this.#bytesOf = bytesOf;
    const events: IdEvent[] = [];
    for (const { request, from, to } of ranges) {
      const { ids } = request.block;
      if (ids === null) continue;
      for (let index = from; index < to; index++) {
        const subject = idSubject(stream, ids.scope.source, ids.words, ids.at(index));
        events.push({ request, index, ids, subject });
      }
    }
    this.events = events;
  }

  /** What is to be stored. */
  get part(): BatchPart {
    const ranges: EventRange[] = [];
    for (const { request, index } of this.events) {
      const last = ranges.at(-1);
      if (last?.request === request && last.to === index)
        ranges[ranges.length - 1] = { ...last, to: index + 1 };
      else ranges.push({ request, from: index, to: index + 1 });
    }
    return partOf(ranges, this.#bytesOf);
  }

  /** Whether this message is stored: with all of its ids, or with none. */
  isStored(known: ReadonlyMap<string, KnownId>): boolean {
    for (const { key } of known.values()) if (key.equals(this.key)) return true;
    return false;
  }

  /** Leaves out events whose ids are known. */
  leaveOut(known: ReadonlyMap<string, KnownId>): void {
    for (const { request, index, ids, subject } of this.events) {
      const first = known.get(subject);
      if (first === undefined) continue;
      const isSame = first.content === contentOf(ids, index);
      ids.found(index, isSame ? 'duplicate' : 'conflict');
      if (!isSame && ids.refusesWhole) this.#refused.add(request);
    }
    this.events = this.events.filter(
      ({ request, subject }) => !known.has(subject) && !this.#refused.has(request),
    );
  }

  /** What became of it, for those who wait: those that are left are stored, and others were known, or are refused. */
  settle(ended: PartEnded): void {
    const taken = this.#ranges.filter(({ request }) => !this.#refused.has(request));
    const refused = this.#ranges.filter(({ request }) => this.#refused.has(request));
    // known ones do not count as accepted once more
    const events = this.events.length;
    if (taken.length > 0) ended({ ...partOf(taken, this.#bytesOf), events }, null, null);
    if (refused.length > 0)
      ended({ ...partOf(refused, this.#bytesOf), events: 0 }, new ForebayError('ID_CONFLICT'), null);
  }
}

/** The checksum of the content of an event. */
export function contentOf(ids: EventIds, index: number): number {
  return ids.words[ids.at(index) + ID_WORDS - 1] ?? 0;
}
