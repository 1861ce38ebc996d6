import { crc32 } from 'node:zlib';
import { Ending } from './ending.js';
import type { IdScope } from './id-scope.js';

/** The words of 32 bits that are kept of an event: three of its id's hash, one of its content. */
export const ID_WORDS = 4;
/** The same in bytes. */
export const ID_BYTES = 4 * ID_WORDS;
/** The words of an event of a request: besides, the CRC-32 of its line, the form of that, and its place in the window. */
export const EVENT_WORDS = 8;
const LINE_SUM = 4;
const LINE_FORM = 5;
const PLACE = 6;
/** How a line ends: as the event that was sent, or with a `timestamp` of the server. 0: its sum is not known. */
const AS_SENT = 1;
const TIMED = 2;

/** Bytes that no UTF-8 has: they keep ids of different kinds apart. */
const NOT_UTF8 = Buffer.of(0xff);
const BETWEEN = Buffer.of(0xfe);
const SCRATCH_BYTES = 512;
const scratch = Buffer.alloc(SCRATCH_BYTES);

/** What became of an event that was found in the window. */
export type IdFinding = 'new' | 'duplicate' | 'conflict';

/** Hears what became of events from number `from` to before `to`: `null` if they are durable. */
export interface IdKeeper {
  ended(from: number, to: number, error: Error | null): void;
}

/** Requests of one event, as nearly all are, share an array: one of their own takes longer than their hash. */
const POOL_WORDS = 512 * EVENT_WORDS;
let pool = new Uint32Array(POOL_WORDS);
let poolUsed = 0;

/**
 * The ids of the events of a request, in their order, as the id window keeps them. Two events have the same id if their
 * three words are equal; their content is the same if the fourth is equal, too.
 */
export class EventIds {
  readonly scope: IdScope;
  /** Given by the id window while the events are on their way to the log. */
  keeper: IdKeeper | null = null;
  /** Events found in the window. Conflicts are those whose content differs from the first. */
  duplicates = 0;
  conflicts = 0;
  /** The first event with other content. */
  firstConflict = 0;
  /** Whether an event with other content may be refused while the others are taken, or is with all of them. */
  refusesAlone = false;
  refusesWhole = false;
  /** The words of all events, from `at(0)` on. */
  words = pool;
  #start: number;
  #end: number;
  #length = 0;
  /** Events whose id and content can be found in their lines. */
  #inLines = 0;
  #findings: IdFinding[] | null = null;
  /** The `Idempotency-Key`, which is hashed with the number of the event in place of its id. */
  readonly #key: Buffer | null;

  /**
   * @param key the `Idempotency-Key` of the request; `null`: its events have ids of their own
   * @param most the number of events, if it is known
   */
  constructor(scope: IdScope, key: string | null = null, most = 1) {
    this.scope = scope;
    this.#key = key === null ? null : Buffer.concat([NOT_UTF8, BETWEEN, Buffer.from(key), Buffer.alloc(4)]);
    if (most > 1) this.words = new Uint32Array(EVENT_WORDS * most);
    else if (poolUsed === POOL_WORDS) {
      this.words = pool = new Uint32Array(POOL_WORDS);
      poolUsed = 0;
    }
    this.#start = most > 1 ? 0 : poolUsed;
    this.#end = this.#start + EVENT_WORDS * most;
    if (most === 1) poolUsed = this.#end;
  }

  get length(): number {
    return this.#length;
  }

  /** Whether the request has a key in place of the ids of its events. */
  get isKeyed(): boolean {
    return this.#key !== null;
  }

  /** Duplicates as the answer counts them. A request whose key is known gets the same answer as the first one. */
  get duplicatesSaid(): number {
    if (this.isKeyed) return 0;
    return this.refusesConflictsAlone ? this.duplicates - this.conflicts : this.duplicates;
  }

  /** Whether an event with other content is refused while the others are taken. */
  get refusesConflictsAlone(): boolean {
    return this.refusesAlone && this.scope.refusesConflicts && !this.isKeyed;
  }

  /** Where the words of an event start. */
  at(index: number): number {
    return this.#start + EVENT_WORDS * index;
  }

