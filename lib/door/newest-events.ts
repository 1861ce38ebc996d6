import type { EventBlock } from '../event/event-block.js';
import type { EventReader } from '../seams/source.js';

/** How many events of a source are kept. */
export const NEWEST_MAX = 5;
/** How many bytes are kept of each: `id` and `type` are usually among the first. */
const HEAD_BYTES_MAX = 1024;

/** The start of an accepted event. */
export interface EventHead {
  /** The first bytes of its line in the log. */
  readonly head: Buffer;
  /** The length of the whole line, in bytes. */
  readonly bytes: number;
  /** When it was acknowledged, in milliseconds since 1970. */
  readonly atMs: number;
}

/**
 * The newest accepted events of a source. Copies their first bytes into room of its own, so that no block of a
 * request outlives its answer.
 */
export class NewestEvents {
  readonly #slots: { head: Buffer; bytes: number; atMs: number }[] = [];
  /** How many there ever were. */
  #noted = 0;

  /** Takes some 0.1 µs for an event. Of a request with many, only the last count; duplicates do not. */
  note({ block }: Pick<EventReader, 'block'>): void {
    const { length } = block;
    const atMs = Date.now();
    let from = length;
    for (let found = 0; found < NEWEST_MAX && from > 0;) if (isNew(block, --from)) found++;
    for (let index = from; index < length; index++) {
      if (!isNew(block, index)) continue;
      const line = block.lineOf(index);
      const slot = (this.#slots[this.#noted % NEWEST_MAX] ??= {
        head: Buffer.alloc(HEAD_BYTES_MAX),
        bytes: 0,
        atMs: 0,
      });
      line.copy(slot.head); // as far as there is room
      slot.bytes = line.length;
      slot.atMs = atMs;
      this.#noted++;
    }
  }

  /** Newest first. What is in `head` changes with the next event. */
  heads(): EventHead[] {
    const next = this.#noted % NEWEST_MAX;
    const oldestFirst = [...this.#slots.slice(next), ...this.#slots.slice(0, next)];
    return oldestFirst
      .toReversed()
      .map(({ head, bytes, atMs }) => ({ head: head.subarray(0, bytes), bytes, atMs }));
  }
}

/** Not in the id window of its source. */
function isNew({ ids }: EventBlock, index: number): boolean {
  return ids === null || ids.findingOf(index) === 'new';
}
