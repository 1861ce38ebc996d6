import type { Batch, PendingBatch } from '../seams/batch.js';
import type { Blame } from '../seams/blame.js';
import type { BatchPart, EventLog } from '../seams/event-log.js';
import { LETTER_BYTES } from './account.js';
import type { Accounts } from './accounts.js';
import { rangeIn } from '../base/batch-range.js';
import { LedgerEntry } from './ledger-entry.js';
import type { Places } from './ledger-entry.js';
import type { LettersWatch } from './letters-watch.js';

/**
 * Beyond this many entries neighbours become one, and each client loses its part of it when one of their batches is settled:
 * what is counted for it is off by at most 1/2,048 of the backlog.
 */
const ENTRIES_MAX = 8192;
/** The same for what is in the entries. Together they take some 10 MB. */
const RUNS_MAX = 65_536;
/** This share of the entries, the newest, stay as they are: their batches still grow. */
const NEWEST = 1 / 64;

export interface BacklogLedgerOptions {
  readonly log: Pick<EventLog, 'bytesOf' | 'compare' | 'pendingBytesOf' | 'pendingBytes'>;
  readonly accounts: Accounts;
  readonly letters: Pick<LettersWatch, 'added'>;
  readonly entriesMax?: number;
}

/**
 * Which client's events each batch of this run holds, until it is off the log, in memory that is bounded. What an
 * earlier run left, and what the program itself sends, is nobody's.
 */
export class BacklogLedger implements Blame {
  readonly #log: BacklogLedgerOptions['log'];
  readonly #accounts: Accounts;
  readonly #letters: Pick<LettersWatch, 'added'>;
  readonly #entriesMax: number;
  /** In the order of their batches. */
  #entries: LedgerEntry[] = [];
  #runs = 0;
  /** The sum of all entries. */
  #bytes = 0;

  constructor({ log, accounts, letters, entriesMax = ENTRIES_MAX }: BacklogLedgerOptions) {
    this.#log = log;
    this.#accounts = accounts;
    this.#letters = letters;
    this.#entriesMax = entriesMax;
    accounts.merged = () => {
      for (const entry of this.#entries) entry.follow();
    };
  }

  /** How many batches, or groups of them, it distinguishes. */
  get entries(): number {
    return this.#entries.length;
  }

  /** Events are in the log. */
  appended({ ranges, bytes: partBytes }: BatchPart, batch: string): void {
    const entry = this.#entryFor(batch);
    const before = entry.length;
    const blocks = this.#log.pendingBytesOf({ logBytes: entry.lineBytes });
    entry.lineBytes += partBytes;
    // what a batch takes beyond its lines is shared by those who are in it
    let left = this.#log.pendingBytesOf({ logBytes: entry.lineBytes }) - blocks;
    this.#bytes += left;
    let lines = partBytes;
    for (const { request, from, to } of ranges) {
      const { block, client } = request;
      const own = this.#log.bytesOf(block, from, to);
      const bytes = Math.floor((left * own) / Math.max(own, lines));
      left -= bytes;
      lines -= own;
      entry.add(client === undefined ? null : this.#accounts.of(client), to - from, bytes);
    }
    this.#runs += entry.length - before;
    if (this.#entries.length > this.#entriesMax || this.#runs > RUNS_MAX) this.#joinNeighbours();
  }

  /** A batch is off the log. */
  gone(batch: Pick<PendingBatch, 'name' | 'logBytes'>): void {
    const at = this.#indexOf(batch.name);
    const entry = this.#entries[at];
    if (entry === undefined) return;
    this.#bytes -= entry.settle(this.#log.pendingBytesOf(batch));
    if (entry.batches <= 0) this.#remove(at);
  }

  /** A batch takes less of the log than before: each client has less of it. */
  shrunk(batch: string, fromBytes: number, toBytes: number): void {
    const entry = this.#entries[this.#indexOf(batch)];
    if (entry !== undefined) this.#bytes -= entry.shrink(fromBytes - toBytes);
  }

  refused(batch: Batch, letters: readonly { readonly index: number; readonly event: Buffer }[]): void {
    const sizes = letters.map(({ event }) => event.length + LETTER_BYTES);
    const places = letters.map(({ index }) => index);
    this.#entryOf(batch)?.refuse(inFile(batch, places), sizes);
    this.#letters.added(sizes.reduce((sum, bytes) => sum + bytes, 0));
  }

  taken(batch: Batch, refused: readonly { readonly index: number }[]): void {
    this.#entryOf(batch)?.take(
      inFile(
        batch,
        refused.map(({ index }) => index),
      ),
    );
  }

  held(batch: Batch, places: readonly number[]): void {
    this.#entryOf(batch)?.charge(inFile(batch, places));
  }

  /** Forgets batches that are gone although delivery did not take them off the log: someone has deleted their files. */
  check(): void {
    while (this.#bytes > this.#log.pendingBytes && this.#entries.length > 0) {
      this.#bytes -= this.#entries[0]?.drop() ?? 0;
      this.#remove(0);
    }
  }

  /** The batches of a file of several, and the pieces of a large one, have a range after its name. */
  #entryOf({ name }: Batch): LedgerEntry | undefined {
    return this.#entries[this.#indexOf(name.split('#', 1)[0] ?? name)];
  }

  #remove(at: number): void {
    const [entry] = this.#entries.splice(at, 1);
    this.#runs -= entry?.length ?? 0;
  }

