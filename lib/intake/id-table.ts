import { EVENT_WORDS, ID_WORDS } from '../event/event-ids.js';

/** Words of an entry: the id's words, and when it was remembered, or whose request it is on its way with. */
const ENTRY_WORDS = ID_WORDS + 1;
const TIME = ID_WORDS;
const CHUNK_BITS = 14;
const CHUNK_ENTRIES = 2 ** CHUNK_BITS;
/** In place of a time: the entry is no longer used. */
const DEAD = 0;
/** Added to the number of a request, in place of a time, which is never negative before 2088. */
const ON_ITS_WAY = -0x80000000;
/**
 * The index is buckets of one cache line each: the places of ten entries, the place of the newest that had to go to the next
 * bucket, and 16 bits of the id of each of the ten. So few bytes have few pages, whose addresses the processor remembers.
 */
const BUCKET_WORDS = 16;
const CELLS = 10;
const ONWARDS = CELLS;
/** In halves of words. */
const TAGS = 2 * (CELLS + 1);
const BUCKETS_MIN = 128;
/** Entries for each bucket, at most. */
const LOAD_MAX = 7;
/** How much larger the index becomes when it is full. */
const GROWTH = 4;
const SMALL_BUCKETS = 2 ** 18; // 16 MiB: if it needs no more, the last step is larger
/** An insertion lets at most this many old entries go, so that none takes long. */
const DROPS_AT_ONCE = 4;

/** No entry. */
export const NONE = -1;

/**
 * Ids of one source, in the order in which they came, bounded in number and age: 20 bytes for an entry and 9 to 36 for its
 * part of the index, or at most 16 MiB in all. No id costs an object.
 *
 * A place is the number of an entry in that order, in 32 bits. Entries go in the same order, so the index is not changed:
 * a cell whose place is before the first entry is free. After four billion entries a place comes again: then an old cell
 * costs a look at another entry.
 */
export class IdTable {
  /** Entries that are used. */
  size = 0;
  /** How old the last entry was that had to go before its time, in seconds; `null`: those now go in their time. */
  droppedAgeS: number | null = null;
  /** Entries whose events are not durable yet. */
  #onTheirWay = 0;
  readonly #windowS: number;
  readonly #max: number;
  /** Chunks of entries: that of a place is at the high bits of the place, as far as this is long. */
  #ring: (Int32Array | null)[] = [null];
  readonly #free: Int32Array[] = [];
  /** The place of the oldest entry, and that of the next. */
  #first: number;
  #end: number;
  /** How many places after the first have been in the index: more than there are entries, if the newest were dropped. */
  #span = 0;
  #index = new Int32Array(BUCKETS_MIN * BUCKET_WORDS);
  #tags = new Uint16Array(this.#index.buffer);
  #buckets = BUCKETS_MIN;
  /** Of no meaning: without it a compiler would leave out what `fetch` reads. */
  fetched = 0;

  /**
   * @param max entries at most; those on their way come on top
   * @param first the first place, in 32 bits with a sign
   */
  constructor(windowMs: number, max: number, first = 1) {
    this.#windowS = Math.ceil(windowMs / 1000);
    this.#max = max;
    this.#first = first;
    this.#end = first;
  }