  /**
   * Adds the event whose id is a JSON string at this place.
   *
   * @param start after its first quote
   * @param end before its last quote
   * @param isPlain whether none of its characters is escaped
   * @param content the checksum of the event as it was sent
   * @param ending of its line, in place of the last brace: id and content can be found in it again
   */
  addJson(
    bytes: Uint8Array,
    start: number,
    end: number,
    isPlain: boolean,
    content: number,
    ending: Ending,
  ): void {
    if (isPlain) this.#add(bytes, start, end, content);
    else {
      const text = Buffer.from(bytes.buffer, bytes.byteOffset + start - 1, end - start + 2).toString();
      this.addText(JSON.parse(text) as string, content);
    }
    const words = this.at(this.#length - 1);
    this.words[words + LINE_SUM] = ending.sumAfter(content);
    this.words[words + LINE_FORM] = ending === BRACE ? AS_SENT : TIMED;
    this.#inLines++;
  }

  /** Whether id and content of each event can be found in its line again. */
  get areInLines(): boolean {
    return this.#key === null && this.#inLines === this.#length;
  }

  /** The CRC-32 of the line of an event, if it is known. */
  lineSum(index: number): number | undefined {
    const at = this.at(index);
    return this.words[at + LINE_FORM] === 0 ? undefined : this.words[at + LINE_SUM];
  }

  /** Whether the line of an event ends with a `timestamp` that the sender did not send. */
  isTimed(index: number): boolean {
    return this.words[this.at(index) + LINE_FORM] === TIMED;
  }

  /** The lines are others than those that were added. */
  dropLines(): void {
    this.#inLines = 0;
    for (let index = 0; index < this.#length; index++) this.words[this.at(index) + LINE_FORM] = 0;
  }

  /** Where the window has the id of an event. */
  placeOf(index: number): number {
    return (this.words[this.at(index) + PLACE] ?? 0) | 0;
  }

  setPlace(index: number, place: number): void {
    this.words[this.at(index) + PLACE] = place;
  }

  /** Adds an event by the value of its id. @param origin the `source` of a CloudEvent, which is part of its id */
  addText(id: string, content: number, origin?: string): void {
    const bytes =
      origin === undefined
        ? idBytes(id)
        : Buffer.concat([Buffer.from(idBytes(origin)), BETWEEN, idBytes(id)]);
    this.#add(bytes, 0, bytes.length, content);
  }

  #add(bytes: Uint8Array, start: number, end: number, content: number): void {
    const { hash, mask } = this.scope;
    const at = this.at(this.#length);
    if (at === this.#end) {
      this.#grow();
      this.#add(bytes, start, end, content);
      return;
    }
    if (this.#key === null) hash.hash(bytes, start, end);
    else {
      this.#key.writeUInt32LE(this.#length, this.#key.length - 4);
      hash.hash(this.#key, 0, this.#key.length);
    }
    const { words } = this;
    words[at] = hash.a ^ mask[0];
    words[at + 1] = hash.b ^ mask[1];
    words[at + 2] = hash.c ^ mask[2];
    words[at + 3] = content;
    this.#length++;
  }

  #grow(): void {
    const events = Math.max(64, 2 * this.#length, this.#length === 1 ? this.scope.lastEvents : 0);
    const words = new Uint32Array(EVENT_WORDS * events);
    words.set(this.words.subarray(this.#start, this.#end));
    this.words = words;
    this.#start = 0;
    this.#end = words.length;
  }

  /** With a key, another number of events is other content. Called once, after the last event. */
  seal(): void {
    this.scope.lastEvents = this.#length;
    if (this.#key === null) return;
    const mixed = Math.imul(this.#length, 0x9e3779b1);
    for (let index = 0; index < this.#length; index++) {
      const at = this.at(index) + ID_WORDS - 1;
      this.words[at] = (this.words[at] ?? 0) ^ mixed;
    }
  }

  /** The ids of the events that were not found in the window. */
  onlyNew(): EventIds {
    const ids = new EventIds(this.scope, null, Math.max(1, this.#length - this.duplicates));
    for (let index = 0; index < this.#length; index++) {
      if (this.findingOf(index) !== 'new') continue;
      const [from, to] = [this.at(index), ids.at(ids.#length++)];
      for (let word = 0; word < EVENT_WORDS; word++) ids.words[to + word] = this.words[from + word] ?? 0;
    }
    if (this.areInLines) ids.#inLines = ids.#length;
    return ids;
  }

  findingOf(index: number): IdFinding {
    return this.#findings?.[index] ?? 'new';
  }

  found(index: number, finding: 'duplicate' | 'conflict'): void {
    this.#findings ??= Array.from({ length: this.#length }, (): IdFinding => 'new');
    this.#findings[index] = finding;
    this.duplicates++;
    if (finding === 'conflict' && this.conflicts++ === 0) this.firstConflict = index;
  }
}

/** The checksum of a body as it was sent: whether one that comes again is the same. */
export function contentOf(bytes: Uint8Array): number {
  return crc32(bytes);
}

/** The checksum of an event as it was sent. @param text of the event: its last brace, which each has, does not count */
export function contentOfText(text: string): number {
  return crc32(text.trim().slice(0, -1));
}

/** In place of the last brace, if the line is as the event was sent. */
export const BRACE = new Ending(Buffer.from('}'));

/**
 * The bytes of an id, which are hashed. They differ for halves of surrogate pairs, too, which UTF-8 cannot hold and
 * `Buffer.from` makes equal. The next call may overwrite them.
 */
export function idBytes(text: string): Buffer {
  if (!text.isWellFormed()) return Buffer.concat([NOT_UTF8, Buffer.from(text, 'utf16le')]);
  if (text.length * 3 > SCRATCH_BYTES) return Buffer.from(text);
  return scratch.subarray(0, scratch.write(text));
}
