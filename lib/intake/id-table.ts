import { ID_WORDS } from '../event/event-ids.js';

/** Words of an entry: the id's words, and when it was remembered, or whose request it is on its way with. */
const ENTRY_WORDS = ID_WORDS + 1;
const TIME = ID_WORDS;
const CHUNK_BITS = 14;
const CHUNK_ENTRIES = 2 ** CHUNK_BITS;
/** In place of a time: the entry is no longer used. */
const DEAD = 0;
/** Added to the number of a request, in place of a time. No time is that large before 2088. */
const ON_ITS_WAY = 0x80000000;
/** Words of a cell of the index: the entry's place plus 1, or 0, and the first word of its id. */
const CELL_WORDS = 2;
const CELLS_MIN = 1024;
const LOAD_MAX = 0.75;
/** An insertion lets at most this many old entries go, so that none takes long. */
const DROPS_AT_ONCE = 4;

/** No entry. */
export const NONE = -1;

const EPOCH_S = Date.UTC(2020, 0, 1) / 1000;

/** A time as entries have it: in seconds since 2020, at least 1. @param ms milliseconds since 1970 */
export function entryTime(ms: number): number {
  return Math.max(1, Math.floor(ms / 1000) - EPOCH_S);
}

/**
 * Ids of one source, in the order in which they came, bounded in number and age: 20 bytes for an entry and 16 to 21 for
 * its cells of the index, a hash table with linear probing. No id costs an object.
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
  /** Chunks of entries, by number, and the numbers of those in use, oldest first. */
  readonly #chunks: Uint32Array[] = [];
  readonly #order: number[] = [];
  readonly #free: number[] = [];
  /** Where the oldest chunk starts and the newest ends, in entries. */
  #first = 0;
  #end = CHUNK_ENTRIES;
  #cells = new Uint32Array(CELLS_MIN * CELL_WORDS);
  #mask = CELLS_MIN - 1;

  /** @param max entries at most; those on their way come on top */
  constructor(windowMs: number, max: number) {
    this.#windowS = Math.ceil(windowMs / 1000);
    this.#max = max;
  }

  /** The entry of an id: its place, or `NONE`. @param at where its words start */
  find(words: Uint32Array, at: number, nowS: number): number {
    const a = words[at] ?? 0;
    const cells = this.#cells;
    for (let cell = a & this.#mask; ; cell = (cell + 1) & this.#mask) {
      const place = cells[cell * CELL_WORDS] ?? 0;
      if (place === 0) return NONE;
      if (cells[cell * CELL_WORDS + 1] !== a) continue;
      const chunk = this.#chunkOf(place - 1);
      const offset = offsetOf(place - 1);
      if (chunk[offset + 1] !== words[at + 1] || chunk[offset + 2] !== words[at + 2]) continue;
      if (this.#isOver(chunk[offset + TIME] ?? 0, nowS)) {
        this.drop(place - 1);
        return NONE;
      }
      return place - 1;
    }
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
    this.#kill(place);
    for (let newest = this.#order.at(-1); newest !== undefined; newest = this.#order.at(-1)) {
      const isOnlyChunk = this.#order.length === 1;
      if (isOnlyChunk && this.#end === this.#first) return;
      const last = newest * CHUNK_ENTRIES + this.#end - 1;
      if (this.#chunkOf(last)[offsetOf(last) + TIME] !== DEAD) return;
      this.#end--;
      if (this.#end > 0 || isOnlyChunk) continue;
      this.#free.push(newest);
      this.#order.pop();
      this.#end = CHUNK_ENTRIES;
    }
  }

  #kill(place: number): void {
    const chunk = this.#chunkOf(place);
    const offset = offsetOf(place);
    if (chunk[offset + TIME] === DEAD) return;
    if (this.requestOf(place) !== NONE) this.#onTheirWay--;
    this.#unlink(place, chunk[offset] ?? 0);
    chunk[offset + TIME] = DEAD;
    this.size--;
  }

  /** The request that an entry is on its way with; `NONE`: its event is durable. */
  requestOf(place: number): number {
    const time = this.#chunkOf(place)[offsetOf(place) + TIME] ?? 0;
    return time >= ON_ITS_WAY ? time - ON_ITS_WAY : NONE;
  }

  contentOf(place: number): number {
    return this.#chunkOf(place)[offsetOf(place) + ID_WORDS - 1] ?? 0;
  }

  /** Lets go of what is too old, at most this many entries. */
  age(nowS: number, most: number): void {
    for (let dropped = 0; dropped < most && this.#order.length > 0; dropped++) {
      const isOnlyChunk = this.#order.length === 1;
      if (this.#first === (isOnlyChunk ? this.#end : CHUNK_ENTRIES)) {
        if (isOnlyChunk) return;
        this.#free.push(this.#order.shift() ?? 0);
        this.#first = 0;
      }
      const place = (this.#order[0] ?? 0) * CHUNK_ENTRIES + this.#first;
      const time = this.#chunkOf(place)[offsetOf(place) + TIME] ?? 0;
      if (time >= ON_ITS_WAY) return; // in the order of coming, so those after it are no older
      if (time !== DEAD && this.#isOver(time, nowS)) this.droppedAgeS = null;
      else if (time !== DEAD) {
        if (this.size - this.#onTheirWay <= this.#max) return;
        this.droppedAgeS = Math.max(0, nowS - time);
      }
      this.#kill(place);
      this.#first++;
    }
  }

  #isOver(time: number, nowS: number): boolean {
    return time < ON_ITS_WAY && nowS - time >= this.#windowS;
  }

  #append(words: Uint32Array, at: number, time: number, nowS: number): number {
    if (this.#end === CHUNK_ENTRIES) this.#newChunk();
    const place = (this.#order.at(-1) ?? 0) * CHUNK_ENTRIES + this.#end++;
    const chunk = this.#chunkOf(place);
    const offset = offsetOf(place);
    for (let word = 0; word < ID_WORDS; word++) chunk[offset + word] = words[at + word] ?? 0;
    chunk[offset + TIME] = time;
    this.size++;
    if (this.size > (this.#mask + 1) * LOAD_MAX) this.#growIndex();
    this.#link(this.#cells, this.#mask, place, chunk[offset] ?? 0);
    this.age(nowS, DROPS_AT_ONCE);
    return place;
  }

  #newChunk(): void {
    const number = this.#free.pop() ?? this.#chunks.push(new Uint32Array(CHUNK_ENTRIES * ENTRY_WORDS)) - 1;
    this.#order.push(number);
    this.#end = 0;
  }

  #link(cells: Uint32Array, mask: number, place: number, a: number): void {
    let cell = a & mask;
    while (cells[cell * CELL_WORDS] !== 0) cell = (cell + 1) & mask;
    cells[cell * CELL_WORDS] = place + 1;
    cells[cell * CELL_WORDS + 1] = a;
  }

  /** Empties the cell of an entry, and moves those after it back that would not be found otherwise (Knuth, 6.4, R). */
  #unlink(place: number, a: number): void {
    const cells = this.#cells;
    const mask = this.#mask;
    let hole = a & mask;
    while (cells[hole * CELL_WORDS] !== place + 1) hole = (hole + 1) & mask;
    for (let next = (hole + 1) & mask; ; next = (next + 1) & mask) {
      const moved = cells[next * CELL_WORDS] ?? 0;
      if (moved === 0) break;
      const home = (cells[next * CELL_WORDS + 1] ?? 0) & mask;
      if (((next - home) & mask) < ((next - hole) & mask)) continue;
      cells[hole * CELL_WORDS] = moved;
      cells[hole * CELL_WORDS + 1] = cells[next * CELL_WORDS + 1] ?? 0;
      hole = next;
    }
    cells[hole * CELL_WORDS] = 0;
  }

  #growIndex(): void {
    const mask = 2 * this.#mask + 1;
    const cells = new Uint32Array((mask + 1) * CELL_WORDS);
    for (let at = 0; at < this.#cells.length; at += CELL_WORDS) {
      const place = this.#cells[at] ?? 0;
      if (place !== 0) this.#link(cells, mask, place - 1, this.#cells[at + 1] ?? 0);
    }
    this.#cells = cells;
    this.#mask = mask;
  }

  #chunkOf(place: number): Uint32Array {
    return this.#chunks[place >>> CHUNK_BITS] ?? NO_CHUNK;
  }
}

const NO_CHUNK = new Uint32Array(0);

function offsetOf(place: number): number {
  return (place & (CHUNK_ENTRIES - 1)) * ENTRY_WORDS;
}
