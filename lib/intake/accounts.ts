import type { Client } from '../seams/client.js';
import { Account } from './account.js';

/** At most this many clients have an account. */
const CLIENTS_MAX = 10_000;
/** With fewer, idle ones are not looked for. */
const CLIENTS_FEW = 128;
/** If more than this part of them are busy, the smallest become one, until the other part is left. */
const BUSY_MAX = 0.75;
const BUSY_LEFT = 0.5;

/**
 * The accounts of all clients. One that is idle is forgotten. If too many are not, the smallest are one account from
 * then on: so a client with many addresses gets no more memory, and a new client still has an account of its own.
 */
export class Accounts {
  /** Of all clients. */
  queueEvents = 0;
  queueBytes = 0;
  /** Called when accounts are part of another: whoever holds one asks it for `current`. */
  merged: () => void = () => undefined;
  readonly #clientsMax: number;
  readonly #known = new Map<string, Account>();
  readonly #other = new Account();
  /** Of a client that has none. */
  readonly #nothing = new Account();
  /** At this many, idle ones are forgotten. */
  #sweepAt: number;

  constructor(clientsMax: number = CLIENTS_MAX) {
    this.#clientsMax = clientsMax;
    this.#sweepAt = Math.min(CLIENTS_FEW, clientsMax);
  }

  /** Those that may have something, the merged ones as one. */
  get all(): readonly Account[] {
    return [...this.#known.values(), this.#other];
  }

  /** How many clients are not idle; the merged ones are one. */
  get busy(): number {
    const nowMs = performance.now();
    return this.all.filter((account) => !account.isIdle(nowMs)).length;
  }

  /** To look at: an empty one if the client has none. */
  find({ id }: Client): Account {
    return this.#known.get(id) ?? this.#nothing;
  }

  of({ id }: Client): Account {
    let account = this.#known.get(id);
    if (account === undefined) {
      if (this.#known.size >= this.#sweepAt) this.#sweep();
      account = new Account();
      this.#known.set(id, account);
    }
    return account;
  }

  #sweep(): void {
    const nowMs = performance.now();
    for (const [id, account] of this.#known) if (account.isIdle(nowMs)) this.#known.delete(id);
    if (this.#known.size > BUSY_MAX * this.#clientsMax) this.#mergeSmallest();
    this.#sweepAt = Math.min(this.#clientsMax, Math.max(CLIENTS_FEW, 2 * this.#known.size));
  }

  #mergeSmallest(): void {
    const bySize = [...this.#known].toSorted(([, one], [, other]) => one.size - other.size);
    for (const [id, account] of bySize.slice(0, -Math.ceil(BUSY_LEFT * this.#clientsMax))) {
      account.mergeInto(this.#other);
      this.#known.delete(id);
    }
    this.merged();
  }
}
