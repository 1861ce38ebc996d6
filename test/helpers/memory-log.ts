import type { EventBlock } from '../../lib/event/event-block.js';
import type { EventContext } from '../../lib/event/event-context.js';
import { Readable } from 'node:stream';
import type { Removal } from '../../lib/base/batch-event.js';
import { ForebayError } from '../../lib/base/errors.js';
import { keyOf } from '../../lib/seams/batch-key.js';
import { StoredBatch } from '../../lib/seams/batch.js';
import type { Batch, PendingBatch, SettledBatch } from '../../lib/seams/batch.js';
import { DeadLettersFull } from '../../lib/seams/dead-letters.js';
import type { DeadLetter, DeadLetterStore, LettersSize } from '../../lib/seams/dead-letters.js';
import { contextsBetween } from '../../lib/seams/event-contexts.js';
import type { BatchEnd, BatchPart, EventLog, Group, LogSpace, PartEnded } from '../../lib/seams/event-log.js';

/** What becomes of an append: lost without a trace, or in doubt: then the next run finds it (`late`), or not (`doubtful`). */
export type AppendFault = 'lost' | 'late' | 'doubtful';

interface KeptEvent {
  readonly text: Buffer;
  readonly context: EventContext | null;
}

interface Kept {
  readonly name: string;
  readonly runId: string;
  readonly bornMs: number;
  readonly kept: KeptEvent[];
  /** Events in doubt, which the next run finds. */
  readonly late: KeptEvent[];
  isSealed: boolean;
}

/** What outlives a run: as a server of streams has it, in the memory of a test. */
export class MemoryStore {
  readonly batches = new Map<string, Kept>();
  readonly letters = new Map<string, readonly DeadLetter[]>();
  readonly lettersBytesMax: number;
  runs = 0;
  /** Of the next append. */
  fault: AppendFault | null = null;
  #held: (() => void)[] | null = null;

  constructor(lettersBytesMax: number = Infinity) {
    this.lettersBytesMax = lettersBytesMax;
  }

  hold(): void {
    this.#held ??= [];
  }

  release(): void {
    const held = this.#held ?? [];
    this.#held = null;
    for (const goOn of held) goOn();
  }

  /** Resolves as soon as nothing is held. */
  async turn(): Promise<void> {
    await new Promise<void>((resolve) => {
      if (this.#held === null) setImmediate(resolve);
      else this.#held.push(resolve);
    });
  }
}

const LINE_FEED = Buffer.from('\n');

/** A log in memory: the contract of `EventLog` without a disk. */
export class MemoryLog implements EventLog {
  readonly place = 'memory';
  readonly batchBytesMost = 0;
  readonly deadLetters: DeadLetterStore;
  readonly torn = 0;
  quarantined = 0;
  pendingEvents = 0;
  pendingBytes = 0;
  recoveredEvents = 0;
  readonly leftoverBatches: number;
  unreadBatches: number;
  readonly sealedBy: Record<BatchEnd | 'failure', number> = {
    size: 0,
    bytes: 0,
    time: 0,
    stop: 0,
    failure: 0,
  };
  readonly #store: MemoryStore;
  readonly #runId: string;
  #names = 0;
  /** The batch that has not ended. */
  #open: Kept | null = null;
  #wake: () => void = () => undefined;
  #last: string | null = null;

  constructor(store: MemoryStore) {
    this.#store = store;
    this.#runId = `run-${++store.runs}`;
    for (const batch of store.batches.values()) {
      batch.isSealed = true; // its run has ended
      batch.kept.push(...batch.late.splice(0));
      this.pendingBytes += bytesIn(batch);
    }
    this.leftoverBatches = store.batches.size;
    this.unreadBatches = store.batches.size;
    this.deadLetters = new MemoryLetters(store);
  }

