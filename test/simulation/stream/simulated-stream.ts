import { storedBytes } from '../../../lib/logs/jetstream/stream-message.js';
import type { StreamFacts } from '../../../lib/logs/jetstream/servers.js';
import type { VirtualTime } from '../virtual-time.js';

export interface StoredMessage {
  readonly seq: number;
  readonly subject: string;
  readonly id: string;
  /** A device may flip bits of it. */
  readonly data: Buffer;
  /** In milliseconds since 1970. */
  readonly atMs: number;
  /** The same by the clock that does not step. */
  readonly storedMs: number;
}

export interface StreamBounds {
  readonly name: string;
  readonly bytesMax: number;
  /** A message takes the place of the one with the same subject. */
  readonly onePerSubject: boolean;
}

/** How long an id is known, in milliseconds: DUPLICATES_MS of stream-setup.ts. */
const WINDOW_MS = 120_000;

/** What the replicas of a stream agree upon. */
export class SimulatedStream {
  /** Oldest first. */
  readonly messages = new Map<number, StoredMessage>();
  readonly name: string;
  lastSeq = 0;
  bytes = 0;
  readonly #bounds: StreamBounds;
  readonly #time: VirtualTime;
  readonly #ids = new Map<string, { readonly seq: number; readonly untilMs: number }>();

  constructor(bounds: StreamBounds, time: VirtualTime) {
    this.name = bounds.name;
    this.#bounds = bounds;
    this.#time = time;
  }

  /** Whether it has room for a message. */
  hasRoom(subject: string, id: string, data: Uint8Array): boolean {
    const earlier = this.#earlier(subject);
    const leaves = earlier === null ? 0 : sizeOf(earlier);
    return this.bytes - leaves + storedBytes(subject, id, data) <= this.#bounds.bytesMax;
  }

  /** Stores a message with room, unless it knows its id. */
  store(subject: string, id: string, data: Uint8Array): { readonly seq: number; readonly isKnown: boolean } {
    const { nowMs, wallMs } = this.#time;
    const known = this.#ids.get(id);
    if (known !== undefined && known.untilMs > nowMs) return { seq: known.seq, isKnown: true };
    const earlier = this.#earlier(subject);
    if (earlier !== null) this.remove(earlier.seq);
    const seq = ++this.lastSeq;
    this.#ids.set(id, { seq, untilMs: nowMs + WINDOW_MS });
    const message = { seq, subject, id, data: Buffer.from(data), atMs: wallMs, storedMs: nowMs };
    this.messages.set(seq, message);
    this.bytes += sizeOf(message);
    return { seq, isKnown: false };
  }

  /** As last changed. */
  metadata: Record<string, string> = {};

  remove(seq: number): void {
    const message = this.messages.get(seq);
    if (message === undefined) return;
    this.messages.delete(seq);
    this.bytes -= sizeOf(message);
  }

  /** Removes all with a subject like this: it may end in `.>`. */
  purge(filter: string): void {
    const prefix = filter.replace(/>$/, '');
    for (const { seq, subject } of this.messages.values())
      if (subject === filter || (prefix !== filter && subject.startsWith(prefix))) this.remove(seq);
  }

  facts(): StreamFacts {
    const subjects: Record<string, number> = {};
    for (const { subject } of this.messages.values()) subjects[subject] = (subjects[subject] ?? 0) + 1;
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

function sizeOf({ subject, id, data }: StoredMessage): number {
  return storedBytes(subject, id, data);
}