  /** Batches are appended to side by side, so a new one need not be the newest. */
  #entryFor(batch: string): LedgerEntry {
    let at = this.#entries.length;
    for (; at > 0; at--) {
      const entry = this.#entries[at - 1];
      if (entry === undefined || entry.last === batch) break;
      if (this.#log.compare(entry.last, batch) < 0) break;
    }
    const before = this.#entries[at - 1];
    if (before?.last === batch) return before;
    const after = this.#entries[at];
    if (after !== undefined && this.#log.compare(after.first, batch) <= 0) return after;
    const entry = new LedgerEntry(batch);
    this.#entries.splice(at, 0, entry);
    return entry;
  }

  /** @returns -1 if it has no entry */
  #indexOf(batch: string): number {
    let [low, high] = [0, this.#entries.length - 1];
    while (low <= high) {
      const middle = (low + high) >> 1;
      const entry = this.#entries[middle];
      if (entry === undefined) return -1;
      if (this.#log.compare(batch, entry.first) < 0) high = middle - 1;
      else if (this.#log.compare(batch, entry.last) > 0) low = middle + 1;
      else return middle;
    }
    return -1;
  }

  /** Halves the entries. Each then holds a small part of the bytes of all, or one batch. */
  #joinNeighbours(): void {
    const newest = this.#entries.splice(-Math.ceil(NEWEST * this.#entriesMax));
    let bytesMax = (4 * this.#bytes) / this.#entriesMax;
    do {
      const joined: LedgerEntry[] = [];
      for (const entry of this.#entries) {
        const last = joined.at(-1);
        if (last !== undefined && last.bytes + entry.bytes <= bytesMax) last.join(entry);
        else joined.push(entry);
      }
      this.#entries = joined;
      this.#runs = [...joined, ...newest].reduce((sum, { length }) => sum + length, 0);
      bytesMax *= 2;
    } while (this.#entries.length > 1 && this.#runs > RUNS_MAX / 2);
    this.#entries.push(...newest);
  }
}

/** The places in its file of events of a batch, which may be one of several. */
function inFile({ name, events }: Batch, places: readonly number[]): Places {
  const range = rangeIn(name);
  if (range === null) return { from: 0, end: events, isAll: true, isSound: true, places };
  const { from, to } = range;
  return {
    from,
    end: to,
    isAll: false,
    isSound: to - from === events,
    places: places.map((place) => from + place),
  };
}