  /** The entry of an id: its place, or `NONE`. @param at where its words start */
  find(words: Uint32Array, at: number, nowS: number): number {
    const a = words[at] ?? 0;
    const tag = a & 0xffff;
    const index = this.#index;
    const tags = this.#tags;
    const first = this.#first;
    const span = this.#span;
    for (let bucket = this.#home(a); ; bucket = this.#after(bucket)) {
      const tagsAt = 2 * bucket + TAGS;
      for (let cell = 0; cell < CELLS; cell++) {
        if (tags[tagsAt + cell] !== tag) continue;
        const place = index[bucket + cell] ?? 0;
        if (!isLive(place, first, span) || !this.#isAt(place, words, at)) continue;
        if (!this.#isOver(this.#chunkOf(place)[offsetOf(place) + TIME] ?? 0, nowS)) return place;
        this.drop(place);
        return NONE;
      }
      if (!isLive(index[bucket + ONWARDS] ?? 0, first, span)) return NONE;
    }
  }

  /**
   * Reads the buckets of ids that are looked for next. These reads wait for memory together; `find` would wait for one
   * after the other, which is half of its time in a large table.
   *
   * @param at where the words of the first event start
   */
  fetch(words: Uint32Array, at: number, events: number): void {
    const index = this.#index;
    let all = 0;
    for (let next = at; next < at + EVENT_WORDS * events; next += EVENT_WORDS)
      all |= index[this.#home(words[next] ?? 0) + ONWARDS] ?? 0;
    this.fetched = all;
  }

  /** Whether an entry is that of an id. */
  #isAt(place: number, words: Uint32Array, at: number): boolean {
    const chunk = this.#chunkOf(place);
    const offset = offsetOf(place);
    for (let word = 0; word < ID_WORDS - 1; word++)
      if (chunk[offset + word] !== ((words[at + word] ?? 0) | 0)) return false;
    return chunk[offset + TIME] !== DEAD;
  }

  /** Adds an id that is not in the table. @param request on its way with this one @returns its place */
  add(words: Uint32Array, at: number, request: number, nowS: number): number {
    this.#onTheirWay++;
    return this.#append(words, at, ON_ITS_WAY + request, nowS);
  }

  /** Adds an id as of an earlier run, or makes it as new as that. */
  recall(words: Uint32Array, at: number, atS: number, nowS: number): void {
    if (this.#isOver(atS, nowS)) return;
    const known = this.find(words, at, nowS);
    if (known !== NONE) this.drop(known);
    this.#append(words, at, atS, nowS);
  }

  /** The event of an entry is durable. */
  keep(place: number, nowS: number): void {
    if (this.requestOf(place) !== NONE) this.#onTheirWay--;
    this.#chunkOf(place)[offsetOf(place) + TIME] = nowS;
  }

  /** Forgets an id. The room of the newest is used again, so refused events take none. */
  drop(place: number): void {
    const chunk = this.#chunkOf(place);
    const offset = offsetOf(place);
    if (chunk[offset + TIME] === DEAD) return;
    if (this.requestOf(place) !== NONE) this.#onTheirWay--;
    this.#unlink(place, chunk[offset] ?? 0);
    chunk[offset + TIME] = DEAD;
    this.size--;
    for (let last = this.#end; last !== this.#first; this.#end = last) {
      last = (last - 1) | 0;
      if (this.#chunkOf(last)[offsetOf(last) + TIME] !== DEAD) return;
    }
  }

  /** The request that an entry is on its way with; `NONE`: its event is durable. */
  requestOf(place: number): number {
    const time = this.#chunkOf(place)[offsetOf(place) + TIME] ?? 0;
    return time < 0 ? time - ON_ITS_WAY : NONE;
  }

  contentOf(place: number): number {
    return (this.#chunkOf(place)[offsetOf(place) + ID_WORDS - 1] ?? 0) >>> 0;
  }

  /** Lets go of what is too old, at most this many entries. */
  age(nowS: number, most: number): void {
    for (let dropped = 0; dropped < most && this.#first !== this.#end; dropped++) {
      const place = this.#first;
      const time = this.#chunkOf(place)[offsetOf(place) + TIME] ?? 0;
      if (time < 0) return; // in the order of coming, so those after it are no older
      if (time !== DEAD) {
        if (this.#isOver(time, nowS)) this.droppedAgeS = null;
        else if (this.size - this.#onTheirWay <= this.#max) return;
        else this.droppedAgeS = Math.max(0, nowS - time);
        this.size--;
      }
      this.#first = (place + 1) | 0;
      this.#span--;
      if (offsetOf(this.#first) === 0) this.#release(place);
    }
  }

  #isOver(time: number, nowS: number): boolean {
    return time >= 0 && nowS - time >= this.#windowS;
  }

  #append(words: Uint32Array, at: number, time: number, nowS: number): number {
    // these are no places
    while (this.#end === 0 || this.#end === NONE) {
      this.#chunkFor(this.#end)[offsetOf(this.#end) + TIME] = DEAD;
      this.#end = (this.#end + 1) | 0;
    }
    const place = this.#end;
    const chunk = this.#chunkFor(place);
    const offset = offsetOf(place);
    for (let word = 0; word < ID_WORDS; word++) chunk[offset + word] = words[at + word] ?? 0;
    chunk[offset + TIME] = time;
    this.#end = (place + 1) | 0;
    this.#span = Math.max(this.#span, (this.#end - this.#first) >>> 0);
    this.size++;
    if (this.size > this.#buckets * LOAD_MAX) this.#growIndex();
    else this.#link(place, chunk[offset] ?? 0);
    this.age(nowS, DROPS_AT_ONCE);
    return place;
  }

  /** Where the bucket of an id starts. @param a the first word of the id */
  #home(a: number): number {
    return Math.floor(((a >>> 0) * this.#buckets) / 2 ** 32) * BUCKET_WORDS;
  }

  #after(bucket: number): number {
    const next = bucket + BUCKET_WORDS;
    return next === this.#index.length ? 0 : next;
  }

  #link(place: number, a: number): void {
    const index = this.#index;
    const first = this.#first;
    const span = this.#span;
    for (let bucket = this.#home(a); ; bucket = this.#after(bucket)) {
      for (let cell = 0; cell < CELLS; cell++) {
        if (isLive(index[bucket + cell] ?? 0, first, span)) continue;
        index[bucket + cell] = place;
        this.#tags[2 * bucket + TAGS + cell] = a;
        return;
      }
      index[bucket + ONWARDS] = place;
    }
  }

  /** Frees the cell of an entry. */
  #unlink(place: number, a: number): void {
    const index = this.#index;
    for (let bucket = this.#home(a); ; bucket = this.#after(bucket)) {
      for (let cell = bucket; cell < bucket + CELLS; cell++) {
        if (index[cell] !== place) continue;
        index[cell] = 0;
        return;
      }
    }
  }

  /** Makes the index larger, but no larger than the most entries need. In large steps: each entry is a wait for memory. */
  #growIndex(): void {
    // with room for those on their way
    const most = Math.ceil((1.125 * this.#max + CHUNK_ENTRIES) / LOAD_MAX);
    const near = (most <= SMALL_BUCKETS ? 32 : 2 * GROWTH) * this.#buckets;
    this.#buckets = this.#buckets < most && near > most ? most : GROWTH * this.#buckets;
    this.#index = new Int32Array(this.#buckets * BUCKET_WORDS);
    this.#tags = new Uint16Array(this.#index.buffer);
    for (let place = this.#first; place !== this.#end; place = (place + 1) | 0) {
      const chunk = this.#chunkOf(place);
      const offset = offsetOf(place);
      if (chunk[offset + TIME] !== DEAD) this.#link(place, chunk[offset] ?? 0);
    }
  }

  #chunkOf(place: number): Int32Array {
    return this.#ring[(place >>> CHUNK_BITS) & (this.#ring.length - 1)] ?? NO_CHUNK;
  }

  /** The chunk of the next entry. */
  #chunkFor(place: number): Int32Array {
    const number = place >>> CHUNK_BITS;
    const chunks = (number - (this.#first >>> CHUNK_BITS)) & (2 ** (32 - CHUNK_BITS) - 1);
    if (chunks >= this.#ring.length) this.#growRing();
    const at = number & (this.#ring.length - 1);
    return (this.#ring[at] ??= this.#free.pop() ?? new Int32Array(CHUNK_ENTRIES * ENTRY_WORDS));
  }

  /** Each chunk has one of two places when the ring is twice as long. */
  #growRing(): void {
    const ring = this.#ring;
    const first = this.#first >>> CHUNK_BITS;
    this.#ring = Array.from({ length: 2 * ring.length }, () => null);
    for (let number = first; number < first + ring.length; number++)
      this.#ring[number & (this.#ring.length - 1)] = ring[number & (ring.length - 1)] ?? null;
  }

  /** All entries of the chunk have gone. @param place of one of them */
  #release(place: number): void {
    const at = (place >>> CHUNK_BITS) & (this.#ring.length - 1);
    const chunk = this.#ring[at] ?? null;
    this.#ring[at] = null;
    if (chunk !== null) this.#free.push(chunk);
  }
}

const NO_CHUNK = new Int32Array(0);

/** Whether the place of a cell is of an entry that has not gone. */
function isLive(place: number, first: number, span: number): boolean {
  return place !== 0 && (place - first) >>> 0 < span;
}

function offsetOf(place: number): number {
  return (place & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
}
