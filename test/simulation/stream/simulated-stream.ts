import { headers } from '@nats-io/nats-core';
import type { MsgHdrs } from '@nats-io/nats-core';
import { EXPECTED_LAST } from '../../../lib/logs/jetstream/ids/id-message.js';
import { headBytesOf, MESSAGE_ID, storedBytes } from '../../../lib/logs/jetstream/stream-message.js';
import type { MessageQuery, StreamFacts } from '../../../lib/logs/jetstream/servers.js';
import type { VirtualTime } from '../virtual-time.js';

export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly head: MsgHdrs;
  /** A device may flip bits of it. */
  readonly data: Buffer;
  /** In milliseconds since 1970. */
  readonly atMs: number;
  /** The same by the clock that does not step. */
  readonly storedMs: number;
  /** When it is too old. */
  readonly endMs: number;
}

/** A message that is to be stored. */
export interface NewMessage {
  readonly subject: string;
  readonly head: MsgHdrs;
  readonly data: Uint8Array;
}

export interface StreamBounds {
  readonly name: string;
  readonly bytesMax: number;
  /** A message takes the place of the one with the same subject. */
  readonly onePerSubject: boolean;
}

/** How long an id is known, in milliseconds: DUPLICATES_MS of stream-setup.ts. */
const WINDOW_MS = 120_000;
const KEPT = 'Nats-TTL';

/** What the replicas of a stream agree upon. */
export class SimulatedStream {
  /** Oldest first. */
  readonly messages = new Map<number, StoredMessage>();
  readonly name: string;
  lastSeq = 0;
  /** How often ids went for want of room. */
  purges = 0;
  bytes = 0;
  readonly #bounds: StreamBounds;
  readonly #time: VirtualTime;
  readonly #bySubject = new Map<string, StoredMessage>();
  readonly #ids = new Map<string, { readonly seq: number; readonly untilMs: number }>();

  constructor(bounds: StreamBounds, time: VirtualTime) {
    this.name = bounds.name;
    this.#bounds = bounds;
    this.#time = time;
  }

  /** Whether it has room for messages. */
  hasRoom(messages: readonly NewMessage[]): boolean {
    const [first] = messages;
    const earlier = first === undefined ? null : this.#earlier(first.subject);
    const leaves = earlier === null ? 0 : sizeOf(earlier);
    const bytes = messages.reduce((sum, message) => sum + sizeOf(message), 0);
    return this.bytes - leaves + bytes <= this.#bounds.bytesMax;
  }

  /** Whether nothing is stored where messages say that there must be nothing. */
  areExpected(messages: readonly NewMessage[]): boolean {
    return messages.every(({ subject, head }) => !head.has(EXPECTED_LAST) || this.last(subject) === null);
  }

  /** Stores a message with room, unless it knows its id. */
  store({ subject, head, data }: NewMessage): { readonly seq: number; readonly isKnown: boolean } {
    const { nowMs, wallMs } = this.#time;
    const id = head.get(MESSAGE_ID);
    const known = id === '' ? undefined : this.#ids.get(id);
    if (known !== undefined && known.untilMs > nowMs) return { seq: known.seq, isKnown: true };
    const earlier = this.#earlier(subject);
    if (earlier !== null) this.remove(earlier.seq);
    const seq = ++this.lastSeq;
    if (id !== '') this.#ids.set(id, { seq, untilMs: nowMs + WINDOW_MS });
    const kept = head.get(KEPT);
    const endMs = kept === '' ? Infinity : nowMs + 1000 * parseInt(kept, 10);
    const message = { seq, subject, head, data: Buffer.from(data), atMs: wallMs, storedMs: nowMs, endMs };
    this.messages.set(seq, message);
    this.#bySubject.set(subject, message);
    this.bytes += sizeOf(message);
    return { seq, isKnown: false };
  }

  /** As last changed. */
  metadata: Record<string, string> = {};

  /** The last message of a subject. */
  last(subject: string): StoredMessage | null {
    const message = this.#bySubject.get(subject);
    if (message === undefined || !this.messages.has(message.seq)) return null;
    if (message.endMs > this.#time.nowMs) return message;
    this.remove(message.seq);
    return null;
  }

  find(query: MessageQuery): StoredMessage | null {
    if ('last_by_subj' in query) return this.last(query.last_by_subj);
    const { seq: from, next_by_subj: filter } = query;
    if (filter === undefined) return this.messages.get(from) ?? null;
    for (const message of this.messages.values())
      if (message.seq >= from && matches(message.subject, filter)) return message;
    return null;
  }

  remove(seq: number): void {
    const message = this.messages.get(seq);
    if (message === undefined) return;
    this.messages.delete(seq);
    this.bytes -= sizeOf(message);
  }

  /** Removes all with a subject like this, but for the newest. */
  purge(filter: string, keep: number): void {
    this.purges++;
    const found = [...this.messages.values()].filter(({ subject }) => matches(subject, filter));
    for (const { seq } of found.slice(0, Math.max(0, found.length - keep))) this.remove(seq);
  }

  facts(filter: string): StreamFacts {
    const subjects: Record<string, number> = {};
    for (const { seq, subject, endMs } of this.messages.values()) {
      if (endMs <= this.#time.nowMs) this.remove(seq);
      else if (matches(subject, filter)) subjects[subject] = (subjects[subject] ?? 0) + 1;
    }
    const [first] = this.messages.values();
    return {
      created: '2026-01-01T00:00:00Z',
      config: { name: this.name, num_replicas: 1, metadata: this.metadata },
      state: {
        messages: this.messages.size,
        bytes: this.bytes,
        first_seq: first?.seq ?? this.lastSeq + 1,
        first_ts: first === undefined ? '0001-01-01T00:00:00Z' : new Date(first.atMs).toISOString(),
        last_seq: this.lastSeq,
        subjects,
      },
    };
  }

  #earlier(subject: string): StoredMessage | null {
    if (!this.#bounds.onePerSubject) return null;
    for (const message of this.messages.values()) if (message.subject === subject) return message;
    return null;
  }
}

/** @param filter a subject; it may end in `.>` or `.*` */
function matches(subject: string, filter: string): boolean {
  if (subject === filter) return true;
  const prefix = filter.slice(0, -1);
  if (!subject.startsWith(prefix)) return false;
  return filter.endsWith('.>') || (filter.endsWith('.*') && !subject.includes('.', prefix.length));
}

function sizeOf({ subject, head, data }: NewMessage): number {
  return storedBytes(subject, headBytesOf(linesOf(head)), data);
}

/** The headers of a message, also as it is handed out: a copy. */
export function linesOf(head: MsgHdrs): [string, string][] {
  return head.keys().map((name) => [name, head.get(name)]);
}

export function headOf(lines: readonly (readonly [string, string])[]): MsgHdrs {
  const head = headers();
  for (const [name, value] of lines) head.set(name, value);
  return head;
}