  get oldestBornMs(): number | null {
    for (const { name, bornMs } of this.#store.batches.values())
      if (this.#last === null || this.compare(name, this.#last) > 0) return bornMs;
    return null;
  }

  bytesOf(block: EventBlock, from: number, to: number): number {
    return block.startOf(to) - block.startOf(from) + to - from;
  }

  async append(group: Group, ended: PartEnded): Promise<void> {
    await this.#store.turn();
    for (const part of group) {
      if (part.events > 0) {
        const error = this.#append(part);
        ended(part, error, error === null ? (this.#open?.name ?? null) : null);
      }
      if (part.end !== null) this.#seal(part.end);
    }
  }

  async probe(): Promise<void> {
    await this.#store.turn();
    const { fault } = this.#store;
    if (fault !== null) throw new ForebayError('LOG_FAILED', { retryAfterMs: 1000 });
  }

  backlog(stopping: AbortSignal): Readable {
    const readable = new Readable({
      objectMode: true,
      highWaterMark: 1,
      read: () => {
        this.#wake = () => {
          if (stopping.aborted) return;
          const next = [...this.#store.batches.values()].find(
            ({ name, isSealed }) => isSealed && (this.#last === null || this.compare(name, this.#last) > 0),
          );
          if (next === undefined) return;
          this.#last = next.name;
          this.#wake = () => undefined;
          readable.push(this.#pendingOf(next));
        };
        this.#wake();
      },
    });
    stopping.addEventListener('abort', () => readable.push(null));
    return readable;
  }

  pendingBytesOf({ logBytes }: Pick<PendingBatch, 'logBytes'>): number {
    return logBytes;
  }

  remembers(): boolean {
    return true;
  }

  forget(): void {}

  async read(batch: PendingBatch): Promise<StoredBatch> {
    const { name, past, leftover, logBytes } = batch;
    const kept = this.#store.batches.get(name);
    const all = kept?.kept ?? [];
    const bytes = Buffer.concat(all.flatMap(({ text }) => [text, LINE_FEED]));
    const events = all.length;
    const given = all.map(({ context }) => context);
    const contexts = contextsBetween(given, 0, events);
    if (past === null && leftover) {
      this.recoveredEvents += events;
      this.pendingEvents += events;
      this.unreadBatches--;
    }
    return Promise.resolve(
      new StoredBatch(
        { name, key: keyOf(kept?.runId ?? null, name, bytes), events, bytes, contexts },
        logBytes,
      ),
    );
  }

  async delete({ name, events, logBytes }: SettledBatch): Promise<Removal> {
    await this.#store.turn();
    this.#store.batches.delete(name);
    this.pendingEvents -= events;
    this.pendingBytes -= logBytes;
    return 'deleted';
  }

  async find(isAskedFor: (name: string) => boolean, most: number): Promise<PendingBatch[]> {
    const found = [...this.#store.batches.values()].filter(
      ({ name, isSealed }) => isSealed && isAskedFor(name),
    );
    return Promise.resolve(found.slice(0, most).map((kept) => this.#pendingOf(kept)));
  }

  compare(a: string, b: string): number {
    return Number(a > b) - Number(a < b);
  }

  miss(events: number, bytes: number): void {
    this.quarantined += events;
    this.pendingEvents -= events;
    this.pendingBytes -= bytes;
  }

  async space(): Promise<LogSpace> {
    const letters = [...this.#store.letters.values()];
    const unknown = { quarantineFiles: null, quarantineBytes: null, freeBytes: null, sizeBytes: null };
    return Promise.resolve({
      ...unknown,
      deadLetterFiles: letters.length,
      deadLetterBytes: letters.reduce((sum, each) => sum + sizeOf(each), 0),
      freeInodes: null,
      inodes: null,
      newestLetters: null,
    });
  }

  async close(): Promise<void> {
    return Promise.resolve();
  }

  #append({ ranges, events, bytes }: BatchPart): ForebayError | null {
    const { fault } = this.#store;
    this.#store.fault = null;
    if (fault === 'lost') return new ForebayError('LOG_FAILED', { retryAfterMs: 1000 });
    if (fault === 'doubtful') return new ForebayError('IN_DOUBT', { retryAfterMs: 1000 });
    this.#open ??= this.#create();
    const all = ranges.flatMap(({ request: { block }, from, to }) =>
      Array.from({ length: to - from }, (_each, index) => {
        return { text: Buffer.from(block.lineOf(from + index)), context: block.context };
      }),
    );
    this.#open[fault === 'late' ? 'late' : 'kept'].push(...all);
    if (fault === 'late') return new ForebayError('IN_DOUBT', { retryAfterMs: 1000 });
    this.pendingBytes += bytes;
    this.pendingEvents += events;
    return null;
  }

  #create(): Kept {
    const number = String(++this.#names).padStart(6, '0');
    const name = `${String(this.#store.runs).padStart(4, '0')}-${number}`;
    const bornMs = performance.now();
    const kept = { name, runId: this.#runId, bornMs, kept: [], late: [], isSealed: false };
    this.#store.batches.set(name, kept);
    return kept;
  }

  #seal(end: BatchEnd): void {
    const batch = this.#open;
    this.#open = null;
    if (batch === null || batch.kept.length === 0) return; // what is late in it comes in the next run
    batch.isSealed = true;
    this.sealedBy[end]++;
    this.#wake();
  }

  #pendingOf(kept: Kept): PendingBatch {
    const { name, bornMs, runId } = kept;
    const leftover = runId !== this.#runId;
    const events = leftover ? null : kept.kept.length;
    return { name, events, logBytes: bytesIn(kept), isAcknowledged: true, bornMs, leftover, past: null };
  }
}

class MemoryLetters implements DeadLetterStore {
  readonly #store: MemoryStore;

  constructor(store: MemoryStore) {
    this.#store = store;
  }

  async keep({ name }: Batch, letters: readonly DeadLetter[]): Promise<string> {
    await this.#store.turn();
    const size = { bytes: sizeOf(letters), earlierBytes: sizeOf(this.#store.letters.get(name) ?? []) };
    if (!this.hasRoom(size)) throw new DeadLettersFull('no room for dead letters in memory', size);
    const copies = letters.map((letter) => ({ ...letter, event: Buffer.from(letter.event) }));
    this.#store.letters.set(name, copies);
    return `memory/${name}`;
  }

  async withdraw({ name }: Batch): Promise<void> {
    await this.#store.turn();
    this.#store.letters.delete(name);
  }

  async look(): Promise<number> {
    await this.#store.turn();
    return this.#bytes;
  }

  hasRoom({ bytes, earlierBytes }: LettersSize): boolean {
    const others = this.#bytes - earlierBytes;
    return others <= 0 || others + bytes <= this.#store.lettersBytesMax;
  }

  get #bytes(): number {
    return [...this.#store.letters.values()].reduce((sum, each) => sum + sizeOf(each), 0);
  }
}

function sizeOf(letters: readonly DeadLetter[]): number {
  return letters.reduce((sum, { event, reason }) => sum + event.length + reason.length, 0);
}

function bytesIn({ kept }: Kept): number {
  return kept.reduce((sum, { text }) => sum + text.length + 1, 0);
}
