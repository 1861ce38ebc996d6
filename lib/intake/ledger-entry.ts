import type { Account } from './account.js';

/** Beyond this, the order of a batch's events is forgotten. */
const RUNS_MAX = 1000;

/** Consecutive events of one client, or, once their order is forgotten, all of its events. */
interface Run {
  account: Account | null;
  events: number;
  bytes: number;
  /** How many of them are dead letters; a fraction if nobody knows whose they are. */
  refused: number;
}

/** Events by their place in a batch. */
export interface Places {
  /** How many events the batch had when it was read. */
  readonly events: number;
  readonly places: readonly number[];
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
    this.#add(account, events, bytes, 0);
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
      const refused = run.refused * part;
      run.account?.settle(events, settled, refused);
      run.bytes -= settled;
      run.events -= events;
      run.refused -= refused;
      this.bytes -= settled;
      this.events -= events;
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
      for (const run of this.#runs) {
        const part = run.events / Math.max(1, this.events);
        run.refused += at.places.length * part;
        if (run.account !== null) run.account.letterBytes += Math.floor(all * part);
      }
      return;
    }
    for (const [index, run] of runs.entries()) {
      run.refused++;
      if (run.account !== null) run.account.letterBytes += letterBytes[index] ?? 0;
    }
  }

  /** These events keep their batch in the log, while the sink has the others: from now on all of it is theirs. */
  charge(at: Places): void {
    const runs = this.#runsOf(at);
    if (runs === null || runs.length === 0) return;
    for (const run of this.#runs) move(run, -run.bytes);
    let [left, count] = [this.bytes, runs.length];
    for (const run of runs) {
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

  #addRun({ account, events, bytes, refused }: Run): void {
    this.#add(account, events, bytes, refused);
  }

  #add(account: Account | null, events: number, bytes: number, refused: number): void {
    this.events += events;
    this.bytes += bytes;
    const last = this.#byAccount === null ? this.#runs.at(-1) : this.#byAccount.get(account);
    if (last?.account === account) {
      last.events += events;
      last.bytes += bytes;
      last.refused += refused;
      return;
    }
    const run = { account, events, bytes, refused };
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
    this.#runs = [];
    this.#byAccount = new Map();
    this.events = 0;
    this.bytes = 0;
  }

  /** The run of each event; `null` if nobody knows, also because some events were found damaged. */
  #runsOf({ events, places }: Places): readonly Run[] | null {
    if (this.#byAccount !== null || events !== this.events) return null;
    const found: Run[] = [];
    let [at, end] = [0, this.#runs[0]?.events ?? 0];
    for (const place of places) {
      while (place >= end && at < this.#runs.length - 1) end += this.#runs[++at]?.events ?? 0;
      const run = this.#runs[at];
      if (run !== undefined) found.push(run);
    }
    return found;
  }
}

function move(run: Run, bytes: number): void {
  run.bytes += bytes;
  run.account?.append(0, bytes);
}
