import type { Account } from './account.js';

/** Beyond this, the order of the events of a file is forgotten. */
const RUNS_MAX = 8192;

/** Consecutive events of one client, or, once their order is forgotten, all of its events. */
interface Run {
  account: Account | null;
  events: number;
  bytes: number;
  /** How much less that is as their file is compressed. */
  saved: number;
}

/** Events by their place in a file, from 0. */
export interface Places {
  readonly places: readonly number[];
  /** Where their batch starts and ends in the file; whether it is all of the file, and none of it is damaged. */
  readonly from: number;
  readonly end: number;
  readonly isAll: boolean;
  readonly isSound: boolean;
}

/** Whose events consecutive batches hold: usually one batch. */
export class LedgerEntry {
  readonly first: string;
  last: string;
  batches = 1;
  events = 0;
  /** What they take of the log, in bytes, as far as it is counted for a client. */
  bytes = 0;
  /** The size of the lines, in bytes. */
  lineBytes = 0;
  #runs: Run[] = [];
  /** The runs of events that keep the file, for each batch in it. */
  readonly #held = new Map<number, readonly Run[]>();
  /** Set once the order is forgotten. */
  #byAccount: Map<Account | null, Run> | null = null;

  constructor(batch: string) {
    this.first = batch;
    this.last = batch;
  }

  /** How many entries it has. */
  get length(): number {
    return this.#runs.length;
  }

  add(account: Account | null, events: number, bytes: number): void {
    account?.append(events, bytes);
    this.#add(account, events, bytes);
    if (this.#runs.length > RUNS_MAX) this.#forgetOrder();
  }

  /** Takes over the entry of the batches after these. */
  join(next: LedgerEntry): void {
    this.last = next.last;
    this.batches += next.batches;
    this.lineBytes += next.lineBytes;
    this.#forgetOrder();
    for (const run of next.#runs) this.#addRun(run);
  }

  /**
   * One of the batches is off the log, with this many bytes: of several, each client loses its part.
   *
   * @returns how many bytes that is for all
   */
  settle(bytes: number): number {
    this.batches--;
    const { bytes: before } = this;
    const part = this.batches <= 0 ? 1 : Math.min(1, bytes / Math.max(1, this.bytes));
    for (const run of this.#runs) {
      const settled = Math.floor(run.bytes * part);
      const events = Math.floor(run.events * part);
      const saved = Math.floor(run.saved * part);
      run.account?.settle(events, settled, saved);
      run.saved -= saved;
      run.bytes -= settled;
      run.events -= events;
      this.bytes -= settled;
      this.events -= events;
    }
    return before - this.bytes;
  }

  /**
   * The batches take this many bytes less of the log, and all events stay. What is left of each part goes to the next, so all
   * of it is counted: of a rest the ledger would think that files are gone, and forget the oldest ones.
   *
   * @returns how many bytes less that is for all
   */
  shrink(bytes: number): number {
    const { bytes: before } = this;
    let [left, of] = [Math.min(bytes, before), before];
    for (const run of this.#runs) {
      const less = run.bytes === of ? left : Math.min(run.bytes, Math.floor((left * run.bytes) / of));
      left -= less;
      of -= run.bytes;
      run.account?.shrink(less);
      run.bytes -= less;
      run.saved += less;
      this.bytes -= less;
    }
    return before - this.bytes;
  }

  /**
   * These events became dead letters.
   *
   * @param letterBytes the size of each
   */
  refuse(at: Places, letterBytes: readonly number[]): void {
    const runs = this.#runsOf(at);
    if (runs === null) {
      const all = letterBytes.reduce((sum, bytes) => sum + bytes, 0);
      this.#share((account, part) => {
        account.see(at.places.length * part, at.places.length * part);
        account.letterBytes += Math.floor(all * part);
      });
      return;
    }
    for (const [index, { account }] of runs.entries()) {
      account?.see(1, 1);
      if (account !== null) account.letterBytes += letterBytes[index] ?? 0;
    }
  }

  /** The sink took a batch but for these events. */
  take(at: Places): void {
    const { from, end, places } = at;
    this.#held.delete(from);
    const refused = this.#runsOf(at);
    if (refused === null) {
      this.#share((account, part) => account.see((end - from - places.length) * part, 0));
      return;
    }
    let start = 0;
    for (const { account, events } of this.#runs) {
      account?.see(Math.max(0, Math.min(end, start + events) - Math.max(from, start)), 0);
      start += events;
      if (start >= end) break;
    }
    for (const { account } of refused) account?.see(-1, 0);
  }

  /** These events keep their file in the log, while the sink has the others of their batch: from now on all of it is theirs. */
  charge(at: Places): void {
    const runs = this.#runsOf(at);
    if (runs === null || runs.length === 0) return;
    this.#held.set(at.from, runs);
    const holders = [...this.#held.values()].flat();
    for (const run of this.#runs) move(run, -run.bytes);
    let [left, count] = [this.bytes, holders.length];
    for (const run of holders) {
      const bytes = Math.floor(left / count--);
      left -= bytes;
      move(run, bytes);
    }
  }

  /** Some accounts are part of others now. */
  follow(): void {
    if (this.#byAccount !== null) {
      const runs = this.#runs;
      this.#clear();
      for (const run of runs) this.#addRun({ ...run, account: run.account?.current ?? null });
    } else for (const run of this.#runs) run.account = run.account?.current ?? null;
  }

  /** Gives up what is left: the batches are gone. @returns how many bytes that is */
  drop(): number {
    this.batches = 1;
    return this.settle(0);
  }

  /** If nobody knows whose events they are, each client has its part. */
  #share(see: (account: Account, part: number) => void): void {
    for (const { account, events } of this.#runs)
      if (account !== null) see(account, events / Math.max(1, this.events));
  }

  #addRun({ account, events, bytes, saved }: Run): void {
    this.#add(account, events, bytes, saved);
  }

  #add(account: Account | null, events: number, bytes: number, saved = 0): void {
    this.events += events;
    this.bytes += bytes;
    const last = this.#byAccount === null ? this.#runs.at(-1) : this.#byAccount.get(account);
    if (last?.account === account) {
      last.events += events;
      last.bytes += bytes;
      last.saved += saved;
      return;
    }
    const run = { account, events, bytes, saved };
    this.#runs.push(run);
    this.#byAccount?.set(account, run);
  }

  #forgetOrder(): void {
    if (this.#byAccount !== null) return;
    const runs = this.#runs;
    this.#clear();
    for (const run of runs) this.#addRun(run);
  }

  #clear(): void {
    this.#held.clear();
    this.#runs = [];
    this.#byAccount = new Map();
    this.events = 0;
    this.bytes = 0;
  }

  /** The run of each event; `null` if nobody knows, also because some events were found damaged. */
  #runsOf(at: Places): readonly Run[] | null {
    const fits = at.isSound && (at.isAll ? at.end === this.events : at.end <= this.events);
    if (this.#byAccount !== null || !fits) return null;
    const found: Run[] = [];
    let [index, end] = [0, this.#runs[0]?.events ?? 0];
    for (const place of at.places) {
      while (place >= end && index < this.#runs.length - 1) end += this.#runs[++index]?.events ?? 0;
      const run = this.#runs[index];
      if (run !== undefined) found.push(run);
    }
    return found;
  }
}

function move(run: Run, bytes: number): void {
  run.bytes += bytes;
  run.account?.append(0, bytes);
}
